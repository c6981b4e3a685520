"""Targets that a model predicts, by task."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from components.config.section import Section

Threshold = Literal["auto"] | Annotated[float, Field(gt=0, lt=1)]


class _Target(Section):
    column: str = Field("label", description="Column of the manifest.")

    @classmethod
    def metrics(cls) -> tuple[str, ...]:
        """Return the metrics that may be chosen."""
        return get_args(cls.model_fields["metric"].annotation)


class ClassificationTarget(_Target):
    """Target with one of two or more classes."""

    task: Literal["classification"] = Field("classification", description="One class per row.")
    metric: Literal["accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "roc_auc", "log_loss"] = (
        Field(
            "accuracy",
            description="Metric for early stopping and selection on validation, and for the headline.",
        )
    )
    threshold: Threshold = Field(
        "auto",
        description="Probability from which the last of two classes is given. For a metric of F1, auto finds "
        "it, or one per class, on rows that nothing has learned from; for other metrics it gives the most "
        "probable class. 0.5 always gives that.",
    )


class OrdinalTarget(_Target):
    """Target with one of several ordered classes."""

    task: Literal["ordinal"] = Field("ordinal", description="A class of an ordered scale.")
    order: list[str] | None = Field(
        None,
        min_length=2,
        description="All classes, lowest first; null sorts those of the training rows by their number.",
    )
    metric: Literal["quadratic_kappa", "mae", "accuracy", "balanced_accuracy", "within_one", "log_loss"] = (
        Field("quadratic_kappa", description="Metric for early stopping, selection and headline.")
    )

    @field_validator("order", mode="before")
    @classmethod
    def _numbers_are_words(cls, order: Any) -> Any:
        if not isinstance(order, list):
            return order
        return [str(word) if isinstance(word, int) and not isinstance(word, bool) else word for word in order]

    @model_validator(mode="after")
    def _classes_differ(self) -> OrdinalTarget:
        for word in self.order or ():
            if self.order is not None and self.order.count(word) > 1:
                raise ValueError(f"order: {word!r} is repeated")
        return self


class MultilabelTarget(_Target):
    """Target with any number of labels per row."""

    task: Literal["multilabel"] = Field("multilabel", description="Any number of labels per row.")
    separator: str = Field("|", min_length=1, description="Separator of the labels in a cell.")
    none: str = Field(
        "none", description="Word that stands for no label; an empty cell is an unknown target."
    )
    metric: Literal["f1_macro", "f1_micro", "average_precision", "roc_auc", "subset_accuracy", "log_loss"] = (
        Field("f1_macro", description="Metric for early stopping, selection and headline.")
    )
    threshold: Threshold = Field(
        "auto",
        description="Probability from which a label is given. auto finds one per label on rows that nothing "
        "has learned from, for f1_micro the same for all; for subset_accuracy it is 0.5.",
    )


class RegressionTarget(_Target):
    """Target with a number."""

    task: Literal["regression"] = Field("regression", description="A number per row.")
    loss: Literal["gaussian", "huber", "absolute"] = Field(
        "gaussian", description="Loss of the mean; huber and absolute are robust to outliers."
    )
    transform: Literal["auto", "none", "log", "asinh"] = Field(
        "auto",
        description="Scale on which the number is learned and its uncertainty is even. log is for skewed "
        "numbers from 0, asinh (inverse hyperbolic sine) for long tails on either side and outliers; auto "
        "takes one of them where training rows are clearly more likely with it.",
    )
    metric: Literal["r2", "rmse", "mae", "mape", "log_loss"] = Field(
        "r2", description="Metric for early stopping, selection and headline."
    )


def task(value: Any) -> str:
    """Return the task of a section, classification by default; messages show this function's name."""
    if isinstance(value, dict):
        return str(value.get("task", "classification"))
    return str(getattr(value, "task", "classification"))


TargetConfig = Annotated[
    Annotated[ClassificationTarget, Tag("classification")]
    | Annotated[OrdinalTarget, Tag("ordinal")]
    | Annotated[MultilabelTarget, Tag("multilabel")]
    | Annotated[RegressionTarget, Tag("regression")],
    Discriminator(task),
]
