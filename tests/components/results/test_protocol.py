"""Every result keeps the protocol; names and numbers of each are those that trackers and people know."""

from __future__ import annotations

import json

import pytest

from components.results import markdown
from components.results.protocol import Result
from tests.components.small_results import RESULTS

HEADLINES = {
    "audit": "shuffled, duplicates, leak, groups",
    "distillation": "hint: +0.100 [+0.050, +0.150]; pair: +0.020 [-0.030, +0.070]",
    "explanations": "2 rows looked into",
    "drift": "Drift in voice: 190 of 1000 rows compared with 300 that the model carries",
    "verdict": "gain too small",
    "comparison": "Differs: environment (14), metric (1)",
    "retrievals": "image → text class recall@1 0.500 (chance 0.250)",
    "robustness": "accuracy 0.650 with 50% of all inputs hidden, 0.550 with zeros in their place",
    "summary": "98 of 100 rows scored, 5 with faults, of which 2 could not be scored; 5.6% abstained",
    "ranking": "gated wins on validation: test accuracy 0.900 [0.850, 0.950]; delivered "
    "+0.200 [+0.150, +0.250] against image alone",
}
FINDINGS = {
    "distillation": "hint: the teacher helps: test accuracy 0.700 with it, 0.600 alone, "
    "gain +0.100 [+0.050, +0.150] over rows.",
    "explanations": "r1: dog instead of cat, most of all because of image.",
    "drift": "voice: embeddings: MMD 0.312 (alarm from 0.05), p 0.00099 for all 3 tests.",
    "verdict": "gain: -0.0400 with a bound of 0 (version 1 on 200 rows).",
    "comparison": "environment: 2 more differ (--json has all of them).",
    "retrievals": "Search: image → text class recall@1 0.500 (chance 0.250).",
    "robustness": "Heavy noise on image makes the model worse than text by itself.",
    "summary": "Scored without image: 3 rows.",
    "ranking": "tensor skipped: too wide",
}
METRICS = {
    "evaluation": {"test_accuracy_low", "val_log_loss", "picture_test_accuracy_high", "fusion_gain"}
    | {"delivered_gain_low", "shapley_voice", "interaction_picture_and_voice", "worst_subset_drop"}
    | {"subset_picture_and_voice_accuracy", "calibration_error_after", "temperature", "abstained"}
    | {"conformal_coverage", "conformal_size"},
    "audit": {"audit_warnings", "audit_seconds", "audit_voice_shuffled_rows", "audit_image_skill"}
    | {"audit_image_test_in_train", "audit_image_test_near_train"},
    "distillation": {"teacher_test_accuracy", "hint_alone_test_accuracy", "hint_with_teacher_test_accuracy"}
    | {"hint_gain", "hint_gain_low", "hint_gain_high", "pair_gain_seeds_low", "pair_gain_seeds_high"},
    "explanations": set(),
    "drift": {"drift", "drift_tests", "drift_alarms", "rows", "rows_looked_at", "rows_compared"}
    | {"drift_voice_mmd", "drift_voice_mmd_p", "drift_voice_mmd_p_adjusted"},
    "verdict": {"champion_gain", "champion_gain_low", "champion_gain_high"},
    "comparison": {"metrics_compared", "differences"},
    "retrievals": {"retrieval_image_to_text_recall_1", "retrieval_image_to_text_class_recall_1_chance"}
    | {"retrieval_image_to_text_median_rank_low"},
    "robustness": {"robustness_image_jpeg_relative", "robustness_image_noise_5_accuracy"}
    | {"missing_50_accuracy", "missing_50_zero_imputed_accuracy", "missing_image_50_gain_over_zeros"},
    "summary": {"rows", "rows_scored", "rows_not_scored", "rows_with_faults", "quarantine_rate"}
    | {"image_missing_rate", "label_abstain_rate", "price_value_highest"},
    "ranking": {"Tiny_gated_val_accuracy", "Tiny_delivered_test_accuracy_low", "Tiny_image_gain_high"},
}
TABLES = {
    "evaluation": {
        "results": ["model", "val accuracy", "test accuracy", "low", "high", "test log loss"],
        "subsets": ["inputs", "answered by", "test accuracy", "low", "high", "drop"],
        "classes": ["name", "support", "precision", "recall", "f1", "roc_auc", "average_precision"],
        "shares": ["input", "shapley share"],
    },
    "audit": {
        "audit_votes": ["input", "rows", "skill", "low", "high", "right", "at_random", "shuffled", "chance"],
        "audit_duplicates": ["input", "split", "rows", "exact", "near", "by_chance", "example", "flagged"],
        "audit_leaks": ["input", "column", "share", "usual", "flagged"],
        "audit_groups": ["column", "groups", "across", "test_rows", "flagged"],
    },
    "distillation": {
        "distillation": [
            "student",
            "inputs",
            "parameters",
            "accuracy alone",
            "accuracy with teacher",
            "gain",
            "low (rows)",
            "high (rows)",
            "low (seeds)",
            "high (seeds)",
            "helps",
            "expected worth",
            "accuracy of the teacher",
        ],
        "distillation_seeds": [
            "student",
            "seed",
            "val accuracy alone",
            "val accuracy with teacher",
            "test accuracy alone",
            "test accuracy with teacher",
            "gain",
            "low",
            "high",
        ],
    },
    "explanations": {
        "explanations": [
            "id",
            "kind",
            "prediction",
            "truth",
            "input",
            "share",
            "without it",
            "strongest part",
            "effect",
        ],
    },
    "drift": {"drift": ["compared", "measure", "effect", "floor", "p", "p adjusted", "drift"]},
    "verdict": {"promotion": ["check", "found", "bound", "passed", "compared"]},
    "comparison": {"differences": ["differs", "what", "then", "now"]},
    "retrievals": {
        "retrieval": [
            "from",
            "to",
            "right",
            "queries",
            "gallery",
            "recall_1",
            "recall_1 low",
            "recall_1 high",
            "recall_1 chance",
            "median_rank",
            "median_rank low",
            "median_rank high",
            "median_rank chance",
        ],
    },
    "robustness": {
        "robustness": [
            "input",
            "corruption",
            "rows",
            "accuracy undamaged",
            "accuracy at severity 5",
            "that input alone",
            "relative robustness",
            "effective robustness",
        ],
        "missing_rates": [
            "hidden",
            "rate",
            "accuracy with mask",
            "accuracy with zeros",
            "gain",
            "low",
            "high",
            "rows without any input",
        ],
    },
    "summary": {"scored": ["target", "prediction", "rows", "share"]},
    "ranking": {
        key: [
            "pipeline",
            "model",
            "kind",
            "val accuracy",
            "test accuracy",
            "low",
            "high",
            "gain over image",
            "gain low",
            "gain high",
            "parameters",
            "seconds",
            "seeds",
        ]
        for key in ("ranking_Tiny", "budget_Tiny")
    },
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_keeps_the_protocol(name: str) -> None:
    result: Result = RESULTS[name]
    assert result.headline
    assert "\n" not in result.headline
    assert not result.headline.endswith(".")
    assert all(finding and "\n" not in finding for finding in result.findings)
    assert all(isinstance(value, int | float) for value in result.metrics().values())
    for table in result.tables().values():
        assert table.caption
        assert table.rows
        assert all(position < len(table.rows) for position in table.marked)
        json.dumps(table.records(), allow_nan=False)
    page = markdown.page(name, result.headline, result.findings, result.tables().values())
    assert "nan" not in page


@pytest.mark.parametrize("name", HEADLINES)
def test_a_headline_says_what_came_of_the_step(name: str) -> None:
    assert RESULTS[name].headline == HEADLINES[name]


@pytest.mark.parametrize("name", FINDINGS)
def test_findings_begin_with_what_matters_most(name: str) -> None:
    assert RESULTS[name].findings[0] == FINDINGS[name]


@pytest.mark.parametrize("name", METRICS)
def test_metrics_have_the_names_that_trackers_know(name: str) -> None:
    assert METRICS[name] <= set(RESULTS[name].metrics())


@pytest.mark.parametrize("name", TABLES)
def test_files_have_the_columns_that_readers_know(name: str) -> None:
    assert {key: table.names for key, table in RESULTS[name].tables().items()} == TABLES[name]


def test_every_result_is_tested() -> None:
    assert set(METRICS) == set(TABLES) == set(RESULTS)


def test_rows_hold_the_values_of_the_result() -> None:
    def record(name: str, table: str, row: int) -> dict[str, object]:
        return RESULTS[name].tables()[table].records()[row]

    votes = record("audit", "audit_votes", 1)
    assert (votes["shuffled"], votes["right"], votes["chance"]) == ("r10 to r39", None, False)
    alone = record("distillation", "distillation", 0)
    assert (alone["gain"], alone["low (rows)"], alone["low (seeds)"], alone["helps"]) == (
        0.1,
        0.05,
        None,
        "yes",
    )
    assert [record("explanations", "explanations", row)["strongest part"] for row in (0, 1)] == [
        "row 1, column 2 of 2 × 2",
        "bark, a, x",
    ]
    moved = record("drift", "drift", 0)
    assert (moved["effect"], moved["p"], moved["p adjusted"], moved["drift"]) == (
        0.3123,
        0.000123,
        0.000988,
        "yes",
    )
    check = record("verdict", "promotion", 1)
    assert (check["found"], check["passed"]) == (None, "yes")
    then = record("comparison", "differences", -1)
    assert (then["what"], then["then"], then["now"]) == ("test_accuracy", "0.75", "—")
    assert len(RESULTS["comparison"].tables()["differences"].rows) == 13, "12 of the environment, one metric"
    scored = RESULTS["summary"].tables()["scored"].records()
    assert scored[0] == {"target": "label", "prediction": "cat", "rows": 60, "share": 0.6122}
    assert scored[-1]["prediction"] == "highest 1.23457e+06"
    ranked = record("ranking", "ranking_Tiny", 0)
    assert (ranked["parameters"], ranked["seconds"], ranked["gain high"]) == (1200, 1.3, 0.25)


def test_rows_that_stand_out_are_marked() -> None:
    marked = {
        (name, key): sorted(table.marked)
        for name, result in RESULTS.items()
        for key, table in result.tables().items()
        if table.marked
    }
    assert marked == {
        ("evaluation", "results"): [5],
        ("evaluation", "subsets"): [2],
        ("audit", "audit_votes"): [1],
        ("audit", "audit_duplicates"): [0],
        ("audit", "audit_leaks"): [0],
        ("audit", "audit_groups"): [0],
        ("drift", "drift"): [0],
        ("robustness", "robustness"): [1],
        ("robustness", "missing_rates"): [1],
        ("ranking", "ranking_Tiny"): [2],
    }
