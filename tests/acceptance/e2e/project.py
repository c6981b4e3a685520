"""A tiny project with three inputs, and braid as a user starts it: as a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, chdir, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import soundfile as sf
import yaml
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from components.runtime.environ import variables
from flows.cli.app import app
from flows.servers.local import configured_as

ROOT = Path(__file__).parents[3]
CLASSES = ("ant", "bee", "cat", "dog")
RATE = 4000


@dataclass(frozen=True)
class Project:
    """A folder with a manifest, a pipeline file and a workspace.

    Attributes:
        folder: The folder.
        api: Prefect's address. Its commands then run light, with one worker process and no server of their
            own; None runs them as for a user who has set nothing.
    """

    folder: Path
    api: str | None = None

    @property
    def config(self) -> Path:
        return self.folder / "tiny.yaml"

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.workspace / 'mlflow.db'}"

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a user who has set nothing, with Prefect's home in the project."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))
        }
        own = {
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",  # the same sums, to the last bit, with one worker process and with two
        }
        if self.api:
            own |= {"PREFECT_API_URL": self.api, "PREFECT_TASKS_RUNNER_PROCESS_POOL_MAX_WORKERS": "1"}
            own["PREFECT_API_AUTH_STRING"] = os.environ["PREFECT_API_AUTH_STRING"]
        return {**inherited, **own, **more}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "flows.cli.app", *arguments, "--workspace", str(self.workspace)]

    def braid(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command line to its end."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def inside(self, *arguments: str, **environment: str) -> Result:
        """Run the command line in this process: to start another takes longer than most commands do."""
        with ExitStack() as stack:
            stack.enter_context(chdir(self.folder))
            stack.enter_context(variables({"PREFECT_HOME": str(self.folder / "prefect"), **environment}))
            if self.api:
                stack.enter_context(configured_as(self.api))
            return CliRunner().invoke(app, [*arguments, "--workspace", str(self.workspace)])

    def json(self, *arguments: str, **environment: str) -> dict[str, Any]:
        """The JSON of a command that succeeds, run in this process."""
        done = self.inside(*arguments, "--json", **environment)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def run(self, *arguments: str, **environment: str) -> dict[str, Any]:
        """``braid run`` on the pipeline file, in this process; its JSON."""
        return self.json("run", str(self.config), *arguments, **environment)

    def run_alone(self, *arguments: str, **environment: str) -> dict[str, Any]:
        """``braid run`` on the pipeline file, in a process of its own; its JSON."""
        done = self.braid("run", str(self.config), "--json", *arguments, **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def interruptible() -> None:
    """Ctrl-C is heard, as in a terminal; the background of a script hands down that it is not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def write_manifest(folder: Path, rows: int, seed: int = 0) -> pd.DataFrame:
    """Two bits make four classes: an image shows one, a tone the other, a noisy word hints at both."""
    random = np.random.default_rng(seed)
    (folder / "media").mkdir(parents=True, exist_ok=True)
    table = []
    for row in range(rows):
        left, high = random.integers(0, 2, 2)
        picture = random.integers(0, 120, (16, 16, 3)).astype(np.uint8)
        picture[:, :8] += np.uint8(120 * left)
        picture[:, 8:] += np.uint8(120 * (1 - left))
        Image.fromarray(picture).save(folder / "media" / f"{row}.png")
        time = np.arange(RATE // 5) / RATE
        tone = 0.4 * np.sin(2 * np.pi * (900 if high else 300) * time) + random.normal(0, 0.05, len(time))
        sf.write(folder / "media" / f"{row}.wav", tone, RATE)
        label = 2 * left + high
        hint = label if random.random() < 0.5 else random.integers(0, 4)
        table.append(
            {
                "id": f"row-{row:03d}",
                "split": "train" if row % 5 < 3 else "val" if row % 5 == 3 else "test",
                "label": CLASSES[label],
                "picture": f"media/{row}.png",
                "sound": f"media/{row}.wav",
                "words": f"something about the {CLASSES[hint]} maybe",
            }
        )
    frame = pd.DataFrame(table)
    frame.loc[frame.index % 20 == 7, "picture"] = ""
    frame.loc[frame.index % 20 == 11, "sound"] = ""
    frame.to_csv(folder / "manifest.csv", index=False)
    return frame


def write_noisy_manifest(folder: Path, seed: int = 0) -> Path:
    """The rows of a folder's manifest with a hiss in the audio, without targets: ``noisy.csv`` beside it."""
    rows = pd.read_csv(folder / "manifest.csv", dtype=str, keep_default_na=False)
    random = np.random.default_rng(seed)
    for cell in filter(None, rows["sound"]):
        wave, _ = sf.read(folder / cell)
        hissing = np.clip(wave + random.normal(0, 0.3, len(wave)), -1, 1)
        sf.write(folder / cell.replace(".wav", "-noisy.wav"), hissing, RATE)
    rows["sound"] = rows["sound"].str.replace(".wav", "-noisy.wav")
    rows.drop(columns="label").to_csv(folder / "noisy.csv", index=False)
    return folder / "noisy.csv"


PIPELINE: dict[str, Any] = {
    "name": "tiny",
    "data": {"source": "manifest.csv", "split": {"column": "split"}},
    "target": {"column": "label"},
    "inputs": {
        "picture": {
            "modality": "image",
            "columns": "picture",
            "size": 16,
            "encoder": {"name": "cnn", "width": 16, "channels": [8, 16], "dropout": 0.0},
            "fit": {"epochs": 5, "batch_size": 16, "learning_rate": 0.01},
        },
        "sound": {
            "modality": "audio",
            "columns": "sound",
            "rate": RATE,
            "seconds": 0.2,
            "encoder": {"name": "audio_cnn", "width": 16, "channels": [8, 16], "mels": 16, "dropout": 0.0},
            "fit": {"epochs": 5, "batch_size": 16, "learning_rate": 0.01},
        },
        "words": {
            "modality": "text",
            "columns": "words",
            "encoder": {"name": "ngrams", "width": 16, "buckets": 512},
            "fit": {"epochs": 5, "batch_size": 16, "learning_rate": 0.01},
        },
    },
    "fusion": {"name": "concat", "width": 32, "dropout": 0.1},
    "training": {"epochs": 20, "batch_size": 16, "learning_rate": 0.005, "folds": 0},
    "evaluation": {
        "bootstrap": 200,
        "worst_samples": 3,
        "robustness": {"rows": 0},
        "explanations": {"samples": 0},
    },
    "audit": {"rows": 0},
    "engine": {"device": "cpu", "shard_rows": 50},
}


THOROUGH: dict[str, Any] = {
    "bootstrap": 200,
    "worst_samples": 3,
    "robustness": {"rows": 24, "severities": [5], "missing_rates": [0.5]},
}
"""``evaluation`` with everything that takes its time: for the project that the tests share."""


def make_project(folder: Path, rows: int = 240, api: str | None = None, **changes: Any) -> Project:
    """Write manifest and pipeline file into ``folder``."""
    write_manifest(folder, rows)
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**PIPELINE, **changes}, sort_keys=False))
    return Project(folder, api)


def copy_project(project: Project, folder: Path, api: str) -> Project:
    """Copy a project with its runs, as if it had been made in ``folder``."""
    shutil.copytree(project.folder, folder)
    paths = {"old": str(project.folder), "new": str(folder)}
    with closing(sqlite3.connect(folder / "workspace" / "mlflow.db")) as database, database:
        tables = database.execute("select name from sqlite_master where type = 'table'").fetchall()
        for (table,) in tables:
            for _, column, *_ in database.execute(f"pragma table_info('{table}')").fetchall():
                moved = f'"{column}" = replace("{column}", :old, :new)'
                database.execute(f'update "{table}" set {moved} where instr("{column}", :old)', paths)
    return Project(folder, api)


def predicted(project: Project, model: str, rows: pd.DataFrame, **params: Any) -> pd.DataFrame:
    """Predict rows by the champion of a registered model, through MLflow's pyfunc."""
    mlflow.set_tracking_uri(project.tracking_uri)
    return mlflow.pyfunc.load_model(f"models:/{model}@champion").predict(rows, params=params or None)
