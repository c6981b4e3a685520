"""Tables that only the report has, beside those of the results."""

from collections.abc import Iterable

from components.data.splits import SPLITS
from components.evaluation.intervals import Gain, Interval
from components.evaluation.results import Curve, Evaluation
from components.evaluation.style import words
from components.report.content import DataSummary, QuarantineRow
from components.results.table import Cell, Table, estimate, interval, number, p_value, text
from components.targets import higher_is_better

QUARANTINE_ROWS = 50


def gains(evaluation: Evaluation) -> Table:
    """Gains over the best single input, on the same test rows."""
    best, name = evaluation.best_single, words(evaluation.metric)
    some_lack_it = evaluation.answerable != evaluation.rows["test"]
    rows: list[tuple[str | None, Gain | None]] = [
        (evaluation.fusion, evaluation.fusion_gain),
        (
            f"{evaluation.fusion}, on the rows that have {best},",
            evaluation.answerable_gain if some_lack_it else None,
        ),
        ("delivered", evaluation.delivered_gain),
    ]
    return Table(
        "",
        (text(f"paired gain in {name} on test"), estimate("gain", "+.3f"), p_value("p"), text("better")),
        tuple((f"{model} over {best}", gain, gain.p_value, gain.verdict) for model, gain in rows if gain),
    )


def balance(evaluation: Evaluation) -> Table:
    """Results of the fused model from each input alone, and of the input's own fit."""
    return Table.of(
        "",
        evaluation.balance.items(),
        (text("input"), lambda item: item[0]),
        (number("own fit"), lambda item: item[1].solo),
        (number("inside the fusion"), lambda item: item[1].inside),
        (number("without any"), lambda item: item[1].prior),
        (number("share kept", ".2f"), lambda item: item[1].ratio),
        (text(""), lambda item: "under-optimised" if item[0] in evaluation.under_optimised else ""),
        marked=lambda item: item[0] in evaluation.under_optimised,
    )


def metrics(evaluation: Evaluation, part: Iterable[tuple[str, Interval]]) -> Table:
    """Some metrics of the delivered model on test; an arrow where lower is better."""
    return Table.of(
        "",
        part,
        (text("metric"), lambda item: words(item[0]) + ("" if higher_is_better(item[0]) else " ↓")),
        (number("value"), lambda item: item[1].value),
        (interval("interval"), lambda item: item[1]),
        marked=lambda item: item[0] == evaluation.metric,
    )


def calibration(evaluation: Evaluation) -> Table:
    """Errors before and after the temperature is applied."""
    result = evaluation.calibration
    rows: tuple[tuple[Cell, ...], ...] = (
        ("calibration error", result.error_before, result.error_after),
        ("log loss", result.log_loss_before, result.log_loss_after),
    )
    return Table("", (text("test rows"), number("before"), number("after")), rows)


def training(evaluation: Evaluation, curves: Iterable[Curve]) -> Table:
    """Epochs of each fit, and the one that was kept."""

    def best_epoch(curve: Curve) -> int | None:
        best = curve.best_epoch
        return best if best is not None and best < len(curve.validation) else None

    return Table.of(
        "",
        curves,
        (text("fit"), lambda curve: curve.name),
        (number("epochs", "d"), lambda curve: len(curve.train_loss)),
        (number("kept", "d"), lambda curve: None if (best := best_epoch(curve)) is None else best + 1),
        (
            number(f"validation {words(evaluation.metric)}"),
            lambda curve: None if (best := best_epoch(curve)) is None else curve.validation[best],
        ),
    )


def splits(data: DataSummary) -> Table:
    """Rows of each split with their first and last day, and rows that are in none."""
    rows = (
        *data.splits.items(),
        *((f"left out: {reason}", count) for reason, count in data.left_out.items()),
    )
    columns = text("split"), number("rows", ",")
    if not data.periods:
        return Table("", columns, rows)
    days = {split: [end[:10] for end in ends] for split, ends in data.periods.items()}
    return Table(
        "",
        (*columns, text("from"), text("to")),
        tuple((name, count, *days.get(name, ("", ""))) for name, count in rows),
    )


def missing(data: DataSummary, inputs: Iterable[str]) -> Table:
    """Rows without each input."""
    rows = tuple((name, data.missing.get(name, 0)) for name in inputs)
    return Table("", (text("input"), number("rows without it", ",")), rows)


def classes(data: DataSummary) -> Table:
    """Rows of each class by split."""
    columns = (text("class"), *(number(split, ",") for split in SPLITS))
    rows: list[tuple[Cell, ...]] = [
        (name, *(by_split.get(split, 0) for split in SPLITS)) for name, by_split in data.class_rows.items()
    ]
    return Table("", columns, tuple(rows))


def quarantine(data: DataSummary) -> Table:
    """The first rows or inputs that could not be used."""

    def cells(row: QuarantineRow) -> tuple[str, ...]:
        return row.id, row.input, row.reason, row.path

    columns = (text("id"), text("input"), text("reason"), text("path"))
    return Table("", columns, tuple(map(cells, data.quarantine[:QUARANTINE_ROWS])))
