"""Canonical rows of one input to embeddings, in order: the same on one machine and on a cluster."""

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from components.errors import ModelError
from components.models.encoders import Encoder
from components.preprocess import Preprocessor
from components.runtime.device import out_of_memory, precision

logger = logging.getLogger(__name__)

_ROWS = 256  # most of a batch
_LANES = 8  # most batches at once on the CPU: beyond that they wait for the interpreter
_QUEUED = 3  # batches at once on a GPU: one is computed, one is on its way there, one on its way back
# Values of a batch, padding included, at which a core is busy and what it works on stays in its caches.
_VALUES = {"image": 16 * 224 * 224 * 3, "text": 2048, "audio": 2**20, "tabular": 2**20}
_GPU_FACTOR = 16


class Embedder:
    """The encoder of one input, ready for rows.

    Rows of like length share a batch, so that little of it is padding; a batch holds as many as its values
    allow. On the CPU every core works on batches of its own, which asks for no waiting for each other within
    an operation; on a GPU batches come from pinned memory and go back while the next is computed. Where
    memory runs out, batches are halved from there on.

    The same rows in the same group come out the same to the last bit, whatever the number of cores (up to 8);
    in another group, they differ by the rounding of sums of another batch size.

    Args:
        encoder: In eval mode; it is moved and, for the CPU's and GPU's matrix units, rearranged.
        preprocessor: Puts its rows together.
        device: Where it runs.
        numbers: ``fp32`` or ``bf16``.

    Attributes:
        values: Most values of a batch, padding included; less after memory ran out.
    """

    def __init__(
        self, encoder: Encoder, preprocessor: Preprocessor, device: torch.device, numbers: str
    ) -> None:
        self.preprocessor, self.device, self.numbers = preprocessor, device, numbers
        self.encoder = encoder.to(device)
        if preprocessor.modality == "image":
            self.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if numbers == "bf16":
            store_matrices_in_bf16(self.encoder)
        self.values = _VALUES[preprocessor.modality] * (1 if device.type == "cpu" else _GPU_FACTOR)

    def __call__(self, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Embed one group of rows: an array (D,) or (T, D) float32 for each, in their order."""
        return next(self.stream([rows]))

    def stream(self, groups: Iterable[Sequence[np.ndarray]]) -> Iterator[list[np.ndarray]]:
        """Embed one group after the other; while one is finished, the next is taken up already.

        Raises:
            ModelError: If memory runs out with a single row.
        """
        waiting: deque[tuple[int, list[tuple[list[int], Future[list[np.ndarray]]]]]] = deque()
        with self._lanes() as lanes:
            for rows in groups:
                batches = batches_of([row.size for row in rows], self.values)
                waiting.append(
                    (
                        len(rows),
                        [(batch, lanes.submit(self._embed, [rows[i] for i in batch])) for batch in batches],
                    )
                )
                if len(waiting) > 1:
                    yield _in_order(*waiting.popleft())
            while waiting:
                yield _in_order(*waiting.popleft())

    @contextmanager
    def _lanes(self) -> Iterator[ThreadPoolExecutor]:
        """Threads that share the cores; what still waits is dropped when the block is left by an error."""
        threads = torch.get_num_threads()
        lanes = min(threads, _LANES) if self.device.type == "cpu" else _QUEUED
        share = max(1, threads // lanes)
        pool = ThreadPoolExecutor(lanes, initializer=torch.set_num_threads, initargs=(share,))
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)  # threads that others start later ask for the number set last

    def _embed(self, rows: list[np.ndarray]) -> list[np.ndarray]:
        """A batch, or its halves where it is too large for the memory."""
        size = len(rows) * max(row.size for row in rows)
        if size <= self.values or len(rows) == 1:
            try:
                return self._forward(rows)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                if len(rows) == 1:
                    raise ModelError(
                        f"the memory of {self.device} does not hold one row of {rows[0].size} values: "
                        f"{error}. Make the input smaller (size, max_tokens, seconds), take a smaller "
                        "encoder, or engine.device: cpu."
                    ) from error
            # Outside the handler: the error keeps what the failed pass had in memory.
            self.values = min(self.values, size // 2)
            logger.warning("%s ran out of memory with %d rows: batches are halved", self.device, len(rows))
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        half = (len(rows) + 1) // 2
        return self._embed(rows[:half]) + self._embed(rows[half:])

    @torch.inference_mode()
    def _forward(self, rows: list[np.ndarray]) -> list[np.ndarray]:
        batch = {name: self._sent(value) for name, value in self.preprocessor.collate(rows).items()}
        with precision(self.numbers, self.device):
            embedding = self.encoder(batch)
        return without_padding(embedding.float().cpu().numpy())

    def _sent(self, value: Tensor) -> Tensor:
        if self.device.type == "cuda":
            return value.pin_memory().to(self.device, non_blocking=True)
        return value.to(self.device)


def batches_of(sizes: Sequence[int], values: int, rows: int = _ROWS) -> list[list[int]]:
    """Positions in batches of like size, the largest first, so that cores become idle together at the end.

    Args:
        sizes: Values of each row.
        values: Most values of a batch, padding included; a row that has more is a batch of its own.
        rows: Most rows of a batch.
    """
    batches: list[list[int]] = []
    longest = 0
    for position in sorted(range(len(sizes)), key=lambda position: -sizes[position]):
        if not batches or len(batches[-1]) == rows or (len(batches[-1]) + 1) * longest > values:
            batches.append([])
            longest = sizes[position]
        batches[-1].append(position)
    return batches


def store_matrices_in_bf16(encoder: nn.Module) -> None:
    """Keep the weights of linear layers and convolutions as autocast takes them, not convert them every time.

    Results are those of autocast, which rounds the same weights.
    """
    for module in encoder.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            module.to(torch.bfloat16)


def without_padding(embeddings: np.ndarray) -> list[np.ndarray]:
    """Rows of (B, D) as they are; of (B, T, D) without the zero vectors behind the last real token."""
    if embeddings.ndim == 2:
        return list(embeddings)
    real = (embeddings != 0).any(axis=2)  # (B, T)
    lengths = np.where(real.any(axis=1), real.shape[1] - real[:, ::-1].argmax(axis=1), 1)
    return [row[:length] for row, length in zip(embeddings, lengths, strict=True)]


def _in_order(rows: int, batches: list[tuple[list[int], Future[list[np.ndarray]]]]) -> list[np.ndarray]:
    ordered: list[np.ndarray] = [np.empty(0)] * rows
    for positions, embeddings in batches:
        for position, embedding in zip(positions, embeddings.result(), strict=True):
            ordered[position] = embedding
    return ordered
