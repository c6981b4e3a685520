"""Targets and inputs of two models that are the same thing, whatever each model calls it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from components.config.inputs import InputConfig
from components.evaluation.shapley import subsets
from components.inference.attribution import MOST_INPUTS
from components.inference.bundle import Bundle
from components.promotion.unknown import spelled_as
from components.targets import AnyTarget, Regression, Targets


def counterparts(new: Bundle, old: Bundle) -> dict[str, tuple[str, AnyTarget]]:
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


def paired_inputs(new: Mapping[str, InputConfig], old: Mapping[str, InputConfig]) -> dict[str, str]:
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


def shared_subsets(new: Bundle, old: Bundle) -> Sequence[tuple[str, ...]]:
    """List the subsets of the inputs that both models have; none if there are too many."""
    paired = paired_inputs(new.inputs, old.inputs)
    shared = [name for name in new.inputs if name in paired.values()]
    return subsets(shared) if 0 < len(shared) <= MOST_INPUTS else []
