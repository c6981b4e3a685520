"""The oracle: it tries one case the way braid would meet it and reports the outcome."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from components.config import ConfigError, PipelineConfig, load_pipeline
from components.data.cells import NotUnicodeError, text_of, word_of
from components.data.files.media import inspect
from components.data.ingest import ingest
from components.errors import BraidError, DataError
from components.preprocess.audio import AudioPreprocessor
from components.preprocess.image import ImagePreprocessor
from components.preprocess.pcm import unpack
from components.preprocess.protocol import Preprocessor
from components.preprocess.tabular import TabularPreprocessor
from components.preprocess.text import NgramTokenizer, SubwordTokenizer, TextPreprocessor
from tests.acceptance.bad_input import audio, configs, images, manifests, tables, texts
from tests.acceptance.bad_input.case import Case

Became = Literal["used", "refused", "crashed", "hung", "substituted"]
CORPORA: dict[str, Callable[[], list[Case]]] = {
    "images": images.cases,
    "audio": audio.cases,
    "texts": texts.cases,
    "tables": tables.cases,
    "manifests": manifests.cases,
    "configs": configs.cases,
}
_LONGEST_REASON = 3000  # characters; a message that repeats its input would be longer


@dataclass(frozen=True)
class Finding:
    """The outcome of a case.

    Attributes:
        kind, name: Of the case.
        became: ``crashed``: something else than a reason or an error for people, or the process died.
            ``substituted``: used where it had to be refused, or as something else than it says.
        message: Reason, message or traceback.
    """

    kind: str
    name: str
    became: Became
    message: str

    @property
    def is_right(self) -> bool:
        """True where the case was used as it is, or refused with a reason."""
        return self.became in ("used", "refused")


class SubstitutedError(Exception):
    """A case whose result is not what its content says."""


def outcome(case: Case) -> Finding:
    """Try a case and give its outcome; never raises."""
    try:
        refusal = TRIALS[case.kind](case)
    except BraidError as error:
        refusal = str(error)
    except SubstitutedError as error:
        return Finding(case.kind, case.name, "substituted", str(error))
    except BaseException:
        return Finding(case.kind, case.name, "crashed", traceback.format_exc())
    if refusal is not None and not (refusal.strip() and len(refusal) < _LONGEST_REASON):
        return Finding(
            case.kind, case.name, "crashed", f"a reason of {len(refusal)} characters: {refusal[:300]!r}"
        )
    if refusal is None and case.wanted == "refused":
        return Finding(case.kind, case.name, "substituted", "used, though it had to be refused")
    if refusal is not None and case.wanted == "used":
        return Finding(case.kind, case.name, "crashed", f"refused, though it is right: {refusal}")
    return Finding(case.kind, case.name, "used" if refusal is None else "refused", refusal or "")


def try_image(case: Case) -> str | None:
    """Try a file as ingest and as the encoder meet it; these two must agree."""
    made = _media(case, "image", ImagePreprocessor(images.SIDE, "stretch"))
    for fit in ("crop", "pad"):
        if made is not None and ImagePreprocessor(8, fit).canonical(case.content).shape != (8, 8, 3):  # type: ignore[arg-type]
            raise SubstitutedError(f"another shape where it is to be {fit}")
    return None if made is not None else str(inspect(case.content, "image").reason)


def try_audio(case: Case) -> str | None:
    """Try a file as ingest and as the encoder meet it, whole and in part."""
    made = _media(case, "audio", AudioPreprocessor(audio.RATE, 4.0, "middle", False, False))
    for keep, trim in (("loudest", True), ("end", False), ("start", True)):
        part = AudioPreprocessor(audio.RATE, 0.05, keep, trim, True)  # type: ignore[arg-type]
        if made is not None and not 1 <= len(_finite(unpack(part.canonical(case.content)))) <= part.samples:
            raise SubstitutedError(f"another length where {keep} is kept")
    return None if made is not None else str(inspect(case.content, "audio").reason)


def _media(case: Case, modality: str, preprocessor: Preprocessor) -> np.ndarray | None:
    """Give what the encoder gets; None where both ingest and preprocessing refuse the file."""
    reason = inspect(case.content, modality).reason
    try:
        made = preprocessor.canonical(case.content)
        made = _finite(unpack(made) if modality == "audio" else made)
    except DataError as error:
        if reason is None:
            raise SubstitutedError(f"good to ingest, but preprocessing says: {error}") from error
        return None
    if reason is not None:
        raise SubstitutedError(f"ingest says {reason!r}, but preprocessing takes it")
    _compared(case, made)
    return made


def _finite(made: np.ndarray) -> np.ndarray:
    if not np.isfinite(made).all():
        raise SubstitutedError("what encoders are given is not finite")
    return made


def _compared(case: Case, made: np.ndarray) -> None:
    if case.truth is None:
        return
    truth = np.asarray(case.truth, np.float64)
    if truth.ndim and truth.shape != made.shape:
        raise SubstitutedError(f"shape {made.shape}, expected {truth.shape}")
    off = float(np.abs(made.astype(np.float64) - truth).mean())
    if off > case.tolerance:
        raise SubstitutedError(f"{off:.4g} off on average, at most {case.tolerance:g} were expected")


_TOKENIZERS: list[TextPreprocessor] = []


def _tokenizers() -> list[TextPreprocessor]:
    """Learned from ordinary words and from all the texts of the corpus that are short."""
    if not _TOKENIZERS:
        words = ["small worker of the hill", "soft hunter by night", "café שלום 😀"] * 4
        words += [case.truth for case in texts.cases() if case.wanted == "used" and len(case.truth) < 2000]
        frame = pd.DataFrame({"note.text": pd.Series(words, dtype=object)})
        for tokenizer in (NgramTokenizer(512, 2, (3, 4), 64, True), SubwordTokenizer(400, 64, True)):
            _TOKENIZERS.append(TextPreprocessor(tokenizer))
            _TOKENIZERS[-1].fit(frame)
    return _TOKENIZERS


def try_text(case: Case) -> str | None:
    """Try a text as a cell and as tokens."""
    try:
        if text_of(case.content) is None:
            return "missing: an empty cell"
    except NotUnicodeError as error:  # ingest puts its row into quarantine
        for preprocessor in _tokenizers():
            _refuses(preprocessor, case)
        return str(error)
    for preprocessor in _tokenizers():
        ids = preprocessor.canonical(case.content)
        if not (len(ids) and ids.min() >= 0 and ids.max() < preprocessor.vocabulary_size):
            raise SubstitutedError("token ids outside of the vocabulary")
        if ids.tolist() != preprocessor.canonical(case.truth).tolist():
            raise SubstitutedError("other tokens than the cleaned text has")
    return None


def _refuses(preprocessor: TextPreprocessor, case: Case) -> None:
    """Check that what ingest puts into quarantine is refused here too."""
    try:
        preprocessor.canonical(case.content)
    except DataError:
        return
    raise SubstitutedError("taken by preprocessing, though ingest does not")


def try_table(case: Case) -> str | None:
    """Try a column that is learned from and encoded."""
    kind, missing = case.truth
    cells = [word_of(cell) if not isinstance(cell, bytes) else repr(cell) for cell in case.content]
    preprocessor = TabularPreprocessor(["x"], {}, 100)
    preprocessor.fit(pd.DataFrame({"facts.x": pd.Series(cells, dtype=object)}))
    result = preprocessor.state()["learned"]["x"]["type"]
    if result != kind:
        raise SubstitutedError(f"taken for {result}, expected {kind}")
    rows = [_finite(preprocessor.canonical({"x": cell})) for cell in cells]
    width = preprocessor.numeric
    gone = {
        at
        for at, row in enumerate(rows)
        if (row[width : 2 * width].any() if width else row[0] == 0 and cells[at] is None)
    }
    if gone != missing:
        raise SubstitutedError(f"missing cells {sorted(gone)}, expected {sorted(missing)}")
    return None


def try_manifest(case: Case) -> str | None:
    """Try a table as the source of a pipeline."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = folder / f"rows{case.ending}"
        source.write_bytes(case.content)
        values: dict[str, Any] = {
            "name": "t",
            "data": {"source": str(source), "split": {"column": "split"}, "max_bad": 0.2},
            "inputs": {"note": {"modality": "text", "columns": "note", "required": True}},
        }
        dataset = ingest(PipelineConfig.model_validate(values), folder / "out", folder)
        if case.truth is not None and case.truth != (dataset.rows, dataset.quarantined):
            raise SubstitutedError(
                f"{dataset.rows} rows and {dataset.quarantined} in quarantine, expected {case.truth}"
            )
        if dataset.rows + dataset.quarantined != manifests.ROWS:
            raise SubstitutedError(f"{dataset.rows} rows and {dataset.quarantined} in quarantine, not 24")
        table = pd.read_parquet(dataset.samples)
        if case.wanted == "either" and case.ending != ".parquet":
            _unchanged(table)
    return None


def _unchanged(table: pd.DataFrame) -> None:
    """Check that a compressed file, whose format has a checksum, gives what was packed."""
    expected = [row["note"] for row in manifests.rows()]
    if table["note.text"].tolist() != expected:
        raise SubstitutedError("other notes than were packed")


def try_config(case: Case) -> str | None:
    """Try a pipeline file."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "pipeline.yaml"
        path.write_bytes(case.content)
        try:
            result = load_pipeline(path)
        except ConfigError as error:
            return str(error)
    if case.truth is not None and (result.name, result.seed) != case.truth:
        raise SubstitutedError(f"read as {result.name}, {result.seed}")
    return None


TRIALS: dict[str, Callable[[Case], str | None]] = {
    "images": try_image,
    "audio": try_audio,
    "texts": try_text,
    "tables": try_table,
    "manifests": try_manifest,
    "configs": try_config,
}
"""By kind: None where a case is used, else the reason that people are given."""
