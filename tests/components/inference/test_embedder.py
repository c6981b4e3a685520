"""Rows to embeddings: in order, in batches of like length, smaller ones where memory runs out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from components.config.encoders import CNNConfig, TextTransformerConfig
from components.errors import ModelError
from components.inference.embedder import Embedder, batches_of, store_matrices_in_bf16
from components.models.encoders import Encoder, build_encoder
from components.preprocess import Preprocessor
from components.preprocess.image import ImagePreprocessor
from components.preprocess.text import TextPreprocessor, build_tokenizer
from components.runtime.device import embedding_format, precision

CPU = torch.device("cpu")
# Sums of another batch size are rounded otherwise: a few units of float32's last place.
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU, and there is none here")


def text() -> TextPreprocessor:
    return TextPreprocessor(build_tokenizer(TextTransformerConfig(vocabulary=100), 64, lowercase=True))


def text_encoder() -> Encoder:
    torch.manual_seed(0)
    facts = type("Facts", (), {"modality": "text", "vocabulary_size": 100})()
    return build_encoder(TextTransformerConfig(width=16, layers=1, heads=2), facts).eval()


def token_rows(count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(1, 100, rng.integers(1, 60)).astype(np.int32) for _ in range(count)]


class FirstToken(Encoder):
    """Gives back each row's first token; has memory for so many rows at once."""

    def __init__(self, memory: int = 10**6, failure: RuntimeError | None = None) -> None:
        super().__init__(1)
        self.memory, self.failure = memory, failure or torch.OutOfMemoryError("CUDA out of memory")
        self.batches: list[tuple[int, int]] = []

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        ids = batch["ids"]
        self.batches.append((ids.shape[0], ids.shape[1]))
        if len(ids) > self.memory:
            raise self.failure
        return ids[:, :1].float()


def first_tokens(rows: Sequence[np.ndarray]) -> list[float]:
    return [float(row[0]) for row in rows]


def numbers(embeddings: Sequence[np.ndarray]) -> list[float]:
    return [float(embedding[0]) for embedding in embeddings]


@given(sizes=st.lists(st.integers(1, 50), max_size=60), values=st.integers(1, 200), rows=st.integers(1, 20))
def test_a_batch_holds_rows_of_like_size_up_to_its_limits(sizes: list[int], values: int, rows: int) -> None:
    batches = batches_of(sizes, values, rows)
    assert sorted(position for batch in batches for position in batch) == list(range(len(sizes)))
    ordered = [sizes[position] for batch in batches for position in batch]
    assert ordered == sorted(sizes, reverse=True)
    for batch in batches:
        assert len(batch) <= rows
        assert len(batch) == 1 or len(batch) * max(sizes[position] for position in batch) <= values


def test_rows_stay_in_order_within_and_between_groups() -> None:
    groups = [token_rows(count, seed=count) for count in (300, 1, 0, 40)]
    streamed = list(Embedder(FirstToken(), text(), CPU, "fp32").stream(groups))
    assert [numbers(embeddings) for embeddings in streamed] == [first_tokens(rows) for rows in groups]


def test_little_of_a_batch_is_padding() -> None:
    encoder, rows = FirstToken(), token_rows(1024)
    Embedder(encoder, text(), CPU, "fp32")(rows)
    padded = sum(count * length for count, length in encoder.batches)
    assert padded < 1.1 * sum(len(row) for row in rows)
    assert 1024 * max(len(row) for row in rows) > 1.7 * padded, "what batches as they come would be"


def test_embeddings_do_not_depend_on_the_order_or_company_of_rows() -> None:
    rows = token_rows(70)
    embedder = Embedder(text_encoder(), text(), CPU, "fp32")
    embeddings = np.stack(embedder(rows))
    order = np.random.default_rng(1).permutation(len(rows))
    np.testing.assert_allclose(np.stack(embedder([rows[i] for i in order])), embeddings[order], **TOLERANCE)
    for row in (0, 33, 69):
        np.testing.assert_allclose(embedder([rows[row]])[0], embeddings[row], **TOLERANCE)


def test_the_number_of_cores_changes_no_bit_and_is_left_as_it_was() -> None:
    rows, before = token_rows(600), torch.get_num_threads()
    try:
        by_threads = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            by_threads.append(np.stack(Embedder(text_encoder(), text(), CPU, "fp32")(rows)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(by_threads[0], by_threads[1])
    np.testing.assert_array_equal(by_threads[0], by_threads[2])


@pytest.mark.parametrize(
    "failure",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["gpu", "cpu"],
)
def test_batches_are_halved_when_memory_runs_out(failure: RuntimeError) -> None:
    rows = [np.full(4, value, np.int32) for value in range(1, 513)]
    encoder = FirstToken(memory=20, failure=failure)
    embedder = Embedder(encoder, text(), CPU, "fp32")
    embedder.values = 4 * 128
    assert numbers(embedder(rows)) == first_tokens(rows)
    assert embedder.values == 4 * 16, "128, 64 and 32 rows were too many"

    encoder.batches.clear()
    assert numbers(embedder(rows)) == first_tokens(rows)
    assert {count for count, _ in encoder.batches} == {16}, "what failed is not tried again"


def test_one_row_that_does_not_fit_is_told() -> None:
    embedder = Embedder(FirstToken(memory=0), text(), CPU, "fp32")
    with pytest.raises(ModelError, match=r"cpu does not hold one row of 4 values.*max_tokens"):
        embedder([np.full(4, 1, np.int32)] * 3)


def test_other_errors_of_the_encoder_are_not_taken_for_a_lack_of_memory() -> None:
    encoder = FirstToken(memory=0, failure=RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        Embedder(encoder, text(), CPU, "fp32")(token_rows(10))
    assert len(encoder.batches) == 1


def image_encoder() -> tuple[Encoder, Preprocessor, list[np.ndarray]]:
    preprocessor = ImagePreprocessor(16, "stretch")
    torch.manual_seed(0)
    encoder = build_encoder(CNNConfig(width=8, channels=[4, 8]), preprocessor).eval()
    rng = np.random.default_rng(0)
    return encoder, preprocessor, [rng.integers(0, 256, (16, 16, 3), np.uint8) for _ in range(20)]


@torch.inference_mode()
def test_matrices_kept_in_bf16_give_what_autocast_gives() -> None:
    encoder, preprocessor, rows = image_encoder()
    batch = preprocessor.collate(rows)
    with precision("bf16", CPU):
        expected = encoder(batch)
        store_matrices_in_bf16(encoder)
        assert any(parameter.dtype == torch.bfloat16 for parameter in encoder.parameters())
        torch.testing.assert_close(encoder(batch), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("asked", "pretrained", "amx", "expected"),
    [
        ("auto", True, True, "bf16"),
        ("auto", True, False, "fp32"),
        ("auto", False, True, "fp32"),
        ("fp32", True, True, "fp32"),
        ("bf16", False, False, "bf16"),
    ],
)
def test_pretrained_models_embed_in_bf16_where_the_cpu_has_matrix_units(
    asked: str, pretrained: bool, amx: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": amx})
    assert embedding_format(asked, CPU, pretrained) == expected


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize(("asked", "tolerance"), [("fp32", 1e-3), ("bf16", 3e-2)])
def test_a_gpu_gives_the_embeddings_of_the_cpu(asked: str, tolerance: float) -> None:
    rows = token_rows(700)
    expected = np.stack(Embedder(text_encoder(), text(), CPU, "fp32")(rows))
    embeddings = np.stack(Embedder(text_encoder(), text(), torch.device("cuda"), asked)(rows))
    away = np.linalg.norm(embeddings - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert away.max() < tolerance


@pytest.mark.gpu
@needs_gpu
def test_batches_are_halved_when_a_gpu_is_really_full() -> None:
    class Hungry(FirstToken):
        def forward(self, batch: dict[str, Any]) -> Tensor:
            free, _ = torch.cuda.mem_get_info()
            torch.empty(len(batch["ids"]) * free // 64, dtype=torch.uint8, device="cuda")  # 64 rows fill it
            return super().forward(batch)

    rows = [np.full(4, value, np.int32) for value in range(1, 513)]
    embedder = Embedder(Hungry(), text(), torch.device("cuda"), "fp32")
    assert numbers(embedder(rows)) == first_tokens(rows)
    assert embedder.values < 4 * 64
