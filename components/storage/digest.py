"""Content digests: the keys of every cache."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

_SIZE = 16  # bytes; 2^64 rows before a collision is likely
_JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=True)


def digest(*parts: bytes | str) -> str:
    """Hexadecimal BLAKE2b of the parts; ``("ab", "c")`` and ``("a", "bc")`` differ."""
    state = hashlib.blake2b(digest_size=_SIZE)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()


def short_digest(text: str) -> int:
    """Digest of a text in 8 bytes, as a number: a name for one of many rows."""
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def digest_bytes(data: bytes) -> str:
    """Digest of bytes alone; equals :func:`digest_file` of a file that holds them."""
    return hashlib.blake2b(data, digest_size=_SIZE).hexdigest()


def digest_json(value: Any) -> str:
    """Digest of a JSON-serialisable value; the order of mapping keys does not matter."""
    return digest(_JSON.encode(value))


class TableDigest:
    """Digest of columns of text, whatever parts the table comes in.

    Args:
        columns: Names of those that count.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._states = {
            name: (hashlib.blake2b(digest_size=_SIZE), hashlib.blake2b(digest_size=_SIZE)) for name in columns
        }

    def add(self, part: pa.Table) -> None:
        """Add these rows behind the earlier ones."""
        for name, (lengths, texts) in self._states.items():
            for chunk in part.column(name).chunks:
                if not len(chunk):
                    continue
                filled = chunk.fill_null("")
                ends = np.frombuffer(filled.buffers()[1], np.int32)[filled.offset :][: len(filled) + 1]
                sizes = np.where(chunk.is_valid().to_numpy(zero_copy_only=False), np.diff(ends), -1)
                lengths.update(sizes.astype("<i4").tobytes())
                texts.update(memoryview(filled.buffers()[2] or b"")[ends[0] : ends[-1]])

    def hexdigest(self) -> str:
        """Give the digest of the names and of each row's texts."""
        parts = [(name, a.hexdigest(), b.hexdigest()) for name, (a, b) in self._states.items()]
        return digest(*(part for three in parts for part in three))


def digest_file(path: Path) -> str:
    """Digest of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=_SIZE)).hexdigest()


def digest_files(folder: Path, pattern: str) -> str:
    """Digest of the files below a folder whose names match a pattern, with their paths in it."""
    files = sorted(file for file in folder.rglob(pattern) if file.is_file())
    return digest(
        *(part for file in files for part in (file.relative_to(folder).as_posix(), file.read_bytes()))
    )


def digest_tensors(tensors: dict[str, torch.Tensor]) -> str:
    """Digest of named tensors: names, types, shapes and values."""
    state = hashlib.blake2b(digest_size=_SIZE)
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        state.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        if tensor.numel():  # an empty one cannot be viewed as bytes
            state.update(np.ascontiguousarray(tensor.reshape(-1).view(torch.uint8).numpy()).tobytes())
    return state.hexdigest()
