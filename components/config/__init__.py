"""Typed configuration: one pipeline file, one mlflow.yaml."""

from components.config.load import ConfigError, load_pipeline
from components.config.pipeline import PipelineConfig
from components.config.tracking import TrackingConfig, load_tracking

__all__ = ["ConfigError", "PipelineConfig", "TrackingConfig", "load_pipeline", "load_tracking"]
