"""First pipeline file for a table: a comment per choice, made of what its columns hold."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path, PurePath
from statistics import median
from typing import Any

import yaml

from components.config.data import ColumnConfig, DataConfig
from components.config.pipeline import is_reserved
from components.config.targets import ClassificationTarget, RegressionTarget
from components.data.column_looks import ROWS, ColumnLook, Opened
from components.data.files.location import is_url
from components.data.sources.manifest import Manifest
from components.data.sources.readers import open_manifest
from components.data.splits import SPLITS
from components.data.tasks import columns_of_numbers
from components.errors import DataError, nearest
from components.results.table import Table, text
from components.results.visible import visible

_IDS = ("id", "uuid", "key", "index")
_UNEVEN = 3.0  # rows of the largest class per row of the smallest from which on accuracy hides the rare ones
_FEW = 200  # letters of a comment


@dataclass(frozen=True)
class Use:
    """Column and its use in the pipeline.

    Attributes:
        column: Name of the column.
        reading: What the cells are.
        use: Name of the input, or the other use; empty for a column that is left out.
    """

    column: str
    reading: str
    use: str


@dataclass(frozen=True)
class Draft:
    """First pipeline file.

    Attributes:
        text: YAML with comments.
        name: Name of the pipeline.
        rows: Number of rows of the table.
        uses: Every column, in the order of the table.
    """

    text: str
    name: str
    rows: int
    uses: tuple[Use, ...]

    @property
    def table(self) -> Table:
        """One row per column of the table."""
        title = f"{self.name}: {self.rows} rows"
        return Table.of(
            "Columns and their use.",
            self.uses,
            (text("column"), lambda use: use.column),
            (text("read as"), lambda use: use.reading),
            (text("used as"), lambda use: use.use or "left out"),
            title=title,
        )


@dataclass
class _Inputs:
    """Inputs that the columns become: one per column of media or text, one for all others."""

    blocks: dict[str, list[str]] = field(default_factory=dict)
    table: dict[str, str] = field(default_factory=dict)
    absent: bool = False

    def name(self, column: str) -> str:
        """Make a name of a column that an input can have."""
        words = re.sub(r"\W+", "_", column).strip("_")[:48] or "column"
        name = words if words.isidentifier() else f"input_{words}"
        if is_reserved(name):
            name = f"{name}_input"
        while name in self.blocks:
            name = f"{name}_2"
        return name

    def add(self, column: str, modality: str, note: str, *options: str) -> str:
        """Add an input with one column; return its name."""
        name = self.name(column)
        self.blocks[name] = [f"modality: {modality}", _line("columns", column, note), *options]
        return name


def draft(
    source: str, target: str, group: str | None = None, time: str | None = None, beside: Path | None = None
) -> Draft:
    """Look at a table and write its first pipeline file.

    Args:
        source: Table: path or URL.
        target: Column that is predicted.
        group: Column of groups, each of which stays in one split.
        time: Column with the time of each row: the newest rows become the test.
        beside: Folder of the pipeline file; the working directory by default.

    Raises:
        DataError: If the table cannot be read, lacks a column, or nothing can be learned from it.
    """
    folder = (beside or Path.cwd()).resolve()
    if not is_url(source):
        source = _relative(Path(source), folder)
    manifest = open_manifest(DataConfig(source=source), folder, folder)
    given = {"--target": target, "--group": group, "--time": time}
    for option, column in given.items():
        if column is not None and column not in manifest.columns:
            raise DataError(
                f"{option}: {column!r} is not a column of {manifest.name} (has: "
                f"{', '.join(manifest.columns[:30])}).{nearest(column, manifest.columns)}"
            )
    looks = _look(manifest)
    rows = looks[target].rows
    options = [column for column in (target, group, time) if column is not None]
    uses = {target: Use(target, str(looks[target].reading(manifest)), "target")}
    uses |= {column: Use(column, "", use) for column, use in ((group, "group"), (time, "time")) if column}
    identifier = _identifier([each for name, each in looks.items() if name not in options])
    split = next((name for name, each in looks.items() if name not in options and _is_split(each)), None)
    if identifier:
        uses[identifier] = Use(identifier, "different in every row", "id")
    if split:
        uses[split] = Use(split, "train, val or test", "split" if time is None else "")

    inputs = _Inputs()
    for name, each in looks.items():
        if name not in uses:
            uses[name] = _use(each, manifest, inputs)
    _add_table(inputs)
    if not inputs.blocks:
        raise DataError(
            f"{manifest.name}: besides {target!r} there is no column to learn from (empty, constant or "
            "different in every row). Write the file by hand: docs/tutorial/pipelines.md"
        )
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", PurePath(source).name.partition(".")[0]).strip("-._")[:100]
    lines = [
        f"# First pipeline of {_words(manifest.name)}, {rows} rows, by `braid init`. Change any line;",
        "# `braid check` shows what it means.",
        _line("name", name or "model", "of the runs and of the registered model"),
        "data:",
        f"  {_line('source', source, 'a relative path starts beside this file')}",
        f"  {_line('id', identifier, _id_note(identifier))}",
        *["  allow_missing_files: true  # a file that is not there is a missing input"] * inputs.absent,
        *_split_lines(group, time, split, looks),
        *_target_lines(target, looks[target], manifest),
        "inputs:",
        *(
            line
            for input_name, block in inputs.blocks.items()
            for line in (f"  {_scalar(input_name)}:", *(f"    {each}" for each in block))
        ),
    ]
    if len(inputs.blocks) > 1:
        lines.append(
            "fusion: {name: late}  # averages by learned weights; concat, gated, attention, ... learn more"
        )
    lines.append("seed: 0")
    ordered = tuple(uses[column] for column in manifest.columns)
    return Draft("\n".join(lines) + "\n", name or "model", rows, ordered)


def _look(manifest: Manifest) -> dict[str, ColumnLook]:
    """Look at all columns in the first rows; all rows are read, as rare classes may come last."""
    looks = {column: ColumnLook(column) for column in manifest.columns}
    for batch in manifest.batches(manifest.columns):
        for column, each in looks.items():
            if each.rows < ROWS or each.could_be_key:
                each.add(batch[column])
            else:
                each.rows += len(batch[column])
    if not any(each.rows for each in looks.values()):
        raise DataError(f"{manifest.name}: has columns but no rows")
    return looks


def _relative(path: Path, folder: Path) -> str:
    """Write a path as seen from the folder of the pipeline file, where it lies below."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100  (links stay as they are)
    return absolute.relative_to(folder).as_posix() if absolute.is_relative_to(folder) else str(absolute)


def _identifier(looks: Sequence[ColumnLook]) -> str | None:
    """Find the column that names each row, by its name and cells."""
    unique = [each for each in looks if each.distinct == each.filled == each.looked and not each.nested]
    named = [each.name for each in unique if re.split(r"[\W_]+", each.name.casefold())[-1] in _IDS]
    return next((name for name in named if name.casefold() == "id"), named[0] if named else None)


def _is_split(look: ColumnLook) -> bool:
    return (
        look.filled > 0 and look.name.casefold() in ("split", "fold", "set") and set(look.counts) == {*SPLITS}
    )


def _use(look: ColumnLook, manifest: Manifest, inputs: _Inputs) -> Use:
    """Make the input, or a part of one, that a column becomes."""
    media = look.media(manifest)
    if media is not None:
        inputs.absent |= media.absent > 0
        note = f"{media.usable} of {media.tried} files looked at can be used"
        use = inputs.add(look.name, media.modality, note, *_media_options(media))
        return Use(look.name, f"{media.modality} files", use)
    content = look.content(manifest)
    reading = look.reading(manifest)
    match content:
        case "text":
            longest = max(map(len, (word.split() for word in look.counts)))
            use = inputs.add(
                look.name,
                "text",
                f"{look.words:.0f} words in a cell on average, at most {longest}",
                _line("max_tokens", min(512, max(32, 32 * ceil(longest * 1.5 / 32))), "longer texts are cut"),
            )
            return Use(look.name, "text", use)
        case "table":
            known = f"{reading}" if reading.spelling.kind != "word" else f"{look.distinct} categories"
            inputs.table[look.name] = known
            return Use(look.name, known, "table")
    left_out = {
        "unique": "words that differ in most rows",
        "constant": "the same in every row",
        "empty": "empty",
        "nested": "lists or mappings",
    }
    return Use(look.name, left_out[content], "")


def _media_options(media: Opened) -> Iterator[str]:
    if media.fault:
        yield f"# at least one cannot be used: {_words(media.fault)}"
    if not media.sizes:
        return
    middle = median(media.sizes)
    if media.modality == "image":
        side = next((side for side in (32, 64, 128) if middle <= side), 224)
        yield _line("size", side, f"pixels; the shorter sides have {middle:.0f} in the median")
        return
    longest = sorted(media.sizes)[int(0.9 * (len(media.sizes) - 1))]
    yield _line(
        "seconds", min(10.0, max(0.1, ceil(longest * 10) / 10)), f"clips last {middle:.3g} s in the median"
    )
    rate = int(min(16_000, max(1000, median(media.rates))))
    yield _line("rate", rate, f"Hz; the files have {', '.join(map(str, sorted(set(media.rates))))}")


def _add_table(inputs: _Inputs) -> None:
    if not inputs.table:
        return
    name = inputs.name("table")
    block = ["modality: tabular", "columns:"]
    block += [f"  - {_scalar(column)}  # {_words(reading)}" for column, reading in inputs.table.items()]
    inputs.blocks[name] = block


def _split_lines(
    group: str | None, time: str | None, split: str | None, looks: dict[str, ColumnLook]
) -> Iterator[str]:
    if time is not None:
        yield f"  {_line('time', time, 'when each row happened; times without a zone are in UTC')}"
    yield "  split:"
    if time is not None:
        yield "    by: time  # the newest rows are the test, those before them validation"
    elif split is not None:
        yield f"    {_line('column', split, 'the table says itself which rows are train, val and test')}"
    if time is not None or split is None:
        yield "    val: 0.15  # share of the rows by which models are chosen"
        yield "    test: 0.2  # share of the rows that are scored once, at the end"
    if group is not None:
        yield f"    {_line('group', group, f'{looks[group].distinct} groups; each stays in one split')}"
    elif time is None and split is None:
        yield "    # group: COLUMN  # where rows belong together, such as those of a person"


def _target_lines(target: str, look: ColumnLook, manifest: Manifest) -> Iterator[str]:
    """Choose task and metric by the cells of the target."""
    numbers = columns_of_numbers(manifest, {target: ColumnConfig()}, [target])
    yield "target:"
    yield f"  {_line('column', target, f'{look.filled} of {look.looked} rows have one')}"
    if target in numbers:
        yield f"  task: regression  # {numbers[target]} different numbers"
        yield f"  metric: r2  # or {', '.join(_others(RegressionTarget.metrics(), 'r2'))}"
        return
    if not look.filled:
        raise DataError(f"{manifest.name}: target {target!r} is empty in every row. Name another column.")
    if look.reading(manifest).spelling.kind == "moment" or 2 * look.distinct > look.filled:
        raise DataError(
            f"{manifest.name}: target {target!r} has {look.distinct} different values in {look.filled} rows "
            f"({look.reading(manifest)}), so there is no class to learn. Name another column."
        )
    if look.distinct < 2:
        raise DataError(f"{manifest.name}: target {target!r} has one value, {next(iter(look.counts))!r}")
    if _is_multilabel(look.counts):
        yield "  task: multilabel  # cells hold several labels"
        yield '  separator: "|"'
        yield "  metric: f1_macro"
        return
    most, least = max(look.counts.values()), min(look.counts.values())
    uneven = most > _UNEVEN * least
    metric = "balanced_accuracy" if uneven else "accuracy"
    yield f"  task: classification  # {look.distinct} classes; `ordinal` if they are steps of a scale"
    note = f"the largest class has {most} rows, the smallest {least}"
    yield f"  metric: {metric}  # {note}; or {', '.join(_others(ClassificationTarget.metrics(), metric))}"


def _is_multilabel(counts: Counter[str]) -> bool:
    several = sum(rows for cell, rows in counts.items() if "|" in cell)
    labels = {label for cell in counts for label in cell.split("|")}
    return several > 0.1 * counts.total() and len(labels) < len(counts)


def _others(metrics: Sequence[str], chosen: str) -> list[str]:
    return [metric for metric in metrics if metric != chosen]


def _id_note(identifier: str | None) -> str:
    return "names each row" if identifier else "no column names each row, so rows are known by their contents"


def _line(option: str, value: Any, note: str) -> str:
    return f"{option}: {_scalar(value)}  # {_words(note)}"


def _scalar(value: Any) -> str:
    """Write a value so that YAML reads it back, in one line."""
    if isinstance(value, str) and not value.isprintable():
        return json.dumps(value)
    written = yaml.safe_dump(value, allow_unicode=True, default_flow_style=True, width=10**6)
    return written.removesuffix("\n").removesuffix("\n...").strip()


def _words(note: str) -> str:
    """Write a text so that it ends in its line."""
    shown = visible(note)
    return shown if len(shown) <= _FEW else f"{shown[:_FEW]}..."
