"""Scores rows as users have them: files, bytes, text and numbers, any of them missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.config.score import BATCH
from components.errors import DataError, ModelError, nearest
from components.inference.attribution import check_number, share_columns, subset_predictions
from components.inference.bundle import Bundle, load_bundle
from components.inference.cells import read_cells
from components.inference.ensemble import Embeddings
from components.models.encoders import Encoder
from components.runtime.device import choose_device
from components.targets import AnyTarget, Multilabel, Regression
from components.targets.conformal import abstains, describe
from components.targets.target import FloatArray


@dataclass(frozen=True)
class Part:
    """One input of N rows, embedded.

    Attributes:
        single: (N, D) or (N, T, D) from the encoder of the single fit; zeros where the input is absent.
        fusion: The same from the encoder that the fusion was trained with; the same object unless trained
            jointly.
        present: (N,) bool.
    """

    single: Tensor
    fusion: Tensor
    present: Tensor


class Predictor:
    """A delivered model that takes a table with the columns of the pipeline file.

    Args:
        bundle: Folder written by :func:`components.inference.bundle.save_bundle`.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Attributes:
        files: Whether text in a media cell may name a file or URL, which is then read. Where it is false,
            text is base64 of the content: for rows of people who may not read what this machine can.
    """

    def __init__(self, bundle: Path, device: str = "auto") -> None:
        self.files = True
        self.device = choose_device(device)
        self.bundle: Bundle = load_bundle(bundle, self.device)
        self.inputs = self.bundle.delivered.inputs

    @property
    def columns(self) -> list[str]:
        """Columns that are looked at; each may be absent or null in any row."""
        named = [column for config in self.bundle.inputs.values() for column in config.columns]
        return list(dict.fromkeys(named))

    def predict(
        self,
        table: pd.DataFrame,
        inputs: Sequence[str] | None = None,
        explain: bool = False,
        faults: Mapping[tuple[int, str], str] | None = None,
    ) -> pd.DataFrame:
        """Score rows.

        Args:
            table: Media columns hold a path, bytes or base64 text (of an input with several, any may be
                null); text columns text; the others
                numbers, words or dates. Null, or a column that is not there, is a missing input.
            inputs: Names of the inputs that may be used; None allows all.
            explain: Add ``share_<input>``: what each input added to the log-probability of the answer
                (nats), or to the number; exact Shapley values, 0 for a missing input. Each of the 2^M - 1
                subsets of the inputs is scored, so it is done for up to 6 inputs.
            faults: What is known already to be unusable: the reason by position in ``table`` and input, which
                is not read there.

        Returns:
            One row for each of ``table``, with its index, and these columns; with several targets all but
            the last two begin with ``<target>_``.

            - Classes: ``label``, ``probability`` (of that label), ``probability_<class>`` for every class,
              ``set`` (classes that cannot be ruled out at the configured coverage, joined by ``|``).
            - Labels: ``labels``, ``probability_<label>`` for every label, ``set`` (labels left open end in
              ``?``).
            - Numbers: ``value``, ``std``, ``low`` and ``high`` (the conformal interval).
            - ``abstain``: whether that set or interval does not decide.
            - ``inputs``: those used, joined by ``+``.
            - ``error``: null, or which input could not be read and why.

            A row without any readable input has a null answer, and the training frequencies as
            probabilities.

        Raises:
            ModelError: If ``inputs`` names one that the model does not have, or too many are to be explained.
        """
        for name in inputs or ():
            if name not in self.inputs:
                known = ", ".join(self.inputs)
                raise ModelError(f"inputs: {name!r} is not one of: {known}.{nearest(name, self.inputs)}")
        if explain:
            check_number(inputs or self.inputs)
        starts = range(0, max(len(table), 1), BATCH)  # an empty table is one empty batch
        return pd.concat(
            [
                self._predict(table.iloc[start : start + BATCH], inputs, explain, faults or {}, start)
                for start in starts
            ]
        )

    def _predict(
        self,
        table: pd.DataFrame,
        allowed: Sequence[str] | None,
        explain: bool,
        faults: Mapping[tuple[int, str], str],
        start: int,
    ) -> pd.DataFrame:
        errors: list[list[str]] = [[] for _ in range(len(table))]
        parts = {}
        for name in self.inputs:
            use = allowed is None or name in allowed
            known = {row: reason for row in range(len(table)) if (reason := faults.get((start + row, name)))}
            cells = ({} if row in known else each for row, each in enumerate(self.cells(table, name)))
            arrays, unread = self.read(name, cells) if use else ({}, {})
            unread |= {row: f"{name}: {reason}" for row, reason in known.items() if use}
            for position, error in unread.items():
                errors[position].append(error)
            parts[name] = self.embed(name, arrays, len(table))
        embeddings = self.join(parts)
        used = [
            "+".join(name for name in self.bundle.inputs if parts[name].present[row])
            for row in range(len(table))
        ]
        model = self.bundle.delivered
        columns: dict[str, Any] = {}
        for target in model.targets:
            predictions = model.predict(target, embeddings, self.inputs).numpy()
            quantiles = model.quantiles(target, embeddings, self.inputs)
            answered = np.array([bool(inputs) for inputs in used], dtype=bool)
            prefix = f"{target.name}_" if len(model.targets) > 1 else ""
            found = answer_columns(target, predictions, quantiles, answered)
            if explain:
                every = subset_predictions(model, target, embeddings, sorted(set(allowed or self.inputs)))
                found |= share_columns(model, target, every, embeddings)
            columns |= {f"{prefix}{name}": column for name, column in found.items()}
        frame = pd.DataFrame(columns, index=table.index)
        frame["inputs"] = pd.array(used, dtype="string")
        frame["error"] = pd.array(["; ".join(error) or None for error in errors], dtype="string")
        return frame

    def cells(self, table: pd.DataFrame, name: str) -> list[dict[Any, Any]]:
        """Cells of an input by column, row by row; columns that are not there are left out."""
        columns = [column for column in self.bundle.inputs[name].columns if column in table]
        return table[columns].to_dict("records")

    def read(
        self, name: str, rows: Iterable[Mapping[Any, Any]]
    ) -> tuple[dict[int, np.ndarray], dict[int, str]]:
        """Canonical arrays of an input, and why a row's input could not be read, both by position.

        Args:
            name: Of the input.
            rows: Cells by column; each row is read before the next is asked for.
        """
        arrays, errors = {}, {}
        for position, cells in enumerate(rows):
            try:
                value = read_cells(cells, self.bundle.inputs[name], self.files)
                if value is not None:
                    arrays[position] = self.bundle.preprocessors[name].canonical(value)
            except (DataError, OSError, ValueError) as error:
                errors[position] = f"{name}: {error}"
        return arrays, errors

    def embed(self, name: str, arrays: Mapping[int, np.ndarray], total: int) -> Part:
        """Embeddings of an input in ``total`` rows, of which those in ``arrays`` have it."""
        own, joint = self.bundle.single_encoders[name], self.bundle.fusion_encoders[name]
        single = self._embed(name, own, arrays, total)
        fusion = single if joint is own else self._embed(name, joint, arrays, total)
        present = torch.zeros(total, dtype=torch.bool)
        present[list(arrays)] = True
        return Part(single, fusion, present)

    def join(self, parts: Mapping[str, Part]) -> Embeddings:
        """What the candidates take, from the parts of all inputs."""
        single = {name: parts[name].single for name in self.inputs}
        shared = all(parts[name].fusion is parts[name].single for name in self.inputs)
        fusion = single if shared else {name: parts[name].fusion for name in self.inputs}
        present = torch.stack([parts[name].present for name in self.inputs], dim=1)
        return Embeddings(single, fusion, present.to(self.device))

    @torch.inference_mode()
    def _embed(self, name: str, encoder: Encoder, arrays: Mapping[int, np.ndarray], total: int) -> Tensor:
        """Embeddings of the rows that have the input, zeros elsewhere. (N, D) or (N, T, D)."""
        if not arrays:
            return torch.zeros(total, encoder.width, device=self.device)
        batch = self.bundle.preprocessors[name].collate(list(arrays.values()))
        found = encoder({key: value.to(self.device) for key, value in batch.items()}).float()
        result = found.new_zeros(total, *found.shape[1:])
        result[torch.tensor(list(arrays), device=self.device)] = found
        return result


def answer_columns(
    target: AnyTarget, predictions: FloatArray, quantiles: FloatArray, answered: NDArray[np.bool_]
) -> dict[str, Any]:
    """Columns of one target; see :meth:`Predictor.predict`.

    Args:
        target: What was predicted.
        predictions: (N, P).
        quantiles: (N, Q), of conformal prediction.
        answered: (N,): rows that have an input.
    """
    abstain = abstains(target, predictions, quantiles) | ~answered
    if isinstance(target, Regression):
        reach = quantiles[:, 0] * predictions[:, 1]
        return {
            "value": np.where(answered, predictions[:, 0], np.nan),
            "std": predictions[:, 1],
            "low": predictions[:, 0] - reach,
            "high": predictions[:, 0] + reach,
            "abstain": abstain,
        }
    words = [
        word if there else None for word, there in zip(target.labels(predictions), answered, strict=True)
    ]
    several = isinstance(target, Multilabel)
    return {
        "labels" if several else "label": pd.array(words, dtype="string"),
        **({} if several else {"probability": target.confidence(predictions)}),
        **{f"probability_{name}": predictions[:, column] for column, name in enumerate(target.columns)},
        "set": pd.array(describe(target, predictions, quantiles), dtype="string"),
        "abstain": abstain,
    }


def predictions_of(target: AnyTarget, frame: pd.DataFrame, several: bool) -> FloatArray:
    """Predictions (N, P) of one target again, from the columns that :meth:`Predictor.predict` gives.

    A class or label that the frame does not know has probability 0.
    """
    prefix = f"{target.name}_" if several else ""
    if isinstance(target, Regression):
        columns = frame[[f"{prefix}value", f"{prefix}std"]]
        return columns.fillna({f"{prefix}value": target.mean}).to_numpy(np.float64)
    names = [f"{prefix}probability_{name}" for name in target.columns]
    return frame.reindex(columns=names).fillna(0.0).to_numpy(np.float64)
