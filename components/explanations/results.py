"""Parts of inputs that were decisive in some samples, as frozen dataclasses that travel as JSON.

An effect is the loss of the delivered model's prediction when a part is taken away and the rest of the row
stays: in nats of its probability, or in units of the number (see Target.leaning). A positive effect argued
for the prediction.
"""

from dataclasses import dataclass
from typing import Literal

from components.evaluation.intervals import Stored
from components.results.table import Table, number, text

SampleKind = Literal["worst", "typical"]
Grid = tuple[tuple[float, ...], ...]
_LONGEST = 60  # letters of a word or cell in a table
_WORDS = 3  # strongest words or columns that a table names


@dataclass(frozen=True)
class Effect(Stored):
    """Effect of one word or column.

    Attributes:
        text: The word, or the cell as text.
        effect: None where nothing can be taken away: an empty cell, blanks between words.
        name: The column; empty for a word.
    """

    text: str
    effect: float | None
    name: str = ""

    @property
    def label(self) -> str:
        """The word, or the column with what its cell holds; short, on one line."""
        label = f"{self.name} = {self.text}" if self.name else self.text
        return " ".join(label.split())[:_LONGEST]


@dataclass(frozen=True)
class Heatmap(Stored):
    """Effects of the regions of one image, or of stretches of time and bands of frequency of one clip.

    Attributes:
        column: Column of the cell.
        effect: Effect of the whole cell, while cells of other columns stay.
        grid: Effects of the regions, rows from top to bottom; for audio from high to low frequency, evenly
            spaced on the mel scale up to `hertz`, over `seconds`.
        image: PNG to draw under the grid; for audio the spectrogram.
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

    @property
    def strongest_region(self) -> str:
        """Place of that region: row and column, or a stretch of time and a band."""
        rows, columns = len(self.grid), len(self.grid[0])
        row, column = max(
            ((row, column) for row in range(rows) for column in range(columns)),
            key=lambda region: abs(self.grid[region[0]][region[1]]),
        )
        if self.seconds:
            width = self.seconds / columns
            seconds = f"{column * width:.2f} to {(column + 1) * width:.2f} s"
            return f"{seconds}, band {rows - row} of {rows} from below"
        return f"row {row + 1}, column {column + 1} of {rows} × {columns}"


@dataclass(frozen=True)
class Inside(Stored):
    """The parts of one input.

    Attributes:
        modality: Modality of the input.
        heatmaps: One for each image or clip of the row, in the order of the columns.
        effects: Effects of words or of a table's columns.
        missing: Columns of media whose cell is empty.
    """

    modality: Literal["image", "text", "audio", "tabular"]
    heatmaps: tuple[Heatmap, ...] = ()
    effects: tuple[Effect, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def several(self) -> bool:
        """True for media of an input with several columns."""
        return len(self.heatmaps) + len(self.missing) > 1

    @property
    def strongest(self) -> float:
        """The effect of a region, word or column that is farthest from 0; 0 where there is none."""
        parts = [part.effect for part in self.effects if part.effect is not None]
        return max([*parts, *(heatmap.strongest for heatmap in self.heatmaps)], key=abs, default=0.0)

    @property
    def strongest_part(self) -> str:
        """Place of the strongest part: words, columns, a region or a stretch of time."""
        if not self.heatmaps:
            parts = [part for part in self.effects if part.effect is not None]
            parts.sort(key=lambda part: -abs(part.effect or 0.0))
            return ", ".join(part.label for part in parts[:_WORDS])
        heatmap = max(self.heatmaps, key=lambda heatmap: abs(heatmap.strongest))
        return f"{heatmap.column}: {heatmap.strongest_region}" if self.several else heatmap.strongest_region


@dataclass(frozen=True)
class ExplainedSample(Stored):
    """One explained test row. An input that is not in `inside` is missing.

    `probability` is that of the prediction, or for a number its standard deviation. `shares` are exact
    Shapley values of the inputs. `without` is the loss of the prediction without the whole input.
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

    @property
    def headline(self) -> str:
        """Number of rows."""
        return f"{len(self.samples)} rows looked into"

    @property
    def findings(self) -> tuple[str, ...]:
        """The input that argued most for each of the worst predictions."""
        return tuple(
            f"{sample.id}: {sample.predicted} instead of {sample.label}, most of all because of "
            f"{max(sample.shares, key=lambda name: sample.shares[name])}."
            for sample in self.samples
            if sample.kind == "worst" and sample.shares and sample.predicted != sample.label
        )

    def metrics(self) -> dict[str, float]:
        """Nothing: single rows are no measure of a model."""
        return {}

    def tables(self) -> dict[str, Table]:
        """One row per input of each sample: share, what the prediction loses without it, strongest part."""
        table = Table.of(
            "What each input and its strongest part argued for: worst rows and typical right ones of test.",
            ((sample, name) for sample in self.samples for name in sample.inside),
            (text("id"), lambda row: row[0].id),
            (text("kind"), lambda row: row[0].kind),
            (text("prediction"), lambda row: row[0].predicted),
            (text("truth"), lambda row: row[0].label),
            (text("input"), lambda row: row[1]),
            (number("share", "+.3f"), lambda row: row[0].shares[row[1]]),
            (number("without it", "+.3f"), lambda row: row[0].without[row[1]]),
            (text("strongest part"), lambda row: row[0].inside[row[1]].strongest_part),
            (number("effect", "+.3f"), lambda row: row[0].inside[row[1]].strongest),
        )
        return {"explanations": table} if table.rows else {}
