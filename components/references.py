"""What travels between tasks: paths, keys and counts, never data."""

from __future__ import annotations

from dataclasses import dataclass

from components.targets.collection import Targets


@dataclass(frozen=True)
class Prepared:
    """Canonical samples of one input.

    Attributes:
        input: Name.
        store: Folder of the shards.
        state: JSON file of the preprocessor's state.
        fingerprint: Digest of that state and of the code.
        rows: Samples in which the input is there.
        made: Distinct samples that had to be prepared now; the others were in the store.
    """

    input: str
    store: str
    state: str
    fingerprint: str
    rows: int
    made: int


@dataclass(frozen=True)
class EncoderWeights:
    """An encoder that can be built again.

    Attributes:
        input: Name.
        file: safetensors file, or None for the pretrained model's own weights.
        prefix: What the names of its tensors begin with in the file.
        digest: Digest of weights and code: what its features are keyed by.
        width: Length of the embedding.
    """

    input: str
    file: str | None
    prefix: str
    digest: str
    width: int


@dataclass(frozen=True)
class Features:
    """Embeddings of one input.

    Attributes:
        encoder: Where they come from.
        store: Folder of the shards; rows are keyed by the samples' content digest.
        rows: Samples in which the input is there.
        extracted: Distinct samples that had to be extracted now.
    """

    encoder: EncoderWeights
    store: str
    rows: int
    extracted: int


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        name: ``image``, ``fusion``, ...
        folder: Work folder with the best weights and, in done.json, the history.
        epochs: Passes made in total.
        best_epoch: The one whose weights were kept.
        metric: Validation metric of that epoch.
        parameters: Trainable parameters.
    """

    name: str
    folder: str
    epochs: int
    best_epoch: int
    metric: float
    parameters: int


@dataclass(frozen=True)
class Single:
    """One input on its own.

    Attributes:
        encoder: Its encoder.
        head: safetensors file with the head.
        prefix: What the names of the head's two tensors begin with.
        training: How it was fitted; None for a frozen encoder.
    """

    encoder: EncoderWeights
    head: str
    prefix: str
    training: Trained | None


@dataclass(frozen=True)
class FusedModel:
    """The chosen fusion.

    Attributes:
        features: Embeddings that it takes, by input.
        weights: safetensors file with fusion and head.
        prefix: What the names of their tensors begin with.
        training: How it was trained.
        joint: Whether encoders and fusion were trained together.
    """

    features: dict[str, Features]
    weights: str
    prefix: str
    training: Trained
    joint: bool


@dataclass(frozen=True)
class Taught:
    """What a teacher says of every row.

    Attributes:
        store: Folder of the shards; rows are keyed by the content of all inputs.
        inputs: Those of the pipeline, by which rows are keyed.
        width: Natural parameters of a row.
        embedding: Length of the teacher's vector.
        uses: The teacher's own inputs.
        answered: Distinct rows that had to be answered now.
    """

    store: str
    inputs: tuple[str, ...]
    width: int
    embedding: int
    uses: tuple[str, ...]
    answered: int


@dataclass(frozen=True)
class Dataset:
    """A reference to checked data; JSON-serialisable.

    Attributes:
        samples: Path of the samples table.
        quarantine: Path of the table of rows left out.
        digest: Of the samples: ids, contents, splits, targets and groups; not of where files lie.
        source: Path, URL or id that was read.
        rows: Rows of the samples table.
        quarantined: Rows left out.
        targets: What is predicted: classes of the training rows, scale of numbers.
        splits: Rows of each split.
        missing: Rows in which an input is missing, for each input.
    """

    samples: str
    quarantine: str
    digest: str
    source: str
    rows: int
    quarantined: int
    targets: Targets
    splits: dict[str, int]
    missing: dict[str, int]
