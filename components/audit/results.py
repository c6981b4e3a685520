"""Results of the audit of the data, with its warnings, as frozen dataclasses that travel as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.evaluation.intervals import Interval, Stored
from components.results.table import Cell, Column, Table, flag, interval, number, text


@dataclass(frozen=True)
class Shuffled(Stored):
    """Rows of one input that do not go with their labels: ids of the first and the last, and how many.

    `skill` is their agreement with the labels as a share of what is usual for these labels.
    """

    first: str
    last: str
    rows: int
    skill: float


@dataclass(frozen=True)
class Agreement(Stored):
    """Agreement of one input's votes with the labels, each row voted on by models that have not seen it.

    `skill` is the correlation of votes and labels; 0 where rows and labels are put together at random.
    `right` is the share of rows voted for as labelled, `at_random` what it would be then; NaN of numbers and
    sets of labels. `chance` says that neither these votes nor the input's own model nor the whole model get
    anything from the input.
    """

    input: str
    rows: int
    skill: float
    low: float
    high: float
    right: float
    at_random: float
    chance: bool
    shuffled: tuple[Shuffled, ...]


@dataclass(frozen=True)
class Duplicates(Stored):
    """Rows of val or test whose content of one input train has too.

    `near` are those nearly the same, among the rows that were compared. `by_chance` is the share that is to
    be expected, as contents repeat within train as well; `flagged` where there are more.
    """

    input: str
    split: str
    rows: int
    exact: int
    near: int
    by_chance: float
    flagged: bool
    example: str = ""


@dataclass(frozen=True)
class Leak(Stored):
    """A column that tells the label by itself in a share of the rows; `usual` is the commonest label's."""

    input: str
    column: str
    share: float
    usual: float
    flagged: bool


@dataclass(frozen=True)
class SplitGroups(Stored):
    """A column of groups, of which some stand in train and in another split."""

    column: str
    groups: int
    across: int
    test_rows: float
    flagged: bool


@dataclass(frozen=True)
class Audit(Stored):
    """Everything that was looked at, good or not."""

    target: str
    rows: int
    agreements: tuple[Agreement, ...]
    duplicates: tuple[Duplicates, ...]
    leaks: tuple[Leak, ...]
    groups: tuple[SplitGroups, ...]
    seconds: float

    @property
    def kinds(self) -> tuple[str, ...]:
        """Words for what is warned of."""
        kinds = {
            "chance": any(each.chance for each in self.agreements),
            "shuffled": any(each.shuffled for each in self.agreements),
            "duplicates": any(each.flagged for each in self.duplicates),
            "leak": any(each.flagged for each in self.leaks),
            "groups": any(each.flagged for each in self.groups),
        }
        return tuple(word for word, warned in kinds.items() if warned)

    @property
    def headline(self) -> str:
        """Kinds of the warnings, in a line."""
        return ", ".join(self.kinds) or "nothing to object to"

    @property
    def findings(self) -> tuple[str, ...]:
        """The warnings."""
        return self.warnings

    def metrics(self) -> dict[str, float]:
        """Flat metrics: ``audit_warnings``, ``audit_image_skill``, ``audit_image_test_in_train``, ..."""
        values: dict[str, float] = {"audit_warnings": len(self.warnings), "audit_seconds": self.seconds}
        for each in self.agreements:
            values[f"audit_{each.input}_skill"] = each.skill
            values[f"audit_{each.input}_shuffled_rows"] = sum(block.rows for block in each.shuffled)
        for twin in self.duplicates:
            values[f"audit_{twin.input}_{twin.split}_in_train"] = twin.exact
            values[f"audit_{twin.input}_{twin.split}_near_train"] = twin.near
        return values

    def tables(self) -> dict[str, Table]:
        """Everything that was looked at."""
        tables = {
            "audit_votes": self._votes(),
            "audit_duplicates": self._duplicates(),
            "audit_leaks": _flagged(
                f"Columns that tell {self.target} by themselves in a share of the rows; usual: the commonest "
                "label's share, or another column's.",
                (text("input"), text("column"), number("share"), number("usual"), flag("flagged")),
                [(each.input, each.column, each.share, each.usual, each.flagged) for each in self.leaks],
            ),
            "audit_groups": _flagged(
                "Columns of groups, of which some are in train and in another split.",
                (
                    text("column"),
                    number("groups", ""),
                    number("across", ""),
                    number("test_rows"),
                    flag("flagged"),
                ),
                [
                    (each.column, each.groups, each.across, each.test_rows, each.flagged)
                    for each in self.groups
                ],
            ),
        }
        return {name: table for name, table in tables.items() if table.rows}

    def _votes(self) -> Table:
        return _flagged(
            "Votes on the labels by simple models of one input that have not seen the row. A skill near 0 is "
            "what rows give that are put together at random.",
            (
                text("input"),
                number("rows", ""),
                number("skill"),
                interval("interval"),
                number("right"),
                number("at_random"),
                text("shuffled"),
                flag("chance"),
            ),
            [
                (
                    each.input,
                    each.rows,
                    each.skill,
                    Interval(each.skill, each.low, each.high),
                    each.right,
                    each.at_random,
                    ", ".join(f"{block.first} to {block.last}" for block in each.shuffled),
                    each.chance,
                )
                for each in self.agreements
            ],
        )

    def _duplicates(self) -> Table:
        return _flagged(
            "Rows of val and test whose content train has too: the same, and nearly the same; by_chance is "
            "the share that is to be expected.",
            (
                text("input"),
                text("split"),
                *(number(name, "") for name in ("rows", "exact", "near")),
                number("by_chance"),
                text("example"),
                flag("flagged"),
            ),
            [
                (
                    each.input,
                    each.split,
                    each.rows,
                    each.exact,
                    each.near,
                    each.by_chance,
                    each.example,
                    each.flagged,
                )
                for each in self.duplicates
            ],
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each thing that is wrong with the data, with what to do."""
        return (*self._of_pairs(), *self._of_splits())

    def _of_pairs(self) -> list[str]:
        warnings = []
        for agreement in self.agreements:
            if agreement.chance:
                warnings.append(
                    f"Input {agreement.input} says nothing of {self.target}: models of it alone agree with "
                    "the labels as if its rows were put in another order (correlation "
                    f"{agreement.skill:.3f}, {agreement.low:.3f} to {agreement.high:.3f}). Were its files "
                    "paired with other rows?"
                )
            for block in agreement.shuffled:
                warnings.append(
                    f"Input {agreement.input}, {block.rows} rows from id {block.first} to {block.last}: they "
                    f"do not go with their labels, though the other rows do (agreement "
                    f"{block.skill:.0%} of the usual). Were they shuffled, or shifted against the table?"
                )
        return warnings

    def _of_splits(self) -> list[str]:
        warnings = []
        for twin in self.duplicates:
            if twin.flagged:
                near = f" and {twin.near} nearly the same" if twin.near else ""
                warnings.append(
                    f"Input {twin.input}: {twin.exact} of {twin.rows} {twin.split} rows have content that "
                    f"train has too{near}{f' (for example {twin.example})' if twin.example else ''}. What is "
                    f"measured on {twin.split} is in part remembered: divide the rows anew, or take them out."
                )
        for leak in self.leaks:
            if leak.flagged:
                warnings.append(
                    f"Input {leak.input}, {leak.column}: tells {self.target} by itself in {leak.share:.1%} "
                    "of the rows. If it is written down after the label, or made from it, take it out."
                )
        for group in self.groups:
            if group.flagged:
                warnings.append(
                    f"Column {group.column}: {group.across} of {group.groups} values stand in train and in "
                    f"another split ({group.test_rows:.0%} of the test rows). How good the model is for new "
                    f"ones is not measured: data.split.group: {group.column} keeps each in one split."
                )
        return warnings


def _flagged(caption: str, columns: tuple[Column, ...], rows: Sequence[tuple[Cell, ...]]) -> Table:
    """Mark the rows that are warned of: those whose last cells are not empty."""
    flags = sum(column.kind == "flag" or column.name == "shuffled" for column in columns)
    marked = frozenset(position for position, row in enumerate(rows) if any(row[-flags:]))
    return Table(caption, columns, tuple(rows), marked=marked, alarm=True)
