"""The steps from manifest to features, each called and timed on its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from components.config.pipeline import PipelineConfig
from components.data.ingest import ingest
from components.models.encoders import build_encoder
from components.models.weights import encoder_digest, open_preprocessor
from components.pipeline.extract import extract
from components.pipeline.preprocess import prepare
from components.references import Dataset, EncoderWeights, Features, Prepared
from components.storage.tensors import save_tensors

Result = TypeVar("Result")


def fresh_encoder(prepared: Prepared, config: PipelineConfig, folder: Path) -> EncoderWeights:
    """An encoder as it is before training, the same every time: extraction costs the same with it."""
    torch.manual_seed(0)
    options = config.inputs[prepared.input].encoder
    encoder = build_encoder(options, open_preprocessor(prepared))
    file = folder / f"{prepared.input}-{prepared.fingerprint}.safetensors"
    if not file.exists():
        save_tensors(file, encoder.state_dict())
    return EncoderWeights(
        prepared.input, str(file), "", encoder_digest(encoder, options), encoder.width, options
    )


@dataclass(frozen=True)
class Spent:
    """Time of a step.

    Attributes:
        wall: Seconds from start to end.
        cpu: Processor seconds of all threads; they hold still where other work takes turns on the same cores.
    """

    wall: float
    cpu: float


def to_features(
    config: PipelineConfig, folder: Path
) -> tuple[dict[str, Spent], Dataset, dict[str, Features]]:
    """Ingest, preprocess and extract into stores below ``folder``.

    Returns:
        Time of each step, by ``ingest``, ``preprocess NAME`` and ``extract NAME``; and what they gave.
    """
    spent: dict[str, Spent] = {}

    def timed(step: str, work: Callable[[], Result]) -> Result:
        begin, cpu = time.perf_counter(), time.process_time()
        result = work()
        spent[step] = Spent(time.perf_counter() - begin, time.process_time() - cpu)
        return result

    rows = config.engine.shard_rows
    dataset = timed("ingest", lambda: ingest(config, folder / "data", folder))
    features = {}
    for name, section in config.inputs.items():

        def prepared_input(name: str = name, section=section) -> Prepared:  # type: ignore[no-untyped-def]
            return prepare(dataset, name, section, folder / "canonical", rows)

        prepared = timed(f"preprocess {name}", prepared_input)
        weights = fresh_encoder(prepared, config, folder / "encoders")

        def extracted(prepared: Prepared = prepared, weights: EncoderWeights = weights) -> Features:
            return extract(dataset, prepared, weights, config, folder / "features")

        features[name] = timed(f"extract {name}", extracted)
    return spent, dataset, features
