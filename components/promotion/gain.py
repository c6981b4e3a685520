"""Test of the gain, by which a challenger wins."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.config.pipeline import PipelineConfig
from components.evaluation.bootstrap import gain_of, paired_replicates
from components.evaluation.intervals import Gain
from components.promotion.budget import Budget
from components.promotion.clauses import rivals_on
from components.promotion.scores import Scores
from components.promotion.unknown import Common
from components.promotion.verdict import Check
from components.seeding import seed_of
from components.targets.metrics import higher_is_better


@dataclass(frozen=True)
class Tested:
    """The gain of a challenger.

    Attributes:
        gain: The gain with its interval.
        check: The clause on it.
        words: Both for people.
        budget: What is left after the test; as before where it costs nothing.
    """

    gain: Gain
    check: Check
    words: str
    budget: Budget | None


def gain_test(
    config: PipelineConfig,
    deciding: Common,
    new: Scores,
    old: Scores,
    digests: NDArray[np.uint64],
    pair: str,
    budget: Budget | None,
) -> Tested:
    """Test the gain by the rule, and pay for the test out of the budget.

    A promotion of what is not worse is no discovery, and is not paid for.

    Args:
        config: The challenger's pipeline.
        deciding: The primary target, on the rows that count.
        new, old: Predictions of challenger and champion.
        digests: Digests of the compared rows.
        pair: The two models.
        budget: What earlier comparisons have left; None before the first.
    """
    rule = config.promotion
    name = rule.metric or deciding.target.metric
    sign = 1.0 if higher_is_better(name) else -1.0
    seed = seed_of(config.seed, "promotion")
    difference = paired_replicates(
        rivals_on(deciding, new, old), name, lambda a, b: sign * (a - b), config.evaluation.bootstrap, seed
    )
    gain = gain_of(difference, rule.confidence)
    words = f"gain {gain.value:+.4f}, {rule.confidence:.0%} interval [{gain.low:+.4f}, {gain.high:+.4f}]"
    if rule.aim == "not_worse":
        passed = gain.low > -rule.margin
        check = Check("gain", gain.low, -rule.margin, passed, f"{name}, low end of the paired interval")
        return Tested(gain, check, f"{words}, required above {-rule.margin:g}", budget)
    budget = (budget or Budget()).compare(digests, pair)
    confidence = 1 - 2 * budget.level(rule.confidence)
    low = gain_of(difference, confidence).low
    check = Check(
        "gain",
        low,
        rule.min_gain,
        low > rule.min_gain,
        f"{name}, low end of the {confidence:.2%} interval: {budget.sentence}",
    )
    words += (
        f"; low end at the {confidence:.2%} of this comparison {low:+.4f}, required above {rule.min_gain:g} "
        f"({budget.sentence})"
    )
    return Tested(gain, check, words, budget)
