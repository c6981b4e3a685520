"""Content digests: the keys of every cache."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

_SIZE = 16  # bytes; 2^64 rows before a collision is likely


def digest(*parts: bytes | str) -> str:
    """Hexadecimal BLAKE2b of the parts; ``("ab", "c")`` and ``("a", "bc")`` differ."""
    state = hashlib.blake2b(digest_size=_SIZE)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()


def digest_bytes(data: bytes) -> str:
    """Digest of bytes alone; equals :func:`digest_file` of a file that holds them."""
    return hashlib.blake2b(data, digest_size=_SIZE).hexdigest()


def digest_json(value: Any) -> str:
    """Digest of a JSON-serialisable value; the order of mapping keys does not matter."""
    return digest(json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=True))


def digest_file(path: Path) -> str:
    """Digest of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=_SIZE)).hexdigest()


def digest_tensors(tensors: dict[str, torch.Tensor]) -> str:
    """Digest of named tensors: names, types, shapes and values."""
    state = hashlib.blake2b(digest_size=_SIZE)
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        state.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        state.update(np.ascontiguousarray(tensor.reshape(-1).view(torch.uint8).numpy()).tobytes())
    return state.hexdigest()


def code_digest(*modules: ModuleType) -> str:
    """Digest of what modules do: their syntax trees without docstrings and comments.

    A change of behaviour therefore makes new keys, a change of wording does not.
    """
    return digest(*(_behaviour(inspect.getsource(module)) for module in modules))


def _behaviour(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                node.body = body[1:] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.dump(tree)
