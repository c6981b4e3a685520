"""The draws of the drift benchmark: rows keep what belongs to them, and alarms have their exact interval."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.drift import clopper_pearson, take
from components.monitoring.sample import Sample


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
    found = take(sample, np.array([1, 3]))
    assert found.rows == found.judged == 2
    assert found.present["voice"].tolist() == [False, True]
    assert found.vectors["voice"].tolist() == [[3.0]]
    assert found.files["voice"] == [None, "two"]
    assert found.columns["voice"]["city"] == [None, "d"]
    assert found.columns["voice"]["seconds"][1] == 3
    assert found.answers["label"].tolist() == [[2, 3], [6, 7]]
    assert found.targets["label"] == ["y", "z"]


def test_the_interval_of_a_rate_is_exact() -> None:
    # no event in 40: 1 - .025^(1/40); two in ten: table of Clopper & Pearson
    assert clopper_pearson(0, 40) == pytest.approx((0.0, 1 - 0.025 ** (1 / 40)))
    assert clopper_pearson(40, 40) == pytest.approx((0.025 ** (1 / 40), 1.0))
    assert clopper_pearson(2, 10) == pytest.approx((0.0252, 0.5561), abs=1e-4)
