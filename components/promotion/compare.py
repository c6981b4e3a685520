"""Decision on a challenger: it and the champion on the same test rows, by a rule of several clauses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from components.config.inputs import InputConfig
from components.config.pipeline import PipelineConfig
from components.config.promotion import PromotionConfig
from components.data.samples import open_samples_table
from components.data.spelling import typed
from components.evaluation.bootstrap import paired_gain
from components.evaluation.shapley import subsets
from components.inference.attribution import MOST_INPUTS
from components.inference.bundle import Bundle
from components.inference.learned_rows import read_learned
from components.inference.predictor import Predictor
from components.promotion.clauses import (
    calibration_check,
    further_check,
    robustness_checks,
    subset_check,
)
from components.promotion.rows import HeldOutRows, ModelRows, rows_of
from components.promotion.scores import score
from components.promotion.unknown import common, spelled_as
from components.promotion.verdict import Check, Verdict
from components.references import Dataset
from components.robustness.results import Robustness
from components.seeding import seed_of
from components.targets import AnyTarget, Regression, Targets
from components.targets.collection import cells_of

FIRST = Verdict(True, "first model under this name")
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


def compare(
    dataset: Dataset, challenger: Rival, champion: Rival, config: PipelineConfig, folder: Path, base: Path
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
    """
    rule = config.promotion
    new_model = Predictor(challenger.bundle, config.engine.device)
    old_model = Predictor(champion.bundle, config.engine.device)
    targets = new_model.bundle.delivered.targets
    known = _counterparts(new_model.bundle, old_model.bundle)
    if targets.primary.name not in known:
        return _undecided(
            champion,
            f"it does not predict {targets.primary.name!r}",
            (),
            "or give promotion.model a new name",
        )
    test = HeldOutRows(open_samples_table(dataset), dataset, config, folder, base)
    new_rows, old_rows = (
        rows_of(model.bundle, read_learned(rival.bundle), test)
        for model, rival in ((new_model, challenger), (old_model, champion))
    )
    lost = _lost_check(old_rows, dataset, rule)
    if not lost.passed:
        return _undecided(champion, lost.note, (lost,), "or set promotion.lost_inputs: allow")
    by_new, by_old = new_rows.known, old_rows.known
    if by_new is None or by_old is None:
        who = champion if by_old is None else challenger
        why = f"which of the test rows {who.name} has learned from cannot be told"
        return _undecided(champion, why, (), "or name a column of ids (data.id)")
    fresh = np.flatnonzero(~(by_new | by_old))
    samples, new_rows, old_rows = test.samples.iloc[fresh], new_rows.take(fresh), old_rows.take(fresh)
    shared_targets = {
        name: common(
            next(target for target in targets if target.name == name),
            [new_model.bundle.target_cell(name, typed(cell)) for cell in cells_of(samples, name)],
            target,
        )
        for name, (_, target) in known.items()
    }
    deciding = shared_targets[targets.primary.name]
    unknown = deciding.check(rule.max_unknown)
    if not unknown.passed:
        return _undecided(
            champion,
            f"{deciding.share:.0%} of the test rows have classes that it does not know, "
            f"promotion.max_unknown is {rule.max_unknown:.0%} ({unknown.note})",
            (unknown,),
            "or raise the bound",
        )
    rows = deciding.rows
    note = (
        f"{rows.sum()} of {len(test.samples)} test rows can be compared; {champion.name} has learned from "
        f"{by_old.sum()} of them, {challenger.name} from {by_new.sum()}"
    )
    enough = Check("fresh rows", int(rows.sum()), rule.min_rows, bool(rows.sum() >= rule.min_rows), note)
    if not enough.passed:
        why = f"{note}; promotion.min_rows is {rule.min_rows}"
        return _undecided(champion, why, (enough,), "or wait for new rows")
    paired = _paired(new_model.bundle.inputs, old_model.bundle.inputs)  # old name → new name
    shared = [name for name in new_model.inputs if name in paired.values()]
    by_subset = rule.max_subset_loss is not None and 0 < len(shared) <= MOST_INPUTS
    asked = subsets(shared) if by_subset else []
    new = score(
        new_model, new_rows, asked, {name: name for name in new_model.inputs}, {t.name: t for t in targets}
    )
    old = score(
        old_model,
        old_rows,
        asked,
        {name: paired.get(name, f"{name} of the champion") for name in old_model.inputs},
        {target.name: target for target in old_model.bundle.delivered.targets} | dict(known.values()),
    )

    target, values = deciding.target, deciding.values
    name = rule.metric or target.metric
    gain = paired_gain(
        target,
        values[rows],
        new.of(target)[rows],
        old.of(target)[rows],
        name,
        config.evaluation.bootstrap,
        rule.confidence,
        seed_of(config.seed, "promotion"),
    )
    won = gain.low > rule.min_gain
    checks = [Check("gain", gain.low, rule.min_gain, won, f"{name}, low end of the paired interval")]
    checks.append(enough)
    checks += [unknown] if deciding.unknown else []
    checks += [lost] if old_rows.lost else []
    if rule.max_subset_loss is not None:
        checks.append(subset_check(target, values, rows, new, old, asked, name, rule.max_subset_loss))
    checks += calibration_check(rule, target, values, rows, new, old)
    checks += robustness_checks(rule, challenger.robustness, champion.robustness, challenger.unmeasured)
    if rule.max_further_loss is not None:
        for other in targets.each[1:]:
            checks.append(further_check(other.name, shared_targets.get(other.name), new, old, rule))
    reason = (
        f"{name} {'better' if won else 'not shown to be better'} than {champion.name} on the same "
        f"{rows.sum()} test rows: gain {gain.value:+.4f}, {rule.confidence:.0%} interval "
        f"[{gain.low:+.4f}, {gain.high:+.4f}], required above {rule.min_gain:g}"
    )
    if deciding.unknown:
        reason += f"; {deciding.share:.0%} of the test rows are left out, as {deciding.note}"
    left_out = len(test.samples) - len(fresh)
    if left_out:
        reason += f"; {left_out} of {len(test.samples)} test rows are left out, as {note}"
    if old_rows.lost:
        reason += f"; {champion.name} was scored without a part of its inputs: {lost.note}"
    broken = [check for check in checks[1:] if not check.passed]
    if broken:
        objections = "; ".join(
            f"{check.name} {check.found:.4f} exceeds {check.bound:g} ({check.note})"
            if check.measured
            else f"{check.name} could not be measured ({check.note})"
            for check in broken
        )
        reason += f"; {'but ' if won else ''}{objections}"
    return Verdict(won and not broken, reason, gain, tuple(checks), champion.name)


def _undecided(champion: Rival, why: str, checks: tuple[Check, ...], remedy: str) -> Verdict:
    reason = f"not comparable with {champion.name}: {why}. {_BY_HAND}, {remedy}"
    return Verdict(False, reason, None, checks, champion.name, undecided=True)


def _lost_check(rows: ModelRows, dataset: Dataset, rule: PromotionConfig) -> Check:
    """Return the clause on what the champion reads and the data lack."""
    note = f"it reads {', '.join(rows.lost)}, which {dataset.source} lacks"
    passed = not rows.lost or rule.lost_inputs == "allow"
    return Check("lost inputs", len(rows.lost), 0, passed, note)


def _counterparts(new: Bundle, old: Bundle) -> dict[str, tuple[str, AnyTarget]]:
    """Pair the targets of two models by name; a single target with the same classes may have another name.

    Returns:
        By the challenger's name: the champion's name, and its target with name and classes as the challenger
        spells them.
    """
    mine, theirs = new.delivered.targets, old.delivered.targets
    pairs = {target.name: target for target in theirs if target.name in [each.name for each in mine]}
    if not pairs and _renamed(mine, theirs, new):
        pairs = {mine.primary.name: theirs.primary}
    return {
        name: (target.name, replace(spelled_as(target, new.spelling(name)), name=name))
        for name, target in pairs.items()
    }


def _renamed(mine: Targets, theirs: Targets, new: Bundle) -> bool:
    """Return True if the only targets of two models differ in name alone."""
    one, other = mine.primary, theirs.primary
    if len(mine) > 1 or len(theirs) > 1 or isinstance(one, Regression) or isinstance(other, Regression):
        return False
    spelled = spelled_as(other, new.spelling(one.name))
    return one.task == other.task and set(one.columns) == set(spelled.columns)


def _paired(new: Mapping[str, InputConfig], old: Mapping[str, InputConfig]) -> dict[str, str]:
    """Pair inputs that read the same columns, then those of one name; the champion's name gives the other."""

    def source(section: InputConfig) -> tuple[str, Sequence[str]]:
        return section.modality, sorted(section.columns)

    pairs: dict[str, str] = {}
    for alike in (lambda a, b: source(old[a]) == source(new[b]), lambda a, b: a == b):
        for name in old:
            partner = next((b for b in new if b not in pairs.values() and alike(name, b)), None)
            if name not in pairs and partner is not None:
                pairs[name] = partner
    return pairs
