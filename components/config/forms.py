"""What people usually change of a file for one run: the fields of the dashboard's forms.

Each field is one option of the file, of the type that it has there. What is left empty stays as the file
has it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from components.config.load import as_override
from components.config.section import Form

AnyFusion = Literal[
    "bottleneck",
    "concat",
    "cross_attention",
    "film",
    "gated",
    "late",
    "low_rank",
    "multiplicative",
    "perceiver",
    "product_of_experts",
    "sum",
    "tensor",
    "transformer",
]


class Changes(Form):
    """Options that differ from those of the file; each field is marked with the option's path."""

    @model_serializer(mode="wrap")
    def _filled_in(self, dumped: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dumped(self).items() if value is not None}

    def overrides(self) -> list[str]:
        """``section.option=value`` of each field that is filled in."""
        return [
            as_override(str(self._option(name)), value)
            for name in type(self).model_fields
            if (value := getattr(self, name)) is not None
        ]

    @classmethod
    def _option(cls, name: str) -> str:
        return next(mark.path for mark in cls.model_fields[name].metadata if isinstance(mark, Option))


class Option:
    """Marks a field with the option that it sets, such as ``training.epochs``."""

    def __init__(self, path: str) -> None:
        self.path = path


Seed = Annotated[int | None, Option("seed"), Field(ge=0, description="Seed of every random draw.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda", "mps"] | None,
    Option("engine.device"),
    Field(description="Device for networks; auto takes a GPU where there is one."),
]


class RetrainChanges(Changes):
    """What differs from the pipeline file; empty fields stay as the file has them."""

    fusion: Annotated[
        AnyFusion | None, Option("fusion.name"), Field(description="How inputs are combined.")
    ] = None
    epochs: Annotated[
        int | None, Option("training.epochs"), Field(ge=1, description="Most passes over the training rows.")
    ] = None
    learning_rate: Annotated[
        float | None, Option("training.learning_rate"), Field(gt=0, description="Highest learning rate.")
    ] = None
    batch_size: Annotated[
        int | None, Option("training.batch_size"), Field(ge=1, description="Rows in a step.")
    ] = None
    strategy: Annotated[
        Literal["staged", "joint"] | None,
        Option("strategy"),
        Field(description="Fit encoders first and fuse their cached features, or train all together."),
    ] = None
    seed: Seed = None
    promotion: Annotated[
        Literal["auto", "dry_run"] | None,
        Option("promotion.mode"),
        Field(description="auto lets the model become champion where it wins; dry_run only says whether."),
    ] = None
    device: Device = None


class SweepChanges(Changes):
    """What differs from the sweep file; empty fields stay as the file has them."""

    fusions: Annotated[
        list[AnyFusion] | None, Option("fusions"), Field(min_length=1, description="Fusions to compare.")
    ] = None
    seeds: Annotated[
        list[int] | None,
        Option("seeds"),
        Field(min_length=1, description="Each is a repetition of everything."),
    ] = None
    trials: Annotated[
        int | None,
        Option("search.trials"),
        Field(ge=0, description="Trials besides that of the defaults; 0 does not search."),
    ] = None
    register_winner: Annotated[
        bool | None,
        Option("register_winner"),
        Field(description="Run each pipeline with its winner and register the model."),
    ] = None


class DistillChanges(Changes):
    """What differs from the distill file; empty fields stay as the file has them."""

    teacher: Annotated[
        str | None,
        Option("teacher"),
        Field(description="models:/NAME@champion, the key of a run or the folder of a bundle."),
    ] = None
    seeds: Annotated[
        list[int] | None,
        Option("seeds"),
        Field(min_length=1, description="Each is a repetition of every student."),
    ] = None
    register_students: Annotated[
        bool | None, Option("register_students"), Field(description="Register the trained students.")
    ] = None
