"""References that tasks hand to each other: paths, keys and counts, never data."""

from dataclasses import dataclass, field
from typing import Any, Self

from components.config.encoders import AnyEncoderConfig
from components.redaction import redacted
from components.targets import Targets

_LONGEST_REASON = 600  # letters; a message may quote a whole cell


@dataclass(frozen=True)
class Learner:
    """One encoder of an input, which is fitted on its own.

    Attributes:
        input: Name of the input.
        options: Options of the encoder.
        label: Name for people: that of the input, and of the encoder where the input has several.
    """

    input: str
    options: AnyEncoderConfig
    label: str

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True)
class Prepared:
    """Canonical samples of one input.

    Attributes:
        input: Name of the input.
        store: Folder of the shards.
        state: JSON file of the preprocessor's state.
        fingerprint: Digest of that state and of the code.
        rows: Samples in which the input is present.
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
    """Weights from which an encoder can be rebuilt.

    Attributes:
        input: Name of the input.
        file: safetensors file; None for the pretrained model's own weights.
        prefix: Prefix of its tensors' names in the file.
        digest: Digest of weights and code, which enters the keys of its features.
        width: Length of the embedding.
        options: Options that the encoder is built from.
        quantities: Positions in the embedding that hold a quantity of the row each.
    """

    input: str
    file: str | None
    prefix: str
    digest: str
    width: int
    options: AnyEncoderConfig
    quantities: tuple[int, ...] = ()


@dataclass(frozen=True)
class Features:
    """Embeddings of one input.

    Attributes:
        encoder: Encoder that computed them.
        store: Folder of the shards, whose keys are the samples' content digests.
        rows: Samples in which the input is present.
        extracted: Distinct samples that had to be extracted now.
    """

    encoder: EncoderWeights
    store: str
    rows: int
    extracted: int


@dataclass(frozen=True)
class Trained:
    """Result of a finished training.

    Attributes:
        name: Name of the part that was trained, such as ``image`` or ``fusion``.
        folder: Work folder with the best weights and, in done.json, the history.
        epochs: Number of epochs in total.
        best_epoch: Epoch with the best validation metric, whose weights are in the folder.
        metric: Validation metric of that epoch.
        parameters: Number of trainable parameters.
        is_complete: False where a deadline ended it before its last epoch.
    """

    name: str
    folder: str
    epochs: int
    best_epoch: int
    metric: float
    parameters: int
    is_complete: bool = True


@dataclass(frozen=True)
class LearnerScore:
    """Worth of one of several encoders of an input.

    Attributes:
        label: Name of the learner, or of the input for the combination of its learners.
        metrics: Metric of each target on rows that the fit has not learned from, by name of the target.
        weights: Share in the combination, by name of the target; empty for the combination itself.
        seconds: Duration of its trainings; None where nothing was trained epoch by epoch.
        training: Work folder of the training; None for a frozen encoder.
    """

    label: str
    metrics: dict[str, float]
    weights: dict[str, float]
    seconds: float | None
    training: str | None


@dataclass(frozen=True)
class Single:
    """Unimodal model: an encoder with its own head.

    Attributes:
        encoder: Encoder of the input.
        head: safetensors file with the head.
        prefix: Prefix of the names of the head's two tensors.
        training: Training of the encoder; None for a frozen one, and for a combination.
        learners: What each of several encoders of the input was worth, and their combination.
    """

    encoder: EncoderWeights
    head: str
    prefix: str
    training: Trained | None
    learners: tuple[LearnerScore, ...] = ()


@dataclass(frozen=True)
class FusedModel:
    """Trained fusion with its head.

    Attributes:
        features: Embeddings that it takes, by input.
        weights: safetensors file with fusion and head.
        prefix: Prefix of the names of their tensors.
        training: Training of the fusion.
        joint: Whether encoders and fusion were trained together.
    """

    features: dict[str, Features]
    weights: str
    prefix: str
    training: Trained
    joint: bool


@dataclass(frozen=True)
class OutOfFold:
    """One input as encoders give it that have not learned from the row.

    Attributes:
        features: Embeddings of training and validation rows and of those without a target, in the space of
            the encoder that is delivered.
        natural: Folder of shards with the natural parameters (K,) of training rows, by content.
        seconds: Duration of the trainings without each fold.
    """

    features: Features
    natural: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Combined:
    """One input with several encoders, in the form of an input with one.

    Attributes:
        prepared: Canonical samples for all encoders that have a weight.
        features: Their embeddings side by side, and what they predict together.
        single: The combination.
        unseen: Training rows out of fold; None without folds.
    """

    prepared: Prepared
    features: Features
    single: Single
    unseen: OutOfFold | None


@dataclass(frozen=True)
class Refit:
    """One input whose learners have learned from validation rows too.

    Attributes:
        single: Encoder and head, or the combination; its training is the one that chose.
        features: Its embeddings.
    """

    single: Single
    features: Features


@dataclass(frozen=True)
class Worth:
    """Worth of an input, by its first learner.

    Attributes:
        adds: True unless the other inputs predict as well without it.
        says_something: True unless it predicts no better than the frequencies of the target.
    """

    adds: bool
    says_something: bool


@dataclass(frozen=True)
class TeacherPredictions:
    """Predictions of a teacher for every row.

    Attributes:
        store: Folder of the shards, whose keys are digests of all inputs of a row.
        inputs: Inputs of the pipeline, which enter the keys.
        width: Number of natural parameters per row.
        embedding: Length of the teacher's vector.
        uses: Inputs of the teacher itself.
        answered: Distinct rows that had to be predicted now.
        teacher: Bundle of the teacher.
        training: Number of training rows.
        out_of_fold: Number of these for which the teacher's prediction is out of fold.
    """

    store: str
    inputs: tuple[str, ...]
    width: int
    embedding: int
    uses: tuple[str, ...]
    answered: int
    teacher: str
    training: int
    out_of_fold: int


@dataclass(frozen=True)
class Dataset:
    """Reference to checked data; can be written as JSON.

    Attributes:
        samples: Path of the samples table.
        quarantine: Path of the quarantine table.
        digest: Digest of ids, contents, splits, targets and groups of the samples; paths do not enter it.
        source: Path, URL or id that was read.
        rows: Number of rows of the samples table, those without a target among them.
        quarantined: Number of rows in quarantine.
        targets: Targets, with the classes or the scale of the training rows.
        splits: Number of rows per split.
        missing: Number of rows in which an input is missing, per input.
        spellings: Rule of each target and of each column of the inputs, by column.
        readings: The rule in words, for people, by column of text or tables and by target.
        findings: What was decided without being certain, and files that hold next to nothing.
        named: True where a column gives the ids; False where rows are numbered, and known by their content.
        left_out: Number of usable rows that are in no split, by reason; see :mod:`components.data.periods`.
        periods: First and last time of the rows of each split, in UTC; empty where rows have no time.
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
    spellings: dict[str, Any] = field(default_factory=dict)  # empty in references of an earlier braid
    readings: dict[str, str] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    named: bool = True
    left_out: dict[str, int] = field(default_factory=dict)
    periods: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Missing:
    """An optional step that failed, in the place of its result.

    Attributes:
        step: Name of the step.
        reason: Type and message of the error, without secrets.
    """

    step: str
    reason: str

    @classmethod
    def because(cls, step: str, error: Exception) -> Self:
        """Describe the error of a step."""
        message = redacted(" ".join(str(error).split()))
        return cls(step, f"{type(error).__name__}: {message[:_LONGEST_REASON]}".removesuffix(": "))

    def __str__(self) -> str:
        return f"{self.step}: {self.reason}"

    @property
    def sentence(self) -> str:
        """The failure and its remedy in one line."""
        return f"{self.step} is missing, and the next run tries it again ({self.reason})."


@dataclass(frozen=True)
class LeftOut(Missing):
    """Work for which there was no time, or which was not worth it, in the place of its result."""

    @property
    def sentence(self) -> str:
        """The work and the reason in one line."""
        return f"{self.step} was left out in part or whole: {self.reason}."
