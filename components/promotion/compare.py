"""Decision on a challenger: it and the champion on the same test rows, by a rule of several clauses."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from components.config.pipeline import PipelineConfig
from components.config.promotion import PromotionConfig
from components.data.samples import open_samples_table
from components.data.spelling import typed
from components.inference.bundle import Bundle
from components.inference.learned_rows import read_learned
from components.inference.predictor import Predictor
from components.promotion.budget import Budget, Digests
from components.promotion.clauses import (
    calibration_check,
    further_check,
    losing_subsets,
    robustness_checks,
    subset_check,
)
from components.promotion.gain import Tested, gain_test
from components.promotion.gates import Gate
from components.promotion.pairing import counterparts, paired_inputs, shared_subsets
from components.promotion.rows import HeldOutRows, ModelRows, rows_of
from components.promotion.scores import Scores, score
from components.promotion.unknown import Common, common
from components.promotion.verdict import Check, Verdict
from components.references import Dataset
from components.robustness.results import Robustness
from components.seeding import seed_of
from components.targets import AnyTarget
from components.targets.collection import cells_of

FIRST = Verdict(True, "first model under this name")
LOST = "lost inputs"
_BY_HAND = "Decide by hand (braid promote --force)"


@dataclass(frozen=True)
class Rival:
    """One of the two models.

    Attributes:
        bundle: Its folder.
        name: What to call it.
        robustness: Its recorded curves; None where they were not measured.
        unmeasured: Failure of the measurement of robustness; None where it went well or was not asked for.
    """

    bundle: Path
    name: str
    robustness: Robustness | None = None
    unmeasured: str | None = None


@dataclass(frozen=True)
class _Shared:
    """Test rows that neither model has learned from, as both take them.

    Attributes:
        samples: N rows of the samples table.
        new, old: These rows as each model takes them.
        targets: Targets of both models by name, with the rows that count.
        digests: (N,) digests that name the rows.
        note: Number of rows that can be compared, and why not the others.
        left_out: Number of test rows that one of the models has learned from.
    """

    samples: pd.DataFrame
    new: ModelRows
    old: ModelRows
    targets: Mapping[str, Common]
    digests: Digests
    note: str
    left_out: int


def compare(
    dataset: Dataset,
    challenger: Rival,
    champion: Rival,
    config: PipelineConfig,
    folder: Path,
    base: Path,
    budget: Budget | None = None,
) -> Verdict:
    """Score both models on the same test rows and apply the challenger's rule.

    Each model is given its own inputs and columns of the data. A loss in a metric that rises with quality is
    in points of it; in one that falls (an error), it is the share by which the error grew.

    Args:
        dataset: Reference to the samples.
        challenger: What may become champion.
        champion: What is champion.
        config: The challenger's pipeline, whose promotion rule holds.
        folder: Work folder for the index of media files and for generated data.
        base: Folder of the pipeline file.
        budget: What earlier comparisons under this name have left; None before the first.
    """
    rule = config.promotion
    models = [Predictor(each.bundle, config.engine.device) for each in (challenger, champion)]
    new_model, old_model = models
    primary = new_model.bundle.delivered.targets.primary.name
    known = counterparts(new_model.bundle, old_model.bundle)
    if primary not in known:
        why = f"it does not predict {primary!r}"
        return _undecided(champion, why, (), "or give promotion.model a new name")
    test = HeldOutRows(open_samples_table(dataset), dataset, config, folder, base)
    new_rows, old_rows = (
        rows_of(model.bundle, read_learned(rival.bundle), test)
        for model, rival in zip(models, (challenger, champion), strict=True)
    )
    lost = _lost_check(old_rows, dataset, rule)
    if not lost.passed:
        return _undecided(champion, lost.note, (lost,), "or set promotion.lost_inputs: allow")
    if new_rows.known is None or old_rows.known is None:
        who = champion if old_rows.known is None else challenger
        why = f"which of the test rows {who.name} has learned from cannot be told"
        return _undecided(champion, why, (), "or name a column of ids (data.id)")
    shared = _shared(test, new_rows, old_rows, known, new_model.bundle, (challenger.name, champion.name))
    deciding = shared.targets[primary]
    unknown = deciding.check(rule.max_unknown)
    if not unknown.passed:
        why = (
            f"{deciding.share:.0%} of the test rows have classes that it does not know, "
            f"promotion.max_unknown is {rule.max_unknown:.0%} ({unknown.note})"
        )
        return _undecided(champion, why, (unknown,), "or raise the bound")
    count = int(deciding.rows.sum())
    enough = Check("fresh rows", count, rule.min_rows, count >= rule.min_rows, shared.note)
    if not enough.passed:
        why = f"{shared.note}; promotion.min_rows is {rule.min_rows}"
        return _undecided(champion, why, (enough,), "or wait for new rows")

    asked = [] if rule.max_subset_loss is None else shared_subsets(new_model.bundle, old_model.bundle)
    new, old = _scores(new_model, old_model, shared, known, asked)
    pair = f"{challenger.name} and {champion.name}"
    gain = gain_test(config, deciding, new, old, shared.digests[deciding.rows], pair, budget)
    checks = [gain.check, enough]
    checks += [unknown] if deciding.unknown else []
    checks += [lost] if old_rows.lost else []
    checks += _losses(config, shared.targets, primary, new, old, asked, (challenger, champion))
    reason = _reason(champion, rule, gain, shared, deciding, checks)
    is_better = all(check.passed for check in checks)
    return Verdict(is_better, reason, gain.gain, tuple(checks), champion.name, budget=gain.budget)


def _shared(
    test: HeldOutRows,
    new_rows: ModelRows,
    old_rows: ModelRows,
    known: Mapping[str, tuple[str, AnyTarget]],
    new: Bundle,
    names: tuple[str, str],
) -> _Shared:
    """Leave out the rows that one of the models has learned from, and what the champion cannot know."""
    assert new_rows.known is not None
    assert old_rows.known is not None
    fresh = np.flatnonzero(~(new_rows.known | old_rows.known))
    samples = test.samples.iloc[fresh]
    parts = test.parts[fresh]
    targets = {
        name: common(
            next(target for target in new.delivered.targets if target.name == name),
            [new.target_cell(name, typed(cell)) for cell in cells_of(samples, name)],
            target,
            parts,
        )
        for name, (_, target) in known.items()
    }
    count = targets[new.delivered.targets.primary.name].rows.sum()
    note = (
        f"{count} of {len(test.samples)} test rows can be compared; {names[1]} has learned from "
        f"{old_rows.known.sum()} of them, {names[0]} from {new_rows.known.sum()}"
    )
    left_out = len(test.samples) - len(fresh)
    return _Shared(
        samples, new_rows.take(fresh), old_rows.take(fresh), targets, test.digests[fresh], note, left_out
    )


def _scores(
    new: Predictor,
    old: Predictor,
    shared: _Shared,
    known: Mapping[str, tuple[str, AnyTarget]],
    asked: Sequence[tuple[str, ...]],
) -> tuple[Scores, Scores]:
    """Score both models, with the challenger's names of inputs and targets."""
    targets, paired = new.bundle.delivered.targets, paired_inputs(new.bundle.inputs, old.bundle.inputs)
    return (
        score(new, shared.new, asked, {name: name for name in new.inputs}, {t.name: t for t in targets}),
        score(
            old,
            shared.old,
            asked,
            {name: paired.get(name, f"{name} of the champion") for name in old.inputs},
            {target.name: target for target in old.bundle.delivered.targets} | dict(known.values()),
        ),
    )


def _losses(
    config: PipelineConfig,
    targets: Mapping[str, Common],
    primary: str,
    new: Scores,
    old: Scores,
    asked: Sequence[tuple[str, ...]],
    rivals: tuple[Rival, Rival],
) -> Iterator[Check]:
    """Test what the challenger may lose, with one level for all clauses together."""
    rule, deciding = config.promotion, targets[primary]
    further = [name for name in new.targets if name != primary] if rule.max_further_loss is not None else []
    count = len(losing_subsets(asked, new.inputs, old.inputs)) + 1 + len(further)
    challenger, champion = rivals
    if challenger.robustness is not None and champion.robustness is not None:
        count += 2
    seed = seed_of(config.seed, "promotion")
    gate = Gate(rule.confidence, count, config.evaluation.bootstrap, seed)
    if rule.max_subset_loss is not None:
        metric = rule.metric or deciding.target.metric
        yield subset_check(gate, deciding, new, old, asked, metric, rule.max_subset_loss)
    if rule.max_calibration_loss is not None:
        yield calibration_check(gate, deciding, new, old, rule.max_calibration_loss)
    if rule.max_robustness_loss is not None:
        yield from robustness_checks(
            gate,
            rule.max_robustness_loss,
            challenger.robustness,
            champion.robustness,
            challenger.unmeasured,
        )
    for name in further:
        bound = float(rule.max_further_loss or 0)
        yield further_check(gate, name, targets.get(name), new, old, bound, rule.max_unknown)


def _reason(
    champion: Rival,
    rule: PromotionConfig,
    gain: Tested,
    shared: _Shared,
    deciding: Common,
    checks: Sequence[Check],
) -> str:
    """Write the decision in words."""
    name = rule.metric or deciding.target.metric
    shown = "better" if rule.aim == "superior" else "not worse"
    is_shown = gain.check.passed
    reason = (
        f"{name} {shown if is_shown else f'not shown to be {shown}'} than {champion.name} on the same "
        f"{deciding.rows.sum()} test rows: {gain.words}"
    )
    if deciding.unknown:
        reason += f"; {deciding.share:.0%} of the test rows are left out, as {deciding.note}"
    if shared.left_out:
        total = len(shared.samples) + shared.left_out
        reason += f"; {shared.left_out} of {total} test rows are left out, as {shared.note}"
    for check in checks:
        if check.name == LOST:
            reason += f"; {champion.name} was scored without a part of its inputs: {check.note}"
    broken = "; ".join(_objection(check) for check in checks[1:] if not check.passed)
    if broken:
        reason += f"; {'but ' if is_shown else ''}{broken}"
    open_ones = [check.name for check in checks if check.undecided]
    return f"{reason}; too few rows to decide on {', '.join(open_ones)}" if open_ones else reason


def _undecided(champion: Rival, why: str, checks: tuple[Check, ...], remedy: str) -> Verdict:
    reason = f"not comparable with {champion.name}: {why}. {_BY_HAND}, {remedy}"
    return Verdict(False, reason, None, checks, champion.name, undecided=True)


def _lost_check(rows: ModelRows, dataset: Dataset, rule: PromotionConfig) -> Check:
    """Return the clause on what the champion reads and the data lack."""
    note = f"it reads {', '.join(rows.lost)}, which {dataset.source} lacks"
    passed = not rows.lost or rule.lost_inputs == "allow"
    return Check(LOST, len(rows.lost), 0, passed, note)


def _objection(check: Check) -> str:
    """Write why a clause stands in the way."""
    if not check.measured:
        return f"{check.name} could not be measured ({check.note})"
    how = "exceeds" if check.found > check.bound else "is not shown to be within"
    return f"{check.name} {check.found:.4f} {how} {check.bound:g} ({check.note})"
