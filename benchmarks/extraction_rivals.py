"""Other ways to embed files: a loop, a DataLoader, a pipeline, encode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import soundfile as sf
import torch
from sentence_transformers import SentenceTransformer
from torch.utils.data import DataLoader, Dataset
from transformers import ASTFeatureExtractor, ASTForAudioClassification, pipeline

from components.models.encoders import Encoder
from components.preprocess import Preprocessor

Rival = Callable[[Sequence[str]], Any]
BATCH = 32


def loop(encoder: Encoder, preprocessor: Preprocessor) -> Rival:
    """One file after the other: decode, embed; torch's own number of threads."""

    @torch.inference_mode()
    def run(cells: Sequence[str]) -> np.ndarray:
        rows = (preprocessor.collate([preprocessor.canonical(cell)]) for cell in cells)
        return torch.cat([encoder(row) for row in rows]).numpy()

    return run


class _Files(Dataset[np.ndarray]):
    def __init__(self, cells: Sequence[str], preprocessor: Preprocessor) -> None:
        self.cells, self.preprocessor = cells, preprocessor

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.preprocessor.canonical(self.cells[row])


def data_loader(encoder: Encoder, preprocessor: Preprocessor, workers: int, bf16: bool) -> Rival:
    """torch's DataLoader with as many worker processes as cores, 32 rows a batch as they come."""

    @torch.inference_mode()
    def run(cells: Sequence[str]) -> np.ndarray:
        loader: DataLoader[Any] = DataLoader(
            _Files(cells, preprocessor), BATCH, num_workers=workers, collate_fn=preprocessor.collate
        )
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return torch.cat([encoder(batch).float() for batch in loader]).numpy()

    return run


def image_pipeline(model: str) -> Rival:
    """`pipeline("image-feature-extraction")` of transformers, 32 images per batch."""
    extract: Any = pipeline("image-feature-extraction", model=model, batch_size=BATCH, device="cpu")
    return lambda cells: list(extract(list(cells), return_tensors=True))


def audio_pipeline(model: str) -> Rival:
    """`pipeline("audio-classification")` of transformers, 32 clips per batch: it has none for features.

    Its input is decoded by soundfile, as it needs ffmpeg to decode files itself.
    """
    network = ASTForAudioClassification.from_pretrained(model)
    classify: Any = pipeline(  # as its type does not include a list
        "audio-classification",
        model=network,
        feature_extractor=ASTFeatureExtractor.from_pretrained(model),
        batch_size=BATCH,
        device="cpu",
    )

    def decoded(cell: str) -> dict[str, Any]:
        clip, rate = sf.read(cell, dtype="float32")
        return {"raw": clip, "sampling_rate": rate}

    return lambda cells: list(classify(decoded(cell) for cell in cells))


def sentence_encode(model: str, bf16: bool) -> Rival:
    """`SentenceTransformer.encode`, which sorts by length; 32 texts a batch."""
    encoder = SentenceTransformer(
        model, device="cpu", model_kwargs={"dtype": torch.bfloat16 if bf16 else torch.float32}
    )
    return lambda cells: encoder.encode(list(cells), batch_size=BATCH, show_progress_bar=False)
