"""Test rows that a report shows, with their media, as frozen dataclasses that travel as JSON."""

from dataclasses import dataclass, field
from typing import Literal

from components.evaluation.intervals import Stored

MediaKind = Literal["image", "audio", "text", "tabular"]

# What a browser shows or plays without running anything: no SVG, no HTML.
MIME_TYPES = frozenset(
    {"image/png", "image/jpeg", "image/webp", "image/gif"}
    | {"audio/wav", "audio/mpeg", "audio/ogg", "audio/flac", "audio/mp4"}
)


@dataclass(frozen=True)
class Media(Stored):
    """One input of one sample for a reader: `data` with `mime`, or `text`, or `values` by column.

    Raises:
        ValueError: `mime` is not an image or audio that a browser shows without running anything.
    """

    kind: MediaKind
    text: str | None = None
    data: bytes | None = None
    mime: str | None = None
    values: dict[str, str] | None = None

    def __post_init__(self) -> None:
        if self.data is not None and self.mime not in MIME_TYPES:
            raise ValueError(
                f"media of type {self.mime!r} cannot be embedded; use one of {sorted(MIME_TYPES)}"
            )


@dataclass(frozen=True)
class Sample(Stored):
    """A test row. `row` is its position among the test rows that have the target.

    `probability` is that of the answer, or for a number its standard deviation; `loss` −ln of the likelihood
    of the truth; `shares` what each input added to the log-probability of the answer, or to the number
    (exact Shapley values; see Target.leaning). An input that is not in `media` is missing.
    """

    id: str
    row: int
    label: str
    predicted: str
    probability: float
    loss: float
    shares: dict[str, float]
    media: dict[str, Media] = field(default_factory=dict)
