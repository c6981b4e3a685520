"""One small result of every kind, with a little of everything that it can say."""

from __future__ import annotations

import math

from components.audit.results import Agreement, Audit, Duplicates, Leak, Shuffled, SplitGroups
from components.distillation.expectation import Expectation
from components.distillation.results import DistillationResult, SeedResult, StudentResult
from components.evaluation.evaluate import evaluate
from components.evaluation.intervals import Gain, Interval
from components.explanations.results import Effect, ExplainedSample, Explanations, Heatmap, Inside
from components.monitoring.results import Drift, Test
from components.promotion.verdict import Check, Verdict
from components.reproduction.differences import Comparison, Difference
from components.results.protocol import Result
from components.retrieval.results import Retrieval, Retrievals
from components.robustness.results import CorruptionCurve, Level, MissingCurve, MissingLevel, Robustness
from components.scoring.summary import Summary
from components.sweep.ranking import Ranking, Row
from tests.components.small_evaluations import arguments

NAN = math.nan


def around(value: float, half: float = 0.05) -> Interval:
    return Interval(value, value - half, value + half)


def gained(value: float, half: float = 0.05) -> Gain:
    return Gain(value, value - half, value + half, 0.01)


AUDIT = Audit(
    target="label",
    rows=500,
    agreements=(
        Agreement("image", 500, 0.9, 0.8, 0.95, 0.97, 0.3, False, ()),
        Agreement("voice", 490, 0.5, 0.4, 0.6, NAN, NAN, False, (Shuffled("r10", "r39", 30, 0.01),)),
    ),
    duplicates=(Duplicates("image", "test", 200, 3, 1, 0.0, True, "r7 and r8"),),
    leaks=(Leak("table", "ward", 1.0, 0.5, True), Leak("table", "age", 0.4, 0.5, False)),
    groups=(SplitGroups("patient", 6, 5, 0.9, True),),
    seconds=1.5,
)

_SEED = SeedResult(7, 0.6, 0.7, around(0.6), around(0.7), gained(0.1))
DISTILLATION = DistillationResult(
    target="label",
    metric="accuracy",
    confidence=0.95,
    resamples=200,
    rows=120,
    teacher_name="models:/t/1",
    teacher_inputs=("image", "text"),
    teacher=around(0.9),
    students=(
        StudentResult("hint", ("text",), 1234, (_SEED,), gained(0.1), Interval(0.1, NAN, NAN)),
        StudentResult("pair", ("image", "text"), 99, (_SEED,) * 2, gained(0.02), around(0.02, 0.12)),
    ),
    expectations=(Expectation("hint", 80, 100, 60, 0.5, 0.4),),
    in_sample=20,
)

EXPLANATIONS = Explanations(
    target="label",
    task="classification",
    inputs=("image", "text"),
    samples=(
        ExplainedSample(
            id="r1",
            kind="worst",
            label="cat",
            predicted="dog",
            probability=0.9,
            loss=2.3,
            shares={"image": 0.7, "text": 0.2},
            without={"image": 0.6, "text": 0.1},
            inside={
                "image": Inside("image", heatmaps=(Heatmap("photo", 0.5, ((0.1, -0.4), (0.0, 0.2)), b""),)),
                "text": Inside(
                    "text",
                    effects=(Effect("a", 0.01), Effect(" ", None), Effect("bark", 0.3), Effect("x", 0.0)),
                ),
            },
        ),
        ExplainedSample("r2", "typical", "cat", "cat", 0.8, 0.1, {"image": 0.5}, {"image": 0.4}, {}),
    ),
)

DRIFT = Drift(
    rows=1000,
    looked=200,
    usable=190,
    reference=300,
    level=0.05,
    tests=(
        Test("embedding", "voice", None, 0.31234567, 0.05, 0.000123456, 0.00098765, True),
        Test("column", "table", "größe (m²)", 0.01, 0.1, 0.5, 1.0, False),
        Test("label", "label", None, 0.01, 0.1, 0.5, 1.0, False),
    ),
    notes=("text: no column of it",),
)

VERDICT = Verdict(
    promote=False,
    reason="gain too small",
    gain=gained(0.01),
    checks=(
        Check("gain", -0.04, 0.0, False, "version 1 on 200 rows"),
        Check("robustness jpeg", NAN, 0.02, True, "no record"),
    ),
    champion="version 1",
)

COMPARISON = Comparison(
    40,
    (
        *(Difference("environment", f"packages.p{i}", "1", "2") for i in range(14)),
        Difference("metric", "test_accuracy", 0.75, None),
    ),
)

_METRICS = {"recall_1": around(0.5), "median_rank": around(3.0)}
RETRIEVALS = Retrievals(
    "info_nce",
    "all",
    16,
    "test",
    0.95,
    100,
    1,
    tuple(
        Retrieval("image", "text", right, 90, 100, _METRICS, {"recall_1": chance, "median_rank": 50.5})
        for right, chance in (("row", 0.01), ("class", 0.25))
    ),
)


def _curve(corruption: str, worst: float) -> CorruptionCurve:
    levels = (Level(0, around(0.9), around(0.7), 0.8), Level(5, around(worst), around(0.3), 0.4))
    return CorruptionCurve("image", corruption, 90, levels, 0.8, 0.6, NAN, 0.9 - worst, "text", around(0.6))


def _missing(inputs: tuple[str, ...]) -> MissingCurve:
    levels = tuple(
        MissingLevel(rate, around(0.9 - rate / 2), around(0.8 - rate / 2), gained(0.1), 30, 4)
        for rate in (0.0, 0.5)
    )
    return MissingCurve(inputs, levels)


ROBUSTNESS = Robustness(
    metric="accuracy",
    confidence=0.95,
    resamples=100,
    seed=1,
    rows=100,
    test_rows=200,
    inputs=("image", "text"),
    corruptions=(_curve("jpeg", 0.85), _curve("noise", 0.4)),
    missing=(_missing(("image", "text")), _missing(("image",))),
)

SUMMARY = Summary(
    run="run",
    rows=100,
    scored=98,
    not_scored=2,
    faulty=5,
    missing={"image": 3, "text": 0},
    absent=["extra"],
    abstained={"label": 10, "price": 1},
    labels={"label": {"cat": 60, "dog": 38}},
    values={"price": {"mean": 1.5, "lowest": -2.0, "highest": 1234567.0}},
)

RANKING = Ranking(
    pipeline="Tiny",
    metric="accuracy",
    confidence=0.95,
    interval="seed",
    rows=(
        Row("gated", "fusion", 0.91, 0.3, around(0.9), gained(0.2), 1200, 1.26, 3),
        Row("image", "single", 0.7, 0.6, around(0.7), gained(0.0), None, None, 3),
        Row("delivered", "delivered", 0.91, 0.3, around(0.9), gained(0.2), None, None, 3),
    ),
    budget=1000,
    matched=(Row("gated", "fusion", 0.9, 0.3, around(0.89), gained(0.19), 1001, 1.0, 3),),
    best_single="image",
    winner="gated",
    params={},
    seed=1,
    skipped={"tensor": "too wide"},
)

RESULTS: dict[str, Result] = {
    "evaluation": evaluate(**arguments()),
    "audit": AUDIT,
    "distillation": DISTILLATION,
    "explanations": EXPLANATIONS,
    "drift": DRIFT,
    "verdict": VERDICT,
    "comparison": COMPARISON,
    "retrievals": RETRIEVALS,
    "robustness": ROBUSTNESS,
    "summary": SUMMARY,
    "ranking": RANKING,
}
