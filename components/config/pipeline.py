"""Pipeline file: data, inputs, targets, model, evaluation and promotion of one pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from components.config.alignment import AlignmentConfig, ClipConfig, SigLipConfig
from components.config.audit import AuditConfig
from components.config.balance import OGMGE, BalanceConfig, NoCure
from components.config.data import DataConfig
from components.config.durations import limit_seconds
from components.config.encoders import (
    AnyEncoderConfig,
    FittedConfig,
    PretrainedConfig,
    UntrainedConfig,
)
from components.config.engine import EngineConfig
from components.config.evaluation import EvaluationConfig
from components.config.fusion import FusionConfig, LateConfig, TensorConfig, TreeFusionConfig, tensor_entries
from components.config.inputs import InputConfig
from components.config.monitor import MonitoringConfig
from components.config.presets import Quality, with_preset
from components.config.promotion import PromotionConfig
from components.config.section import Section
from components.config.targets import ClassificationTarget, OrdinalTarget, TargetConfig
from components.config.training import FusionTrainingConfig
from components.errors import nearest

RESERVED = frozenset(
    {
        "id",
        "row",
        "split",
        "target",
        "group",
        "average",
        "late",
        "trees",
        "fusion",
        "ensemble",
        "joint",
        "delivered",
        "alignment",
        "pretraining",
    }
)


@cache
def _modules() -> tuple[Any, ...]:
    """Return torch's containers in which networks register their parts under the inputs' names."""
    # torch takes seconds to import, and few callers need it
    from torch.nn import ModuleDict, ParameterDict

    return ModuleDict(), ParameterDict()


def is_reserved(name: str) -> bool:
    """Return True for a name that no input can have."""
    return name in RESERVED or any(hasattr(module, name) for module in _modules())


class PipelineConfig(Section):
    """A whole pipeline file."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$", description="Name of runs and of the model."
    )
    quality: Quality = Field(
        "good",
        description="Preset of every option that the file leaves open: encoders that auto tries, folds, "
        "epochs, and the size of optional steps. `braid check` shows its choice.",
    )
    time_limit: str | None = Field(
        None,
        description="Most time of a retraining, such as 90s, 10m or 2h: it ends then with the best model it "
        "has, and says what it left out. null is without.",
    )
    data: DataConfig = Field(description="Manifest of the samples.")
    target: TargetConfig = Field(
        default_factory=ClassificationTarget,
        description="Target that decides: early stopping, selection and promotion use its metric.",
    )
    further_targets: list[TargetConfig] = Field(
        [], description="Further columns that the same model predicts."
    )
    inputs: dict[str, InputConfig] = Field(min_length=1, description="Inputs of the model, by name.")
    strategy: Literal["staged", "joint"] = Field(
        "staged",
        description="staged fits encoders first and fuses their cached features; joint trains all together.",
    )
    fusion: FusionConfig = Field(default_factory=LateConfig, description="Fusion, which combines the inputs.")
    balance: BalanceConfig = Field(
        default_factory=NoCure, description="Remedy if the fused model neglects an input."
    )
    training: FusionTrainingConfig = Field(
        default_factory=FusionTrainingConfig,
        description="Training of the fusion (staged) or of everything (joint).",
    )
    joint_epochs: int = Field(
        0,
        ge=0,
        description="Epochs of a last phase that trains encoders and fusion together (strategy: staged).",
    )
    joint_learning_rate: float = Field(1e-4, gt=0, description="Highest learning rate of the joint epochs.")
    alignment: AlignmentConfig | None = Field(
        None, description="Alignment of the inputs, for search from one to another; null is off."
    )
    evaluation: EvaluationConfig = Field(
        default_factory=EvaluationConfig, description="Selection and evaluation of models."
    )
    promotion: PromotionConfig = Field(
        default_factory=PromotionConfig, description="Rule by which a challenger replaces the champion."
    )
    audit: AuditConfig = Field(
        default_factory=AuditConfig, description="Audit of the data for wrong labels, duplicates and leaks."
    )
    monitoring: MonitoringConfig = Field(
        default_factory=MonitoringConfig, description="Data that the model carries for drift monitoring."
    )
    engine: EngineConfig = Field(
        default_factory=EngineConfig, description="Machine or cluster on which the work runs."
    )
    seed: int = Field(0, ge=0, description="Seed of every random draw.")

    @model_validator(mode="before")
    @classmethod
    def _quality_fills_what_is_open(cls, values: Any) -> Any:
        return with_preset(values) if isinstance(values, Mapping) else values

    @field_validator("fusion", mode="before")
    @classmethod
    def _a_fusion_has_a_short_form(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("time_limit")
    @classmethod
    def _is_a_time(cls, limit: str | None) -> str | None:
        if limit is not None:
            limit_seconds(limit)
        return limit

    @field_validator("inputs")
    @classmethod
    def _names_are_identifiers(cls, inputs: dict[str, InputConfig]) -> dict[str, InputConfig]:
        for name in inputs:
            if not name.isidentifier() or len(name) > 60:
                raise ValueError(f"{name!r} cannot name an input: use up to 60 letters, digits and _")
            if is_reserved(name):
                raise ValueError(f"{name!r} cannot name an input: the name is reserved. Take {name}_input")
        return inputs

    @model_validator(mode="after")
    def _joint_phase_follows_stages(self) -> PipelineConfig:
        if self.strategy == "joint" and self.joint_epochs:
            raise ValueError("joint_epochs is for strategy 'staged'; with 'joint' set training.epochs")
        return self

    @model_validator(mode="after")
    def _recency_needs_times(self) -> PipelineConfig:
        if self.training.half_life is not None and self.data.time is None:
            raise ValueError("training.half_life needs the column with the times of the rows: set data.time")
        return self

    @model_validator(mode="after")
    def _what_has_no_gradient_is_not_trained_with_others(self) -> PipelineConfig:
        together = {
            "strategy: joint": self.strategy == "joint",
            "joint_epochs": self.joint_epochs > 0,
            "alignment.use: pretraining": self.alignment is not None and self.alignment.use == "pretraining",
        }
        for name, section in self.inputs.items():
            for option in (option for option, is_set in together.items() if is_set):
                has_kernel = getattr(section.encoder, "kernel", 0) > 0
                if has_kernel or isinstance(section.encoder, FittedConfig | UntrainedConfig):
                    raise ValueError(
                        f"inputs.{name}.encoder: {section.encoder.name} is fitted without gradient, and "
                        f"{option} trains encoders by gradient. Take another encoder, or leave {option} out."
                    )
        return self

    @model_validator(mode="after")
    def _several_encoders_are_fitted_apart(self) -> PipelineConfig:
        several = [name for name, options in self.inputs.items() if options.may_have_several]
        if not several:
            return self
        problem = (
            f"inputs.{several[0]}.encoder: several encoders (a list, or auto) are fitted each on its own"
        )
        if self.strategy == "joint" or self.joint_epochs:
            option = "strategy: joint" if self.strategy == "joint" else "joint_epochs"
            raise ValueError(f"{problem}, but {option} trains one with the fusion. Name one encoder")
        if self.alignment is not None and self.alignment.use == "pretraining":
            raise ValueError(
                f"{problem}, but alignment.use: 'pretraining' trains one per input. Name one encoder, or "
                "take alignment.use: features"
            )
        return self

    @model_validator(mode="after")
    def _a_cure_needs_a_training(self) -> PipelineConfig:
        staged = self.strategy == "staged" and not self.joint_epochs
        if not self.fusion.by_gradient and staged and self.balance.cure != "none":
            raise ValueError(
                f"balance.cure: {self.balance.cure} changes a training, but fusion {self.fusion.name} is "
                "fitted to what the single inputs say in one pass. Take another fusion, strategy: joint, or "
                "cure: none."
            )
        if isinstance(self.fusion, TreeFusionConfig) and not staged:
            option = "strategy: joint" if self.strategy == "joint" else "joint_epochs"
            raise ValueError(
                f"fusion: trees have no gradient, and {option} trains encoders through the fusion. Take "
                f"another fusion, or leave {option} out."
            )
        return self

    @model_validator(mode="after")
    def _all_trainers_change_gradients_alike(self) -> PipelineConfig:
        if self.engine.trainers > 1 and isinstance(self.balance, OGMGE):
            raise ValueError(
                f"balance.cure: {self.balance.cure} changes gradients by the rows of a batch, and each of "
                f"{self.engine.trainers} trainers (engine.cluster.trainers) would see other rows. Take "
                "trainers: 1, or another cure."
            )
        return self

    @model_validator(mode="after")
    def _one_change_of_the_joint_loss(self) -> PipelineConfig:
        if self.alignment is not None and self.alignment.use == "auxiliary" and self.balance.cure != "none":
            raise ValueError(
                f"balance.cure: {self.balance.cure} and alignment.use: auxiliary both change the loss of the "
                "joint training. Take one of them; alignment.use: pretraining goes with any cure."
            )
        return self

    @model_validator(mode="after")
    def _the_tensor_product_stays_small(self) -> PipelineConfig:
        if isinstance(self.fusion, TensorConfig):
            tensor_entries(self.fusion.factor_width, len(self.inputs))
        return self

    @model_validator(mode="after")
    def _alignment_has_something_to_act_on(self) -> PipelineConfig:
        if self.alignment is None:
            return self
        objective = self.alignment.objective
        if len(self.inputs) < 2:
            raise ValueError("alignment: there is one input and nothing to align it with; remove it")
        by_class = isinstance(objective, ClipConfig | SigLipConfig) and objective.positives == "class"
        if by_class and not isinstance(self.target, ClassificationTarget | OrdinalTarget):
            raise ValueError(
                "alignment.objective.positives: 'class' needs a target of classes, and "
                f"{self.target.column!r} is of task {self.target.task!r}. Take pair"
            )
        if self.alignment.use == "auxiliary" and self.strategy == "staged" and not self.joint_epochs:
            raise ValueError(
                "alignment.use: 'auxiliary' acts on encoders while they are trained with the fusion, and "
                "here the fusion is trained on cached features alone. Set joint_epochs or strategy: joint"
            )
        if self.alignment.use == "pretraining" and all(
            isinstance(each, PretrainedConfig)
            for options in self.inputs.values()
            for each in options.encoders
        ):
            raise ValueError(
                "alignment.use: 'pretraining' is for encoders from scratch, and every encoder is pretrained "
                "already. Take features"
            )
        return self

    @model_validator(mode="after")
    def _targets_differ(self) -> PipelineConfig:
        columns = [self.target.column, *(target.column for target in self.further_targets)]
        repeated = sorted({column for column in columns if columns.count(column) > 1})
        if repeated:
            raise ValueError(f"further_targets: {', '.join(map(repr, repeated))} is a target already")
        if self.promotion.metric is not None and self.promotion.metric not in self.target.metrics():
            known = ", ".join(self.target.metrics())
            hint = nearest(self.promotion.metric, self.target.metrics())
            raise ValueError(f"promotion.metric: {self.promotion.metric!r} is not one of: {known}.{hint}")
        return self

    @property
    def targets(self) -> dict[str, TargetConfig]:
        """All targets by column, the deciding one first."""
        return {target.column: target for target in (self.target, *self.further_targets)}

    def with_encoder(self, name: str, encoder: AnyEncoderConfig) -> PipelineConfig:
        """Return the same configuration with one encoder for an input, in the place of those of the file."""
        return self.model_copy(
            update={"inputs": {**self.inputs, name: self.inputs[name].with_encoder(encoder)}}
        )

    @property
    def here(self) -> PipelineConfig:
        """The same configuration without a cluster, for code that already runs on one of its workers."""
        return self.model_copy(update={"engine": self.engine.here})

    @property
    def model_name(self) -> str:
        """Name of the registered model."""
        return self.promotion.model or self.name
