"""Learners of a pipeline: the encoders that its file names, or those that ``auto`` chooses for the data."""

from collections.abc import Sequence

from components.config import PipelineConfig, PretrainedConfig
from components.config.encoders import EncoderConfig
from components.models.encoders.auto import candidates
from components.preprocess import build_preprocessor, fingerprint
from components.references import Dataset, Learner
from components.runtime.device import choose_device
from components.storage.digest import digest


def learners_of(config: PipelineConfig, dataset: Dataset) -> list[Learner]:
    """List the learners of all inputs, in the order of the file.

    Args:
        config: The whole pipeline.
        dataset: Reference to the samples, by whose number ``auto`` chooses.
    """
    learners = []
    for name, section in config.inputs.items():
        rows, device = dataset.splits.get("train", 0), choose_device(config.engine.device).type
        encoders = section.encoders or candidates(section, rows, device, config.quality)
        learners += [
            Learner(name, each, label) for each, label in zip(encoders, _labels(name, encoders), strict=True)
        ]
    return learners


def _labels(name: str, encoders: Sequence[EncoderConfig]) -> list[str]:
    if len(encoders) == 1:
        return [name]
    names = [each.name for each in encoders]
    return [
        f"{name} {each}" + (f" {names[: position + 1].count(each)}" if names.count(each) > 1 else "")
        for position, each in enumerate(names)
    ]


def first_of_each(config: PipelineConfig, learners: Sequence[Learner]) -> dict[str, Learner]:
    """Give for each learner the first of its input that takes samples in the same canonical form, by label.

    Args:
        config: The whole pipeline.
        learners: Those of all inputs.
    """
    inputs = [each.input for each in learners]
    first: dict[str, Learner] = {}
    result = {}
    for learner in learners:
        key = learner.input if inputs.count(learner.input) == 1 else _form(config, learner)
        result[learner.label] = first.setdefault(key, learner)
    return result


def _form(config: PipelineConfig, learner: Learner) -> str:
    """Digest of the options by which an input is prepared for a learner."""
    options = learner.options
    if isinstance(options, PretrainedConfig):  # opening it takes seconds
        return digest(learner.input, options.model, str(options.revision))
    section = config.inputs[learner.input].with_encoder(options)
    return digest(learner.input, fingerprint(build_preprocessor(section)))
