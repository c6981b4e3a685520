"""Shares of each input in a prediction of the delivered model."""

from collections.abc import Mapping, Sequence

import numpy as np

from components.errors import ModelError
from components.evaluation.shapley import leaning_shares, subsets
from components.inference.ensemble import CandidateEnsemble, Embeddings
from components.targets import AnyTarget, FloatArray

MOST_INPUTS = 6  # 63 subsets, of which the model is asked each

Predictions = Mapping[tuple[str, ...], FloatArray]


def subset_predictions(
    model: CandidateEnsemble, target: AnyTarget, embeddings: Embeddings, inputs: Sequence[str]
) -> dict[tuple[str, ...], FloatArray]:
    """Predict one target from every non-empty subset of some inputs; see :meth:`CandidateEnsemble.answer`."""
    return {subset: model.answer(target, embeddings, subset).numpy() for subset in subsets(inputs)}


def share_columns(
    model: CandidateEnsemble, target: AnyTarget, predictions: Predictions, embeddings: Embeddings
) -> dict[str, FloatArray]:
    """Columns ``share_<input>`` of one target: exact Shapley values (see :meth:`Target.leaning`).

    Args:
        model: The delivered model.
        target: One of its targets.
        predictions: Of :func:`subset_predictions`.
        embeddings: Of the same N rows.

    Returns:
        (N,) for each input of the model, exactly 0 where a row has it not or it may not be used. In each row
        they sum to the leaning of the answer less that of the answer without any input.
    """
    shares = leaning_shares(target, predictions, model.prior_prediction(target).numpy())
    present = embeddings.present.cpu().numpy()  # (N, M), columns as in model.inputs
    return {
        f"share_{name}": np.where(present[:, column], shares.get(name, 0.0), 0.0)
        for column, name in enumerate(model.inputs)
    }


def check_number(inputs: Sequence[str]) -> None:
    """Raise ModelError where exact shares would ask the model too often."""
    if len(inputs) > MOST_INPUTS:
        raise ModelError(
            f"explain: shares are exact over all {2 ** len(inputs) - 1} subsets of {len(inputs)} inputs; "
            f"that is done for up to {MOST_INPUTS}. Name as many with inputs: {', '.join(inputs)}."
        )
