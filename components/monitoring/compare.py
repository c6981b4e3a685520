"""Comparison of old and new rows in all their reference quantities, with one chance of a false alarm."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.config import InputConfig
from components.config.monitor import MonitorConfig
from components.inference.reference_rows import Cells, Sample
from components.monitoring.incoming import LEAST_ROWS, Incoming
from components.monitoring.permutation import Divisions
from components.monitoring.results import Drift, Kind, Test
from components.monitoring.statistics import Moved, categories, domain_auc, holm, labels, mmd, numbers, rates
from components.preprocess.values import to_number
from components.seeding import seed_of
from components.targets import AnyTarget, Multilabel, Regression, Targets, split_labels

_NONE = Moved(0.0, 1.0)


@dataclass(frozen=True)
class _Planned:
    kind: Kind
    part: str
    column: str | None
    moved: Moved


def compare(
    old: Sample,
    incoming: Incoming,
    inputs: Mapping[str, InputConfig],
    targets: Targets,
    config: MonitorConfig,
) -> Drift:
    """Run every test, adjusted by Holm for their number.

    Args:
        old: Reference rows of the model.
        incoming: Rows drawn from the table.
        inputs, targets: Inputs and targets of the model.
        config: Configuration with level, floors and seed.
    """
    new = incoming.sample
    notes: list[str] = []
    planned: list[_Planned] = []
    divisions = _divisions(old, new, config, notes)
    for name, section in inputs.items():
        if all(column in incoming.absent for column in section.columns):
            notes.append(f"{name}: the table has none of its columns ({', '.join(section.columns)})")
            continue
        planned += _input_tests(old, new, name, divisions, notes)
        if new.rows:
            shift = rates(~old.present[name], ~new.present[name], divisions=divisions)
            planned.append(_Planned("missing", name, None, shift))
    planned.append(_quarantine(old, new))
    for target in targets:
        planned += _target_tests(old, new, target, incoming.absent, divisions, notes)
    planned = list(_with_embeddings(planned, old, new, divisions, config))
    adjusted = holm([each.moved.p for each in planned])
    return Drift(
        rows=incoming.total,
        looked=new.judged,
        usable=new.rows,
        reference=old.rows,
        level=config.level,
        tests=tuple(_judged(each, p, config) for each, p in zip(planned, adjusted, strict=True)),
        notes=tuple(notes),
        forms=incoming.forms,
    )


def _divisions(old: Sample, new: Sample, config: MonitorConfig, notes: list[str]) -> Divisions | None:
    """Prepare to divide whole groups at random; None if every row is its own, or groups are not known."""
    if old.groups is None:
        return None
    if new.groups is None:
        notes.append(
            f"the table has no column {old.group!r}, by which the training rows are grouped: every row "
            "counts for itself, and batches of rows may look like drift"
        )
        return None
    tests = sum(len(columns) + 3 for columns in old.columns.values()) + 3 * len(old.answers) + 1
    permutations = max(config.permutations, math.ceil(2 * tests / config.level))
    seed = seed_of(config.seed, "groups") % 2**32
    divisions = Divisions.of(old.groups, new.groups, permutations, seed)
    if divisions.sizes == (old.rows, new.rows):
        return None
    if divisions.possible < tests / config.level:
        notes.append(
            "{} old and {} new groups ({}) are too few to tell drift from the differences between groups; no "
            "test can give an alarm".format(*divisions.sizes, old.group)
        )
    return divisions


def _input_tests(
    old: Sample, new: Sample, name: str, divisions: Divisions | None, notes: list[str]
) -> Iterator[_Planned]:
    """Plan the tests of an input: embeddings, to be tested once the number of tests is known, and columns."""
    counts = [int(_distinct(each, name).sum()) for each in (old, new)]
    if min(counts) < LEAST_ROWS:
        files = "files" if name in old.files else "rows"
        notes.append(
            f"{name}: {counts[1]} new and {counts[0]} old {files}; comparing takes {LEAST_ROWS} of each"
        )
        return
    yield _Planned("embedding", name, None, _NONE)
    yield _Planned("classifier", name, None, _NONE)
    for column in old.columns[name]:
        rows = [_distinct(each, name) for each in (old, new)]
        here = [_where(each.columns[name][column], own) for each, own in zip((old, new), rows, strict=True)]
        yield _Planned("column", name, column, _column(*here, divisions=_taken(divisions, *rows)))


def _distinct(sample: Sample, name: str) -> NDArray[np.bool_]:
    """Mark rows that have an input; of those with the same file only the first. (N,).

    A file in many rows was drawn once, not many times. Counted per row, a classifier would recognise it, and
    unchanged rows would look changed. Text and cells repeat by themselves.
    """
    if name not in sample.files:
        return sample.present[name]
    files = pd.Series(sample.files[name], dtype=object)
    return (files.notna() & ~files.duplicated()).to_numpy()


def _vectors(sample: Sample, name: str) -> np.ndarray:
    """Take the embeddings of these rows. (n, D)."""
    return sample.vectors[name][_distinct(sample, name)[sample.present[name]]]


def _with_embeddings(
    planned: list[_Planned], old: Sample, new: Sample, divisions: Divisions | None, config: MonitorConfig
) -> Iterator[_Planned]:
    # the smallest p-value that permutations can give has to pass Holm's first step with room to spare
    permutations = max(config.permutations, math.ceil(2 * len(planned) / config.level))
    for each in planned:
        if each.kind not in ("embedding", "classifier"):
            yield each
            continue
        x, y = _vectors(old, each.part), _vectors(new, each.part)
        inside = _taken(divisions, _distinct(old, each.part), _distinct(new, each.part))
        if each.kind == "embedding":
            rng = np.random.default_rng(seed_of(config.seed, f"mmd {each.part}"))
            yield replace(each, moved=Moved(*mmd(x, y, permutations, rng, inside)))
        else:
            seed = seed_of(config.seed, f"folds {each.part}") % 2**32
            yield replace(each, moved=Moved(*domain_auc(x, y, seed, inside)))


def _quarantine(old: Sample, new: Sample) -> _Planned:
    """Test if faults are more frequent than in training; fewer are no alarm."""
    before, after = (np.arange(each.judged) < each.faulty for each in (old, new))
    shift = rates(before, after, "greater")
    return _Planned("quarantine", "rows", None, shift)


def _target_tests(
    old: Sample,
    new: Sample,
    target: AnyTarget,
    absent: tuple[str, ...],
    divisions: Divisions | None,
    notes: list[str],
) -> Iterator[_Planned]:
    name = target.name
    if name in new.targets:
        known = [np.array([cell is not None for cell in each.targets[name]], bool) for each in (old, new)]
        before, after = ([cell for cell in each.targets[name] if cell is not None] for each in (old, new))
        if min(len(before), len(after)) >= LEAST_ROWS:
            moved = _labels(target, before, after, divisions=_taken(divisions, *known))
            yield _Planned("label", name, None, moved)
        else:
            notes.append(f"{name}: {len(after)} new and {len(before)} old rows have this target")
    if absent:
        notes.append(f"answers for {name}: the model looks at {', '.join(absent)}, which the table lacks")
    elif min(old.rows, new.rows) >= LEAST_ROWS:
        answers = [old.answers[name], new.answers[name]]
        yield _Planned("answer", name, None, _answers(target, *answers, divisions=divisions))
        confidence = numbers(*(target.confidence(each) for each in answers), divisions=divisions)
        yield _Planned("confidence", name, None, confidence)


def _taken(divisions: Divisions | None, old: NDArray[np.bool_], new: NDArray[np.bool_]) -> Divisions | None:
    """Keep the groups of some rows of each side."""
    return None if divisions is None else divisions.take(old, new)


def _labels(target: AnyTarget, old: list[str], new: list[str], *, divisions: Divisions | None) -> Moved:
    match target:
        case Regression():
            read = [[to_number(cell) for cell in cells] for cells in (old, new)]
            known = [np.array([number is not None for number in cells], bool) for cells in read]
            values = [np.array([number for number in cells if number is not None]) for cells in read]
            return numbers(*values, divisions=_taken(divisions, *known))
        case Multilabel():
            return labels(
                *(
                    [split_labels(cell, target.separator, target.none) for cell in cells]
                    for cells in (old, new)
                ),
                divisions=divisions,
            )
        case _:
            return categories(old, new, divisions=divisions)


def _answers(target: AnyTarget, old: np.ndarray, new: np.ndarray, *, divisions: Divisions | None) -> Moved:
    if isinstance(target, Regression):
        return numbers(old[:, 0], new[:, 0], divisions=divisions)
    return _labels(target, target.labels(old), target.labels(new), divisions=divisions)


def _column(old: Cells, new: Cells, *, divisions: Divisions | None) -> Moved:
    if isinstance(old, np.ndarray) and isinstance(new, np.ndarray):
        return numbers(old, new, divisions=divisions)
    return categories(list(old), list(new), divisions=divisions)


def _where(cells: Cells, rows: np.ndarray) -> Cells:
    if isinstance(cells, list):
        return [cell for cell, wanted in zip(cells, rows, strict=True) if wanted]
    return cells[rows]


def _judged(planned: _Planned, adjusted: float, config: MonitorConfig) -> Test:
    floors: dict[Kind, float] = {
        "embedding": config.min_mmd,
        "classifier": config.min_auc,
        "missing": config.min_rate,
        "quarantine": config.min_rate,
    }
    floor = floors.get(planned.kind, config.min_psi)
    moved = planned.moved
    return Test(
        kind=planned.kind,
        part=planned.part,
        column=planned.column,
        effect=moved.effect,
        floor=floor,
        p=moved.p,
        adjusted=adjusted,
        drifted=adjusted <= config.level and abs(moved.effect) >= floor,
    )
