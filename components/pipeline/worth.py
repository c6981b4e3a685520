"""Worth of each input by its first learner: whether further learners can pay."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from components.pipeline.fuse import training_prior
from components.pipeline.unseen import open_unseen
from components.references import Dataset, Features, OutOfFold, Single, Worth
from components.targets import known_rows
from components.training.stack import held_out

_ROWS = 4_000  # evenly spread; more do not change the answer
_SURE = 2.0  # standard errors
_LEAST = 0.005  # of the loss without the input: less is not worth a training


def measure_worth(
    dataset: Dataset,
    features: Mapping[str, Features],
    singles: Mapping[str, Single],
    unseen: Mapping[str, OutOfFold],
) -> dict[str, Worth]:
    """Measure the log loss of the primary target with each input, without it, and by it alone.

    The inputs are pooled by late fusion with weights from other rows. Rows are those that no fit has learned
    from. An input adds nothing if even the upper bound of its gain is next to nothing.

    Args:
        dataset: Reference to the samples.
        features, singles, unseen: One learner of each input, by label; ``unseen`` is empty without folds.

    Returns:
        Worth by name of the input.
    """
    names = {label: feature.encoder.input for label, feature in features.items()}
    rows = open_unseen(
        dataset,
        {names[label]: each for label, each in features.items()},
        {names[label]: each for label, each in singles.items()},
        {names[label]: each for label, each in unseen.items()},
        0,
    )
    inputs = sorted(names.values())
    only = {name: torch.tensor([each == name for each in inputs]) for name in inputs}
    masks = [torch.ones(len(inputs), dtype=torch.bool), *(~only[name] for name in inputs), *only.values()]
    some = torch.arange(0, len(rows.present), max(1, len(rows.present) // _ROWS))
    natural = {name: each[some] for name, each in rows.natural.items()}
    values = {name: each[some] for name, each in rows.values.items()}
    present, prior = rows.present[some], training_prior(dataset)
    pooled = held_out(dataset.targets, natural, present, values, prior, masks, rows.folds[some.numpy()])
    target = dataset.targets.primary
    part = dataset.targets.slices[target.name]
    known = known_rows(values[target.name])
    truth = values[target.name][known].numpy()

    def losses(natural: Tensor) -> np.ndarray:
        return target.row_losses(
            truth, target.predict(target.proper(natural[known][:, part].double())).numpy()
        )

    whole, *others = map(losses, pooled)
    nothing = losses(prior.repeat(len(present), 1))
    result = {}
    for column, name in enumerate(inputs):
        without, alone = others[column], others[len(inputs) + column]
        has = present[known][:, column].numpy()
        result[name] = Worth(
            adds=_can_gain(without[has], whole[has]), says_something=_can_gain(nothing[has], alone[has])
        )
    return result


def _can_gain(before: np.ndarray, after: np.ndarray) -> bool:
    """Tell if the upper bound of the mean gain is more than next to nothing."""
    if len(before) < 2:
        return True
    gain = before - after
    bound = gain.mean() + _SURE * gain.std(ddof=1) / math.sqrt(len(gain))
    return bool(bound > _LEAST * before.mean())
