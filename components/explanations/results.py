"""What was decisive inside the inputs of some samples, as frozen dataclasses that travel as JSON.

An effect is what the delivered model's answer loses when a part is taken away while all else of the row stays
as it is: in nats of the answer's probability, or in units of the number (see Target.leaning). Positive: the
part argued for the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from components.evaluation.intervals import Stored

SampleKind = Literal["worst", "typical"]
Grid = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Effect(Stored):
    """One word or column. `text` is the word, or what the cell holds; `name` the column, else empty.

    `effect` is None where there was nothing to take away: an empty cell, blanks between words.
    """

    text: str
    effect: float | None
    name: str = ""


@dataclass(frozen=True)
class Heatmap(Stored):
    """Effects of the regions of one image, or of stretches of time and bands of frequency of one sound.

    Attributes:
        column: Column of the cell.
        effect: Effect of the whole cell, while cells of other columns stay.
        grid: Effects of the regions, rows from top to bottom; for audio from high to low frequency, evenly
            spaced on the mel scale up to `hertz`, over `seconds`.
        image: PNG that lies under the grid; for audio the spectrogram.
        seconds: Length of the audio; 0 for an image.
        hertz: Highest frequency; 0 for an image.
    """

    column: str
    effect: float
    grid: Grid
    image: bytes
    seconds: float = 0.0
    hertz: float = 0.0

    @property
    def strongest(self) -> float:
        """The region's effect that is farthest from 0."""
        return max((effect for row in self.grid for effect in row), key=abs, default=0.0)


@dataclass(frozen=True)
class Inside(Stored):
    """The parts of one input.

    Attributes:
        modality: Modality of the input.
        heatmaps: One for each image or sound of the row, in the order of the columns.
        effects: Effects of words or of a table's columns.
        missing: Columns of images or sounds whose cell is empty.
    """

    modality: Literal["image", "text", "audio", "tabular"]
    heatmaps: tuple[Heatmap, ...] = ()
    effects: tuple[Effect, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def several(self) -> bool:
        """True for images or sounds of an input with several columns."""
        return len(self.heatmaps) + len(self.missing) > 1

    @property
    def strongest(self) -> float:
        """The effect of a region, word or column that is farthest from 0; 0 where there is none."""
        parts = [part.effect for part in self.effects if part.effect is not None]
        return max([*parts, *(heatmap.strongest for heatmap in self.heatmaps)], key=abs, default=0.0)


@dataclass(frozen=True)
class ExplainedSample(Stored):
    """A test row. An input that is not in `inside` is missing.

    `probability` is that of the answer, or for a number its standard deviation. `shares`: exact Shapley
    values of the inputs. `without`: what the answer loses when the whole input is taken away.
    """

    id: str
    kind: SampleKind
    label: str
    predicted: str
    probability: float
    loss: float
    shares: dict[str, float]
    without: dict[str, float]
    inside: dict[str, Inside]


@dataclass(frozen=True)
class Explanations(Stored):
    """Samples of the primary target: the worst first, then typical right ones."""

    target: str
    task: str
    inputs: tuple[str, ...]
    samples: tuple[ExplainedSample, ...]
    version: int = 2
