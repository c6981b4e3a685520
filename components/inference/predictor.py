"""Scores rows as users have them: files, bytes, text and numbers, any of them missing."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.config.score import BATCH
from components.data.values import read_cells
from components.errors import DataError, ModelError, nearest
from components.inference.attribution import check_number, share_columns, subset_predictions
from components.inference.bundle import Bundle, load_bundle
from components.inference.canonical import CanonicalInput, CanonicalRows
from components.inference.ensemble import Embeddings, InputEmbeddings
from components.metrics.thresholds import with_thresholds
from components.models.encoders import Encoder
from components.runtime.device import choose_device
from components.targets import AnyTarget, FloatArray, Multilabel, Regression
from components.targets.conformal import abstains, describe


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
                self._predict(
                    table.iloc[start : start + BATCH],
                    inputs,
                    explain,
                    {
                        (row - start, name): reason
                        for (row, name), reason in (faults or {}).items()
                        if start <= row < start + BATCH
                    },
                )
                for start in starts
            ]
        )

    def _predict(
        self,
        table: pd.DataFrame,
        allowed: Sequence[str] | None,
        explain: bool,
        faults: Mapping[tuple[int, str], str],
    ) -> pd.DataFrame:
        rows = self.read(table, allowed, faults)
        embeddings = self.embed(rows)
        present = {name: each.present.tolist() for name, each in embeddings.inputs.items()}
        used = [
            "+".join(name for name in self.bundle.inputs if present[name][row]) for row in range(len(table))
        ]
        model = self.bundle.delivered
        columns: dict[str, Any] = {}
        for target in model.targets:
            predictions = model.answer(target, embeddings, self.inputs).numpy()
            quantiles = model.quantiles(target, embeddings, self.inputs)
            answered = np.array([bool(inputs) for inputs in used], dtype=bool)
            prefix = f"{target.name}_" if len(model.targets) > 1 else ""
            made = prediction_columns(target, predictions, quantiles, answered)
            if explain:
                every = subset_predictions(model, target, embeddings, sorted(set(allowed or self.inputs)))
                made |= share_columns(model, target, every, embeddings)
            columns |= {f"{prefix}{name}": column for name, column in made.items()}
        frame = pd.DataFrame(columns, index=table.index)
        frame["inputs"] = pd.array(used, dtype="string")
        frame["error"] = pd.array(rows.errors, dtype="string")
        return frame

    def read(
        self,
        table: pd.DataFrame,
        inputs: Sequence[str] | None = None,
        faults: Mapping[tuple[int, str], str] | None = None,
    ) -> CanonicalRows:
        """Read the cells of rows; what cannot be used becomes an error of its row and input.

        Args:
            table: N rows; see :meth:`predict`.
            inputs: Names of the inputs that may be used; None allows all.
            faults: See :meth:`predict`.
        """
        known: dict[str, dict[int, str]] = {name: {} for name in self.inputs}
        for (row, name), reason in (faults or {}).items():
            known[name][row] = reason
        rows = {}
        for name in self.inputs:
            if inputs is not None and name not in inputs:
                rows[name] = CanonicalInput({}, {})
                continue
            cells = self.cells(table, name)
            each = self.read_input(
                name, ({} if row in known[name] else cells[row] for row in range(len(cells)))
            )
            rows[name] = CanonicalInput(each.arrays, {**each.errors, **known[name]})
        return CanonicalRows(len(table), rows)

    def cells(self, table: pd.DataFrame, name: str) -> list[dict[Any, Any]]:
        """Give the cells of an input by column, row by row, without columns that the table lacks."""
        columns = [column for column in self.bundle.inputs[name].columns if column in table]
        return table[columns].to_dict("records")

    def read_input(self, name: str, rows: Iterable[Mapping[Any, Any]]) -> CanonicalInput:
        """Read one input of some rows.

        Args:
            name: Name of the input.
            rows: Cells by column; each row is read before the next is asked for.
        """
        arrays, errors = {}, {}
        for position, cells in enumerate(rows):
            try:
                value = read_cells(cells, self.bundle.inputs[name], self.bundle.spellings, self.files)
                if value is not None:
                    arrays[position] = self.bundle.preprocessors[name].canonical(value)
            except (DataError, OSError, ValueError) as error:
                errors[position] = str(error)
        return CanonicalInput(arrays, errors)

    def embed(self, rows: CanonicalRows) -> Embeddings:
        """Embed rows; an input without a canonical array is absent."""
        return Embeddings.of(
            {name: self.embed_input(name, each.arrays, rows.count) for name, each in rows.inputs.items()}
        )

    def embed_input(self, name: str, arrays: Mapping[int, np.ndarray], count: int) -> InputEmbeddings:
        """Embed one input of ``count`` rows, of which those in ``arrays`` have it."""
        own, joint = self.bundle.single_encoders[name], self.bundle.fusion_encoders[name]
        single = self._embed(name, own, arrays, count)
        fusion = single if joint is own else self._embed(name, joint, arrays, count)
        present = torch.zeros(count, dtype=torch.bool, device=self.device)
        present[list(arrays)] = True
        return InputEmbeddings(single, fusion, present)

    @torch.inference_mode()
    def _embed(self, name: str, encoder: Encoder, arrays: Mapping[int, np.ndarray], count: int) -> Tensor:
        """Embed the rows that have the input, zeros elsewhere. (N, D) or (N, T, D)."""
        if not arrays:
            return torch.zeros(count, encoder.width, device=self.device)
        batch = self.bundle.preprocessors[name].collate(list(arrays.values()))
        embedded = encoder({key: value.to(self.device) for key, value in batch.items()}).float()  # (n, ...)
        result = embedded.new_zeros(count, *embedded.shape[1:])
        result[torch.tensor(list(arrays), device=self.device)] = embedded
        return result


def prediction_columns(
    target: AnyTarget, predictions: FloatArray, quantiles: FloatArray, answered: NDArray[np.bool_]
) -> dict[str, Any]:
    """Columns of one target; see :meth:`Predictor.predict`.

    Args:
        target: What was predicted.
        predictions: (N, P), with thresholds where the target has some.
        quantiles: (N, Q), of conformal prediction.
        answered: (N,): rows that have an input.
    """
    abstain = abstains(target, predictions, quantiles) | ~answered
    if isinstance(target, Regression):
        low, high = target.interval(predictions, quantiles[:, 0])
        return {
            "value": np.where(answered, predictions[:, 0], np.nan),
            "std": predictions[:, 1],
            "low": low,
            "high": high,
            "abstain": abstain,
        }
    words = [word if has else None for word, has in zip(target.labels(predictions), answered, strict=True)]
    several = isinstance(target, Multilabel)
    return {
        "labels" if several else "label": pd.array(words, dtype="string"),
        **({} if several else {"probability": target.confidence(predictions)}),
        **{f"probability_{name}": predictions[:, column] for column, name in enumerate(target.columns)},
        "set": pd.array(describe(target, predictions, quantiles), dtype="string"),
        "abstain": abstain,
    }


def threshold_columns(target: AnyTarget, predictions: FloatArray) -> dict[str, FloatArray]:
    """Columns ``threshold_<class>`` of one target, for :func:`predictions_of`; none where it has none."""
    thresholds = predictions[:, len(target.columns) :]
    return {
        f"threshold_{name}": thresholds[:, column]
        for column, name in enumerate(target.columns[: thresholds.shape[1]])
    }


def predictions_of(target: AnyTarget, frame: pd.DataFrame, several: bool) -> FloatArray:
    """Predictions (N, P) of one target again, from the columns that :meth:`Predictor.predict` gives.

    They have thresholds where the frame has :func:`threshold_columns`. A class or label that the frame does
    not know has probability 0.
    """
    prefix = f"{target.name}_" if several else ""
    if isinstance(target, Regression):
        columns = frame[[f"{prefix}value", f"{prefix}std"]]
        usual, _ = target.predict(target.prior(np.zeros(0))).tolist()
        return columns.fillna({f"{prefix}value": usual}).to_numpy(np.float64)
    names = [f"{prefix}probability_{name}" for name in target.columns]
    predictions = frame.reindex(columns=names).fillna(0.0).to_numpy(np.float64)
    thresholds = frame.reindex(columns=[f"{prefix}threshold_{name}" for name in target.columns])
    if thresholds.isna().all(axis=None):
        return predictions
    return with_thresholds(predictions, thresholds.fillna(1.0).to_numpy(np.float64))
