"""The evaluation's parts fit together, and say what was put in."""

from dataclasses import replace

import numpy as np
import pytest

from components.evaluation.evaluate import evaluate
from components.evaluation.results import Evaluation
from components.evaluation.samples import Media
from components.targets.metrics import metric


def test_a_fusion_of_noisy_views_helps_and_the_best_single_input_is_the_strongest(make_evaluation):
    e = make_evaluation()
    assert (e.best_single, e.fusion, e.chosen) == ("picture", "gated", "gated")
    assert e.fusion_helps == e.delivered_gain.verdict == "yes"
    assert e.fusion_mcnemar < 0.05
    assert [c.kind for c in e.candidates] == ["single"] * 3 + ["average", "fusion", "delivered"]
    assert e.score == e.delivered.test["accuracy"]


@pytest.mark.parametrize("name", ["accuracy", "log_loss"])
def test_shares_sum_to_the_gain_over_class_frequencies(make_arguments, name):
    given = make_arguments(metric=name)
    e = evaluate(**given)
    rows = len(given["values_test"])
    assert e.prior_value == pytest.approx(
        metric(given["target"], name, given["values_test"], np.full((rows, 5), 0.2))
    )
    gained = abs(e.score.value - e.prior_value)
    assert sum(e.shapley.values()) == pytest.approx(gained)
    assert list(e.shapley) == ["picture", "voice", "note"]


@pytest.mark.parametrize("name", ["accuracy", "log_loss"])
def test_drops_are_positive_where_a_subset_is_worse_for_either_kind_of_metric(make_evaluation, name):
    e = make_evaluation(name)
    assert [s.inputs for s in e.subsets][:3] == [("picture",), ("voice",), ("note",)]
    assert e.subsets[-1].drop == 0
    assert e.worst_subset.inputs == ("note",)
    assert e.worst_subset.drop > 0.1
    assert e.worst_subset.candidate == "note"


def test_an_input_of_noise_is_worth_little(make_evaluation):
    shapley = make_evaluation(inputs=4).shapley
    assert abs(shapley["table"]) < 0.05 < shapley["note"]


def test_the_best_single_input_is_chosen_on_validation_not_on_test(make_arguments):
    given = make_arguments()
    picture, voice = given["candidates"]["picture"], given["candidates"]["voice"]
    given["candidates"]["picture"] = replace(picture, validation=voice.validation[:, ::-1])
    assert evaluate(**given).best_single == "voice"


def test_one_input_has_nothing_to_fuse(make_evaluation):
    e = make_evaluation(inputs=1, classes=2)
    assert (e.fusion, e.fusion_gain, e.fusion_mcnemar, e.worst_subset) == (None, None, None, None)
    assert e.fusion_helps == "no"
    assert e.delivered_gain.value == 0


def test_worst_samples_have_the_highest_loss_and_shares_that_explain_the_prediction(make_arguments):
    given = make_arguments()
    e = evaluate(**given)
    final, targets = given["delivered"].subsets[given["inputs"]], given["values_test"]
    losses = -np.log(final[np.arange(len(targets)), targets])
    assert [s.loss for s in e.samples] == pytest.approx(sorted(losses, reverse=True)[:4])
    for s in e.samples:
        assert s.id == f"row-{s.row}"
        assert s.label == f"class {targets[s.row]}"
        assert sum(s.shares.values()) == pytest.approx(np.log(s.probability / 0.2))


def test_calibration_compares_raw_logits_with_what_is_delivered(make_evaluation):
    c = make_evaluation().calibration
    assert c.temperature == 1.5
    assert c.log_loss_after < c.log_loss_before
    assert sum(b.count for b in c.before) == sum(b.count for b in c.after) == 200


def test_test_rows_of_one_class_leave_the_headline_open_and_break_nothing(make_arguments):
    given = make_arguments(classes=3, metric="roc_auc")
    given["values_test"] = np.zeros_like(given["values_test"])
    e = evaluate(**given)
    assert np.isnan(e.score.value)
    assert e.fusion_helps == "unclear"
    assert Evaluation.from_json(e.to_json()).to_json() == e.to_json()


def test_json_brings_everything_back_media_included(make_evaluation):
    e = make_evaluation()
    shown = e.with_media(
        {e.samples[0].id: {"picture": Media("image", data=b"\xff\x00\xfe", mime="image/png")}}
    )
    back = Evaluation.from_json(shown.to_json())
    assert back.samples == shown.samples
    assert back.samples[0].media["picture"].data == b"\xff\x00\xfe"
    assert (back.candidates, back.subsets, back.classes) == (shown.candidates, shown.subsets, shown.classes)
    assert back.to_json() == shown.to_json()


def test_a_missing_subset_and_a_missing_single_input_are_named(make_arguments):
    given = make_arguments(inputs=2)
    fusion_only = {"gated": given["candidates"]["gated"]}
    with pytest.raises(ValueError, match="none of kind 'single'"):
        evaluate(**{**given, "candidates": fusion_only})
    some = {s: p for s, p in given["delivered"].subsets.items() if s != ("voice",)}
    with pytest.raises(ValueError, match=r"lacks \[\('voice',\)\]"):
        evaluate(**{**given, "delivered": replace(given["delivered"], subsets=some)})


@pytest.mark.parametrize("task", ["ordinal", "multilabel", "regression"])
class TestEveryKind:
    """Rules for classes, on the other kinds of target."""

    def test_shares_sum_to_the_gain_over_the_prior(self, make_evaluation_of, make_arguments_of, task):
        e, given = make_evaluation_of(task), make_arguments_of(task)
        rows = np.tile(given["prior"], (len(given["values_test"]), 1))
        assert e.prior_value == pytest.approx(metric(given["target"], e.metric, given["values_test"], rows))
        assert sum(e.shapley.values()) == pytest.approx(e.score.value - e.prior_value)

    def test_the_interaction_of_two_inputs_is_what_both_bring_beyond_each(self, make_evaluation_of, task):
        e = make_evaluation_of(task)
        alone, other, both = (subset.metric.value for subset in e.subsets)
        assert e.interactions == {"picture × voice": pytest.approx(both - alone - other + e.prior_value)}

    def test_what_is_said_fits_the_kind(self, make_evaluation_of, task):
        e = make_evaluation_of(task)
        assert (e.task, e.metric) == (
            task,
            {"ordinal": "quadratic_kappa", "multilabel": "f1_macro"}.get(task, "r2"),
        )
        assert e.fusion_helps == "yes"
        assert (e.fusion_mcnemar is not None) == bool(e.confusion) == (task == "ordinal")
        assert len(e.scatter) == (120 if task == "regression" else 0)
        assert len(e.per_class) == len(e.classes) == {"ordinal": 4, "multilabel": 3, "regression": 0}[task]
        assert Evaluation.from_json(e.to_json()).to_json() == e.to_json()

    def test_conformal_sets_hold_what_was_promised(self, make_evaluation_of, task):
        conformal = make_evaluation_of(task).conformal
        assert conformal.promised == 0.9
        assert conformal.coverage.low <= conformal.coverage.value <= conformal.coverage.high
        assert conformal.coverage.high > 0.9
        assert conformal.size > 0
        assert 0 <= conformal.abstained <= 1

    def test_worst_samples_have_the_highest_loss_and_shares_that_explain_the_answer(
        self, make_evaluation_of, make_arguments_of, task
    ):
        e, given = make_evaluation_of(task), make_arguments_of(task)
        target, final = given["target"], given["delivered"].subsets[given["inputs"]]
        losses = target.row_losses(given["values_test"], final)
        assert [s.loss for s in e.samples] == pytest.approx(sorted(losses, reverse=True)[:3])
        for s in e.samples:
            answer = final[[s.row]]
            expected = target.leaning(answer, answer) - target.leaning(given["prior"][None], answer)
            assert sum(s.shares.values()) == pytest.approx(expected[0])
            assert s.predicted == target.labels(answer)[0]


def test_the_gain_of_fusion_is_also_given_on_rows_that_the_best_single_input_can_answer(make_arguments):
    given = make_arguments()
    e = evaluate(**given)
    rows = given["present_test"]["picture"]
    truth, fused, alone = (
        given["values_test"],
        given["candidates"]["gated"].test,
        given["candidates"]["picture"].test,
    )
    right = [(p.argmax(1) == truth)[rows].mean() for p in (fused, alone)]
    assert (e.best_single, e.answerable) == ("picture", rows.sum())
    assert e.answerable_gain.value == pytest.approx(right[0] - right[1])
    assert e.answerable_gain.value < e.fusion_gain.value, "the input is missing in one row of ten"
    assert f"on the {rows.sum()} of 200 test rows that have picture." in e.fusion_finding
    assert e.metrics()["fusion_gain_answerable"] == e.answerable_gain.value
    given["present_test"]["picture"] = np.ones(200, bool)
    assert " of 200 test rows" not in evaluate(**given).fusion_finding


def test_groups_of_test_rows_widen_every_interval(make_arguments):
    given = make_arguments()
    order = np.argsort(given["delivered"].subsets[given["inputs"]].argmax(1) != given["values_test"])
    parts = np.empty(200, int)
    parts[order] = np.arange(200) // 20  # the errors are in the last groups
    alone, together = evaluate(**given), evaluate(**given, parts_test=parts)

    def width(each):
        return each.high - each.low

    assert together.score.value == alone.score.value
    assert width(together.score) > 2 * width(alone.score)
    assert width(together.subsets[0].metric) > width(alone.subsets[0].metric)
    assert width(together.conformal.coverage) > width(alone.conformal.coverage)
