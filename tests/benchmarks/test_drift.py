"""The draws of the drift benchmark: rows keep what belongs to them, and alarms have their exact interval."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.drift import clopper_pearson, gather, measure, options, report, take
from components.config import load_pipeline
from components.inference.reference_rows import Sample
from components.pipeline.run import build_model

ROOT = Path(__file__).parents[2]
DRAWS = 4


def test_some_rows_keep_their_vectors_columns_answers_and_targets() -> None:
    present = np.array([True, False, True, True])
    sample = Sample(
        rows=4,
        present={"voice": present},
        vectors={"voice": np.array([[0.0], [2.0], [3.0]])},
        files={"voice": ["one", None, "one", "two"]},
        columns={"voice": {"seconds": np.array([0.0, np.nan, 2.0, 3.0]), "city": ["a", None, "c", "d"]}},
        answers={"label": np.arange(8.0).reshape(4, 2)},
        targets={"label": ["x", "y", None, "z"]},
        faulty=1,
        judged=9,
    )
    part = take(sample, np.array([1, 3]))
    assert part.rows == part.judged == 2
    assert part.present["voice"].tolist() == [False, True]
    assert part.vectors["voice"].tolist() == [[3.0]]
    assert part.files["voice"] == [None, "two"]
    assert part.columns["voice"]["city"] == [None, "d"]
    assert part.columns["voice"]["seconds"][1] == 3
    assert part.answers["label"].tolist() == [[2, 3], [6, 7]]
    assert part.targets["label"] == ["y", "z"]


def test_the_interval_of_a_rate_is_exact() -> None:
    # no event in 40: 1 - .025^(1/40); two in ten: table of Clopper & Pearson
    assert clopper_pearson(0, 40) == pytest.approx((0.0, 1 - 0.025 ** (1 / 40)))
    assert clopper_pearson(40, 40) == pytest.approx((0.025 ** (1 / 40), 1.0))
    assert clopper_pearson(2, 10) == pytest.approx((0.0252, 0.5561), abs=1e-4)


@pytest.mark.slow
def test_on_the_demo_nothing_is_quiet_and_noise_in_the_sound_is_told(tmp_path: Path) -> None:
    """The benchmark at small size: encoders that have hardly learned are enough to see noise by."""
    file = ROOT / "configs" / "demo.yaml"
    short = [f"inputs.{name}.fit.epochs=1" for name in ("image", "audio", "clue")]
    config = load_pipeline(file, [*short, "training.epochs=1", "monitoring.rows=5000", "engine.device=cpu"])
    built = build_model(config, tmp_path, ROOT)
    given = options([str(file), "--input", "audio", "--group", "audio"])
    predictor, material = gather(built, given)
    assert material.plain.rows == material.carried.rows == 597  # 250 validation and 347 test rows
    arms = measure(predictor, material, DRAWS)
    assert arms["undisturbed"].alarms == arms["distinct files"].alarms == 0
    assert arms["disturbed"].alarms == DRAWS
    assert arms["disturbed"].parts["audio"] == DRAWS
    assert arms["disturbed"].parts["image"] == arms["disturbed"].parts["clue"] == 0
    assert f"| disturbed | {DRAWS} | {DRAWS} |" in report(arms, material.plain.rows, "command")
