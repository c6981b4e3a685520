"""Everything that a model is made of, as references."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from components.config import PipelineConfig
from components.pipeline.combine import Fitted
from components.references import (
    Dataset,
    EncoderWeights,
    Features,
    FusedModel,
    OutOfFold,
    Prepared,
    Single,
    Trained,
)
from components.training.folds import Fold


@dataclass(frozen=True)
class Parts:
    """Everything that a model is made of, as references.

    Attributes:
        dataset: The samples.
        prepared: Canonical samples by input; by learner before the learners of an input are combined.
        pretrained: Encoders aligned before their fits; None without such an alignment.
        encoders: Fit or frozen encoder by input.
        features: Embeddings by input.
        singles: Each input on its own: encoder and head.
        unseen: Training rows out of fold, by input; empty without folds.
        learners: The learners of each input, as they were before they were combined.
        folds: Folds of the training rows; empty without.
        fused: The fusion; None with a single input, or before its training.
        fused_folds: The fusion trained without each fold; empty for late fusion, which needs none.
        trees: Trees over all inputs, and those without each fold; empty where the fusion is alone.
        config: The pipeline, without what a run with ``time_limit`` left out.
    """

    dataset: Dataset
    prepared: dict[str, Prepared]
    pretrained: Trained | None
    encoders: dict[str, Single | EncoderWeights]
    features: dict[str, Features]
    singles: dict[str, Single]
    unseen: dict[str, OutOfFold] = field(default_factory=dict)
    learners: dict[str, list[Fitted]] = field(default_factory=dict)
    folds: Sequence[Fold] = ()
    fused: FusedModel | None = None
    fused_folds: Sequence[FusedModel] = ()
    trees: Sequence[FusedModel] = ()
    config: PipelineConfig = field(kw_only=True)
