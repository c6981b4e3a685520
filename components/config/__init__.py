"""Typed configuration: one pipeline file, one mlflow.yaml."""

from components.config.encoders import EncoderConfig, PretrainedConfig
from components.config.engine import EngineConfig
from components.config.fusion import FusionConfig, ModalityDropout
from components.config.inputs import AudioInput, ImageInput, InputConfig, TabularInput, TextInput
from components.config.load import ConfigError, load_pipeline
from components.config.pipeline import PipelineConfig
from components.config.tracking import TrackingConfig, load_tracking
from components.config.training import LoopConfig, TrainingConfig

__all__ = [
    "AudioInput",
    "ConfigError",
    "EncoderConfig",
    "EngineConfig",
    "FusionConfig",
    "ImageInput",
    "InputConfig",
    "LoopConfig",
    "ModalityDropout",
    "PipelineConfig",
    "PretrainedConfig",
    "TabularInput",
    "TextInput",
    "TrackingConfig",
    "TrainingConfig",
    "load_pipeline",
    "load_tracking",
]
