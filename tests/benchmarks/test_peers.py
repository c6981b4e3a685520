"""Other tools get the same rows and no target of the test, and a failure is shown with its reason."""

from __future__ import annotations

import contextlib
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from benchmarks.peers.__main__ import job_of, report, run_peer
from benchmarks.peers.environments import Environment
from benchmarks.peers.job import Job, Report, read_rows
from benchmarks.peers.outcomes import Outcome, lines
from benchmarks.peers.processes import run_process
from benchmarks.peers.programs.simple import train
from benchmarks.peers.rows import Rows, columns_of, divide, hide, with_gaps
from benchmarks.peers.sets import SETS, values_of
from components.config.load import configured
from components.config.pipeline import PipelineConfig
from components.errors import ConfigError

WORDS = (["red", "crimson", "scarlet"], ["blue", "navy", "azure"])
ROWS = 240


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest whose class is in a word that one row in four lacks, and in a number."""
    folder = tmp_path_factory.mktemp("peers")
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=ROWS)
    words = [f"{WORDS[each][rng.integers(3)]} {rng.choice(['thing', 'object'])}" for each in label]
    table = pd.DataFrame(
        {
            "id": [f"r{row}" for row in range(ROWS)],
            "label": label,
            "note": [None if row % 4 == 0 else word for row, word in enumerate(words)],
            "size": label * 1.5 + rng.normal(size=ROWS),
            "batch": [f"b{row // 4}" for row in range(ROWS)],
        }
    )
    table.to_csv(folder / "manifest.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def config(folder: Path) -> PipelineConfig:
    return configured(
        {
            "name": "words",
            "data": {"source": str(folder / "manifest.csv"), "split": {"group": "batch"}},
            "target": {"column": "label"},
            "inputs": {
                "note": {"modality": "text", "columns": "note"},
                "facts": {"modality": "tabular", "columns": ["size"]},
            },
        },
        [],
        "test",
    )


@pytest.fixture(scope="module")
def rows(config: PipelineConfig, folder: Path) -> Rows:
    return divide(config, folder, folder / "work")


@pytest.fixture(scope="module")
def job(config: PipelineConfig, folder: Path, rows: Rows) -> Job:
    made = job_of(config, config.model_dump(mode="json", exclude_unset=True), folder, rows)
    return replace(made, seconds=60, cores=1)


def test_peers_get_the_rows_of_braids_split(rows: Rows, folder: Path) -> None:
    given = pd.read_csv(folder / "manifest.csv")
    every = pd.concat([rows.tables[split] for split in ("train", "val", "test")])
    assert sorted(every["id"]) == sorted(given["id"])
    assert len(rows.values) == len(rows.tables["test"]) == len(rows.parts)
    batch = given.set_index("id")["batch"]
    own = {split: set(batch[rows.tables[split]["id"]]) for split in ("train", "val", "test")}
    assert not own["train"] & own["test"], "whole groups are on one side"
    by_part = pd.Series(batch[rows.tables["test"]["id"]].to_numpy()).groupby(rows.parts).nunique()
    assert by_part.max() > 1 or len(by_part) == len(own["test"]), "rows of a group are one part"


def test_a_row_keeps_an_input_and_loses_more_at_a_higher_rate(config: PipelineConfig, rows: Rows) -> None:
    table = rows.tables["test"]
    few, many = (hide(table, config.inputs, rate, 0) for rate in (0.3, 1.0))
    columns = [column for section in config.inputs.values() for column in columns_of(section)]
    assert many[columns].notna().any(axis=1).all()
    assert (many[columns].notna().sum(axis=1) == 1).all(), "at rate 1 one is left"
    assert not (few[columns].isna() & many[columns].notna()).to_numpy().any()
    pd.testing.assert_frame_equal(few.drop(columns=columns), table.drop(columns=columns))


def test_gaps_keep_the_split_and_the_groups(
    config: PipelineConfig, rows: Rows, folder: Path, tmp_path: Path
) -> None:
    values = with_gaps(config, config.model_dump(exclude_unset=True), folder, tmp_path, 0.4)
    again = divide(configured(values, [], "test"), folder, tmp_path / "again")
    for split in ("train", "val", "test"):
        assert again.tables[split]["id"].tolist() == rows.tables[split]["id"].tolist()
    assert (again.tables["train"]["size"].isna()).mean() == pytest.approx(0.3, abs=0.12)
    assert len(np.unique(again.parts)) <= len(np.unique(rows.parts))


def test_the_simple_stack_uses_both_inputs_and_answers_without_one(
    job: Job, rows: Rows, tmp_path: Path
) -> None:
    model, note = train(
        job,
        rows.tables["train"].assign(label=rows.tables["train"]["label"].astype(str)),
        rows.tables["val"].assign(label=rows.tables["val"]["label"].astype(str)),
        tmp_path,
    )
    predicted = model.predict(rows.tables["test"])
    right = (predicted.argmax(1) == rows.values).mean()
    has_word = rows.tables["test"]["note"].notna().to_numpy()
    assert (predicted.argmax(1) == rows.values)[has_word].mean() > 0.95, note
    assert right > 0.85, note
    nothing = model.predict(rows.tables["test"].assign(note=None, size=np.nan).head(1))
    shares = rows.tables["train"]["label"].astype(int).mean()
    np.testing.assert_allclose(nothing, [[1 - shares, shares]], atol=0.02)


def test_a_peer_runs_in_its_own_process_and_sees_no_target(job: Job, rows: Rows, tmp_path: Path) -> None:
    made = run_peer("simple", Environment(Path(sys.executable)), job, rows, tmp_path / "simple")
    assert not made.failure
    assert "label" not in read_rows(job, tmp_path / "simple", "test")
    again = run_peer("simple", Environment(None, "gone"), job, rows, tmp_path / "simple")
    (line, other) = lines("words", rows, [made, replace(again, peer="other")])
    assert line.score is not None
    assert line.score.value > 0.85
    assert line.peak > 50
    assert line.size > 1000
    assert other.failure == "seed 0: gone"
    text = report([line, other], "command")
    assert f"accuracy {line.score.value:.3f}" in text
    assert "– (seed 0: gone)" in text


def test_a_failure_and_a_late_end_are_shown_with_their_reason(tmp_path: Path) -> None:
    failed = run_process([sys.executable, "-c", "raise SystemExit('no images')"], tmp_path / "a", 1, 60, {})
    assert failed.failure == "exit 1: no images"
    late = run_process([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "b", 1, 0.1, {})
    assert "did not end within" in late.failure
    assert late.seconds < 30


def test_an_interrupted_comparison_leaves_no_process(tmp_path: Path) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    code = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"
    former = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 3)
    try:
        with pytest.raises(KeyboardInterrupt), contextlib.chdir(tmp_path):
            run_process([sys.executable, "-c", code], tmp_path / "log", 1, 60, {})
    finally:
        signal.signal(signal.SIGALRM, former)
    pid = int((tmp_path / "pid").read_text())
    with contextlib.suppress(psutil.NoSuchProcess):
        assert psutil.Process(pid).wait(10) is not None


def test_the_gain_of_braid_is_paired_and_signed(rows: Rows) -> None:
    truth = np.eye(2)[rows.values]
    half = np.where(np.arange(len(truth))[:, None] % 2, truth, 1 - truth)
    costs = Report("tool 1", 1.0, 10, 0.1)
    outcomes = [
        Outcome("braid", 0, report=costs, test=truth, hidden=half),
        Outcome("other", 0, report=replace(costs, missing="ValueError: empty"), test=half),
    ]
    braid, other = lines("words", rows, outcomes)
    assert braid.score is not None
    assert braid.score.value == 1
    assert braid.gain is None
    assert other.gain is not None
    assert other.gain.value == pytest.approx((half.argmax(1) != rows.values).mean())
    assert other.hidden is None
    assert "fails: ValueError: empty" in report([other], "command")


def test_a_set_without_its_folder_is_named() -> None:
    with pytest.raises(ConfigError, match="--data DIR"):
        values_of("emoji", None)
    with pytest.raises(ConfigError, match="not one of: docs"):
        values_of("nothing.yaml", None)


@pytest.mark.parametrize("name", SETS)
def test_named_sets_are_valid_pipelines_with_all_defaults(name: str, tmp_path: Path) -> None:
    manifest, target, inputs = SETS[name]
    (tmp_path / manifest).parent.mkdir(parents=True)
    (tmp_path / manifest).touch()
    values, _ = values_of(name, tmp_path)
    config = configured(values, [], name)
    assert config.target.column == target
    assert all(section.may_have_several for section in config.inputs.values())
    assert list(config.inputs) == list(inputs)
