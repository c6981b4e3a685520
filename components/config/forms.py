"""Forms of the dashboard: options of a file that users often change for one run.

Each field sets one option of the file and has its type. An empty field keeps the file's value.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from components.config.load import as_override
from components.config.presets import Quality
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
    "trees",
]


class Changes(Form):
    """Changes of a file's options; the :class:`Option` of each field gives the option's path."""

    @model_serializer(mode="wrap")
    def _filled_in(self, dumped: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dumped(self).items() if value is not None}

    def overrides(self) -> list[str]:
        """Return ``section.option=value`` of each field that is not empty."""
        return [
            as_override(str(self._option(name)), value)
            for name in type(self).model_fields
            if (value := getattr(self, name)) is not None
        ]

    @classmethod
    def _option(cls, name: str) -> str:
        return next(mark.path for mark in cls.model_fields[name].metadata if isinstance(mark, Option))


class Option:
    """Mark of a field: the path of the option that it sets, such as ``training.epochs``."""

    def __init__(self, path: str) -> None:
        self.path = path


Seed = Annotated[int | None, Option("seed"), Field(ge=0, description="Seed of every random draw.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda", "mps"] | None,
    Option("engine.device"),
    Field(description="Device for networks; auto takes a GPU if there is one."),
]


class RetrainChanges(Changes):
    """Changes of the pipeline file; an empty field keeps the file's value."""

    quality: Annotated[
        Quality | None,
        Option("quality"),
        Field(description="Preset of every option that the file leaves open."),
    ] = None
    time_limit: Annotated[
        str | None,
        Option("time_limit"),
        Field(description="Most time of the run, such as 90s, 10m or 2h; it ends with the best it has then."),
    ] = None
    fusion: Annotated[
        AnyFusion | None, Option("fusion.name"), Field(description="Fusion, which combines the inputs.")
    ] = None
    epochs: Annotated[int | None, Option("training.epochs"), Field(ge=1, description="Most epochs.")] = None
    learning_rate: Annotated[
        float | None, Option("training.learning_rate"), Field(gt=0, description="Highest learning rate.")
    ] = None
    batch_size: Annotated[
        int | None, Option("training.batch_size"), Field(ge=1, description="Rows per step.")
    ] = None
    strategy: Annotated[
        Literal["staged", "joint"] | None,
        Option("strategy"),
        Field(description="staged fits encoders first and fuses cached features; joint trains all together."),
    ] = None
    seed: Seed = None
    promotion: Annotated[
        Literal["auto", "dry_run"] | None,
        Option("promotion.mode"),
        Field(description="auto makes the model champion if it wins; dry_run only reports the decision."),
    ] = None
    device: Device = None


class SweepChanges(Changes):
    """Changes of the sweep file; an empty field keeps the file's value."""

    fusions: Annotated[
        list[AnyFusion] | None, Option("fusions"), Field(min_length=1, description="Fusions to compare.")
    ] = None
    seeds: Annotated[
        list[int] | None,
        Option("seeds"),
        Field(min_length=1, description="Seeds; each repeats everything."),
    ] = None
    trials: Annotated[
        int | None,
        Option("search.trials"),
        Field(ge=0, description="Trials besides the defaults; 0 does not search."),
    ] = None
    register_winner: Annotated[
        bool | None,
        Option("register_winner"),
        Field(description="Run each pipeline with its winner and register the model."),
    ] = None


class DistillChanges(Changes):
    """Changes of the distill file; an empty field keeps the file's value."""

    teacher: Annotated[
        str | None,
        Option("teacher"),
        Field(description="models:/NAME@champion, the key of a run or the folder of a bundle."),
    ] = None
    seeds: Annotated[
        list[int] | None,
        Option("seeds"),
        Field(min_length=1, description="Seeds; each repeats every student."),
    ] = None
    register_students: Annotated[
        bool | None, Option("register_students"), Field(description="Register the trained students.")
    ] = None
