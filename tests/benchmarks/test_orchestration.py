"""The pipeline that both sides of the benchmark are given is one that braid takes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.orchestration import generated_config
from components.config.load import load_pipeline


def test_the_generated_file_says_what_was_asked_for(tmp_path: Path) -> None:
    pipeline = load_pipeline(generated_config(tmp_path, 20, epochs=2))
    assert set(pipeline.inputs) == {"table", "text", "image"}
    assert {section.fit.epochs for section in pipeline.inputs.values()} == {2}
    assert pipeline.training.epochs == 2
