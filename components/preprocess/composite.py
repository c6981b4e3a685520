"""Canonical samples for several encoders of one input, which want them in different forms."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch

from components.preprocess.audio import AudioPreprocessor
from components.preprocess.image import ImagePreprocessor
from components.preprocess.protocol import Preprocessor, Samples
from components.preprocess.several import SeveralPreprocessor
from components.preprocess.tabular import TabularPreprocessor
from components.preprocess.text import TextPreprocessor

PREPROCESSORS: dict[str, type[Preprocessor]] = {
    "image": ImagePreprocessor,
    "text": TextPreprocessor,
    "audio": AudioPreprocessor,
    "tabular": TabularPreprocessor,
}


class CompositePreprocessor:
    """Prepares a cell by every part, and packs the arrays into one.

    Args:
        parts: Preprocessor of each encoder; those that are equal are one object.
    """

    def __init__(self, parts: Sequence[Preprocessor]) -> None:
        self.parts = list(parts)
        self.distinct = list({id(part): part for part in parts}.values())
        self.modality = self.parts[0].modality

    def fit(self, samples: Samples) -> None:
        """Learn what each part learns."""
        for part in self.distinct:
            part.fit(samples)

    def state(self) -> dict[str, Any]:
        return {
            "modality": self.modality,
            "distinct": [part.state() for part in self.distinct],
            "parts": [self.distinct.index(part) for part in self.parts],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        distinct = [load_preprocessor(each) for each in state["distinct"]]
        return cls([distinct[number] for number in state["parts"]])

    def canonical(self, value: Any) -> np.ndarray:
        """Arrays of all distinct parts, packed: see :func:`pack`.

        Raises:
            DataError: If a file cannot be read or decoded.
        """
        return pack([part.canonical(value) for part in self.distinct])

    def collate(self, rows: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """Batch of each encoder, its tensors named ``<number of the encoder>.<name>``."""
        unpacked = [unpack(row) for row in rows]
        batches = {
            id(part): part.collate([arrays[number] for arrays in unpacked])
            for number, part in enumerate(self.distinct)
        }
        return {
            f"{number}.{name}": value
            for number, part in enumerate(self.parts)
            for name, value in batches[id(part)].items()
        }


def load_preprocessor(state: dict[str, Any]) -> Preprocessor:
    """Preprocessor from what its ``state()`` gave."""
    if "distinct" in state:
        return CompositePreprocessor.from_state(state)
    kind = SeveralPreprocessor if "several" in state else PREPROCESSORS[state["modality"]]
    return kind.from_state(state)


def pack(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Pack arrays of any shapes and dtypes into one of bytes, uint8 (S,).

    Before the values stand 32-bit integers: how many arrays, and of each the letter of its dtype, its
    number of dimensions and their lengths.
    """
    header = [len(arrays)]
    for array in arrays:
        header += [ord(array.dtype.char), array.ndim, *array.shape]
    parts = [np.array(header, np.int32), *arrays]
    return np.concatenate([np.ascontiguousarray(part).reshape(-1).view(np.uint8) for part in parts])


def unpack(packed: np.ndarray) -> list[np.ndarray]:
    """Arrays that :func:`pack` was given."""
    content = packed.tobytes()
    kinds, offset = [], 4
    for _ in range(int(np.frombuffer(content, np.int32, 1)[0])):
        letter, dimensions = np.frombuffer(content, np.int32, 2, offset).tolist()
        shape = np.frombuffer(content, np.int32, dimensions, offset + 8).tolist()
        kinds.append((np.dtype(chr(letter)), shape))
        offset += 8 + 4 * dimensions
    arrays = []
    for dtype, shape in kinds:
        count = int(np.prod(shape, dtype=np.int64))
        arrays.append(np.frombuffer(content, dtype, count, offset).reshape(shape))
        offset += count * dtype.itemsize
    return arrays


def part_of_batch(batch: dict[str, torch.Tensor], number: int) -> dict[str, torch.Tensor]:
    """Batch of one encoder, of what :meth:`CompositePreprocessor.collate` gave."""
    prefix = f"{number}."
    return {name.removeprefix(prefix): value for name, value in batch.items() if name.startswith(prefix)}


def parts_for(preprocessor: Preprocessor, encoders: int) -> list[Preprocessor]:
    """Preprocessor of each of several encoders, which may share one."""
    return (
        preprocessor.parts if isinstance(preprocessor, CompositePreprocessor) else [preprocessor] * encoders
    )


def first_part(preprocessor: Preprocessor) -> Preprocessor:
    """The preprocessor itself; of a composite that of the first encoder, whose form stands for the input."""
    return preprocessor.parts[0] if isinstance(preprocessor, CompositePreprocessor) else preprocessor


def first_array(preprocessor: Preprocessor, array: np.ndarray) -> np.ndarray:
    """The canonical array as :func:`first_part` makes it."""
    return unpack(array)[0] if isinstance(preprocessor, CompositePreprocessor) else array
