"""Whole runs of each quality on rows of words, numbers and a category, against a plain linear model.

    python -m benchmarks.quality 5000 20000 200000 --qualities fast

The arguments are numbers of rows; a tenth is for test. The plain model is TF-IDF with logistic regression.
Each run is the command `braid run` in processes of its own, with an empty workspace. Seconds are of the
whole command; processor seconds are those of all its processes, and memory is that of the largest.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

CLASSES, WORDS, LENGTH = 4, 4000, 18
_OF_CLASS = 60  # words
_OWN = 0.115  # share of a text's words that its class has more often
_NOISE = 0.12  # share of rows with a label at random


def make_rows(rows: int, seed: int) -> pd.DataFrame:
    """Draw rows with a text of 18 words, two numbers, a category, and one of four classes."""
    rng = np.random.default_rng(seed)
    label = rng.integers(CLASSES, size=rows)
    words = np.array([f"w{number:04d}" for number in range(WORDS)])
    # Words are as frequent as in a language (Zipf); those of the classes are rare ones in turn.
    frequency = 1 / np.arange(1, WORDS + 1)
    drawn = rng.choice(WORDS, (rows, LENGTH), p=frequency / frequency.sum())
    own = rng.random((rows, LENGTH)) < _OWN
    of_class = WORDS // 2 + rng.integers(_OF_CLASS, size=(rows, LENGTH)) * CLASSES + label[:, None]
    text = words[np.where(own, of_class, drawn)]
    shown = np.where(rng.random(rows) < _NOISE, rng.integers(CLASSES, size=rows), label)
    split = np.full(rows, "train", object)
    split[rng.permutation(rows)[: rows // 5]] = np.repeat(["val", "test"], rows // 10)
    return pd.DataFrame(
        {
            "id": [f"row-{row}" for row in range(rows)],
            "text": [" ".join(row) for row in text],
            "a": rng.normal(label, 4.0).round(3),
            "b": rng.normal(-label, 6.0).round(3),
            "kind": [f"kind {kind}" for kind in (label + rng.integers(9, size=rows)) % 12],
            "label": [f"class {number}" for number in shown],
            "split": split,
        }
    )


def measure_simple(table: pd.DataFrame) -> tuple[float, float]:
    """Fit TF-IDF of words with logistic regression; give test accuracy and seconds."""
    started = time.monotonic()
    parts = dict(iter(table.groupby("split")))
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=300))
    model.fit(parts["train"]["text"], parts["train"]["label"])
    accuracy = model.score(parts["test"]["text"], parts["test"]["label"])
    return accuracy, time.monotonic() - started


def measure_run(folder: Path, quality: str) -> tuple[float, float, float, float]:
    """Run the command; give test accuracy, seconds, processor seconds and MiB."""
    command = [sys.executable, "-m", "flows.cli.app", "run", str(folder / "rows.yaml")]
    options = ["--workspace", str(folder / quality), "--quality", quality, "--json"]
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*command, *options], check=True, stdout=subprocess.PIPE)
    seconds = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    accuracy = json.loads(done.stdout)["test"]["accuracy"]["value"]
    return accuracy, seconds, processor, after.ru_maxrss / 1024


def main() -> None:
    """Print a row per number of rows and model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", type=int, nargs="+")
    parser.add_argument("--qualities", nargs="+", default=["fast", "good"])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("| rows | model | accuracy | seconds | processor | MiB |\n|---|---|---|---|---|---|")
    for rows in arguments.rows:
        table = make_rows(rows, arguments.seed)
        accuracy, seconds = measure_simple(table)
        print(f"| {rows:,} | TF-IDF, logistic regression | {accuracy:.3f} | {seconds:.1f} | | |", flush=True)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            table.to_csv(folder / "rows.csv", index=False)
            config = {
                "name": "rows",
                "data": {"source": "rows.csv", "split": {"column": "split"}},
                "target": {"column": "label"},
                "inputs": {
                    "text": {"modality": "text", "columns": "text"},
                    "facts": {"modality": "tabular", "columns": ["a", "b", "kind"]},
                },
            }
            (folder / "rows.yaml").write_text(yaml.safe_dump(config), "utf-8")
            for quality in arguments.qualities:
                accuracy, seconds, processor, memory = measure_run(folder, quality)
                cells = f"{accuracy:.3f} | {seconds:.1f} | {processor:.1f} | {memory:,.0f}"
                print(f"| {rows:,} | **{quality}** | {cells} |", flush=True)


if __name__ == "__main__":
    main()
