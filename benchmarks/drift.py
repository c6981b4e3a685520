"""Monitoring on rows that have not changed, and on rows of which one input has: alarms in many draws.

    python -m benchmarks.drift configs/demo.yaml --input audio --draws 40

The pipeline is trained once. For every draw its validation and test rows, from which no encoder learned, are
divided anew by chance: one half is what the model carries, the other is what comes in. Compared are

- ``undisturbed``: the halves as they are: an alarm is a false one;
- ``disturbed``: the same, with one input of the incoming half from the table ``--other`` (rows are found by
  their id), or damaged by braid's own ``--corruption``: an alarm on that input is wanted, and on no other;
- ``training rows``: the incoming half against as many rows that the encoders did learn from: what monitoring
  would do if the model carried these;
- with ``--group``, an input whose files stand in several rows, also undisturbed: ``distinct files``, one row
  of each file, so that rows are independent; and ``whole files``, all rows of a file on one side.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import beta

from benchmarks.machine import machine
from components.config.load import load_pipeline
from components.config.monitor import MOST_ROWS, MonitorConfig
from components.data.quarantine import Quarantine
from components.data.samples import input_value, open_samples_table
from components.inference.bundle import REFERENCE
from components.inference.predictor import Predictor
from components.inference.reference_rows import Sample, read_sample
from components.monitoring.compare import compare
from components.monitoring.incoming import Incoming, look
from components.monitoring.reference import draw_reference
from components.monitoring.results import Drift
from components.pipeline.run import BuiltModel, build_model
from components.robustness.corruptions import corrupt, corruptions
from components.storage.atomic import replacing
from components.targets.collection import PREFIX


@dataclass
class Arm:
    """Alarms of one way to divide the rows.

    Attributes:
        draws: Comparisons made.
        alarms: Those that found drift.
        parts: How often each part was among what drifted.
        effects: Of every test, by its key.
    """

    draws: int = 0
    alarms: int = 0
    parts: Counter[str] = field(default_factory=Counter)
    effects: dict[str, list[float]] = field(default_factory=dict)

    def add(self, drift: Drift) -> None:
        """Count one comparison."""
        self.draws += 1
        self.alarms += drift.drifted
        self.parts.update(drift.parts)
        for test in drift.tests:
            self.effects.setdefault(test.key, []).append(test.effect)


@dataclass(frozen=True)
class Material:
    """Everything that the draws divide; samples of the same held-out rows but for ``trained``.

    Attributes:
        carried: As the model carries them.
        plain: As monitoring sees them come in.
        disturbed: The same with one input disturbed.
        trained: Training rows, as monitoring would see them.
        groups: (N,) of the held-out rows; None where none was asked for.
    """

    carried: Sample
    plain: Sample
    disturbed: Sample
    trained: Sample
    groups: np.ndarray | None


def gather(parts: BuiltModel, given: argparse.Namespace) -> tuple[Predictor, Material]:
    """Embed all rows once; a draw only chooses among them."""
    os.environ["BRAID_DATA_ROOTS"] = "/"  # the tables made here name files where they are
    predictor = Predictor(parts.bundle, parts.config.engine.device)
    carried = read_sample(parts.bundle / REFERENCE)
    held = draw_reference(parts.dataset, parts.config)
    samples = open_samples_table(parts.dataset).rows(list(parts.config.inputs), values=True)
    trained = samples[samples["split"] == "train"].head(MOST_ROWS).reset_index(drop=True)
    section = parts.config.inputs[given.input]
    column = section.columns[0]
    if given.other is not None:
        other = pd.read_csv(given.other, dtype=str, keep_default_na=False).set_index("id")[column]
        cells = [str(given.other.resolve().parent / other[id]) if other[id] else None for id in held["id"]]
    else:
        damage = corruptions(section.modality)[given.corruption]
        cells = [
            corrupt(
                damage, given.corruption, _value(row, given.input, parts), given.severity, sample=row["id"]
            )
            for row in _records(held)
        ]

    def seen(rows: pd.DataFrame, name: str, instead: Sequence[Any] | None = None) -> Sample:
        table = _table(rows, parts)
        if instead is not None:
            table[column] = list(instead)
        path = parts.folder / "drift" / f"{name}.parquet"
        with replacing(path) as temporary:
            table.to_parquet(temporary, index=False)
        config = MonitorConfig(model=parts.config.name, manifest=str(path), rows=MOST_ROWS)
        sample = look(config, predictor, carried).sample
        if sample.rows != len(rows):
            raise SystemExit(f"{name}: {len(rows) - sample.rows} rows cannot be used; draws would not match")
        return sample

    groups = held[f"{given.group}.digest"].fillna("").to_numpy() if given.group else None
    material = Material(
        carried=carried,
        plain=seen(held, "plain"),
        disturbed=seen(held, "disturbed", cells),
        trained=seen(trained, "trained"),
        groups=groups,
    )
    return predictor, material


def measure(predictor: Predictor, material: Material, draws: int) -> dict[str, Arm]:
    """All arms over all draws."""
    arms = {name: Arm() for name in ("undisturbed", "disturbed", "training rows")}
    if material.groups is not None:
        arms |= {"distinct files": Arm(), "whole files": Arm()}
    rows = material.plain.rows
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        config = MonitorConfig(model="", manifest="", rows=MOST_ROWS, seed=draw)
        order = rng.permutation(rows)
        old, new = np.sort(order[: rows // 2]), np.sort(order[rows // 2 :])

        def add(arm: str, carried: Sample, incoming: Sample, config: MonitorConfig = config) -> None:
            bundle = predictor.bundle
            arriving = Incoming(incoming, incoming.rows, (), (), Quarantine())
            arms[arm].add(compare(carried, arriving, bundle.inputs, bundle.delivered.targets, config))

        add("undisturbed", take(material.carried, old), take(material.plain, new))
        add("disturbed", take(material.carried, old), take(material.disturbed, new))
        learned = np.sort(rng.permutation(material.trained.rows)[: len(old)])
        add("training rows", take(material.trained, learned), take(material.plain, new))
        if material.groups is not None:
            _, one = np.unique(material.groups[order], return_index=True)
            half = rng.permutation(len(one)) < len(one) // 2
            old, new = np.sort(order[one[half]]), np.sort(order[one[~half]])
            add("distinct files", take(material.carried, old), take(material.plain, new))
            first = np.isin(material.groups, material.groups[order[one[half]]])
            old, new = np.flatnonzero(first), np.flatnonzero(~first)
            add("whole files", take(material.carried, old), take(material.plain, new))
    return arms


def take(sample: Sample, rows: np.ndarray) -> Sample:
    """Select rows of a sample."""

    def chosen(name: str) -> np.ndarray:
        """Find the positions of the rows in the vectors, which only rows with the input have."""
        positions = np.cumsum(sample.present[name]) - 1
        return positions[rows[sample.present[name][rows]]]

    def pick(cells: Any) -> Any:
        return [cells[row] for row in rows] if isinstance(cells, list) else cells[rows]

    return replace(
        sample,
        rows=len(rows),
        present={name: present[rows] for name, present in sample.present.items()},
        vectors={name: vectors[chosen(name)] for name, vectors in sample.vectors.items()},
        files={name: pick(digests) for name, digests in sample.files.items()},
        columns={
            name: {column: pick(cells) for column, cells in columns.items()}
            for name, columns in sample.columns.items()
        },
        answers={name: answers[rows] for name, answers in sample.answers.items()},
        targets={name: pick(cells) for name, cells in sample.targets.items()},
        groups=None if sample.groups is None else pick(sample.groups),
        faulty=0,
        judged=len(rows),
    )


def report(arms: dict[str, Arm], rows: int, command: str) -> str:
    """Markdown: alarms of each arm with an exact interval, what they named, and the usual effects."""
    lines = [
        f"`{command}`  ",
        f"{machine()}",
        "",
        f"{rows} held-out rows, halved anew in every draw.",
        "",
        "| rows | draws | alarms | 95% interval | alarms that named |",
        "|---|---|---|---|---|",
    ]
    for name, arm in arms.items():
        named = ", ".join(f"{part} {count}" for part, count in arm.parts.most_common()) or "nothing"
        low, high = clopper_pearson(arm.alarms, arm.draws)
        lines.append(f"| {name} | {arm.draws} | {arm.alarms} | {low:.3f} to {high:.3f} | {named} |")
    lines += ["", f"| median effect | {' | '.join(arms)} |", f"|---|{'---|' * len(arms)}"]
    for key in next(iter(arms.values())).effects:
        cells = [f"{np.median(arm.effects[key]):.3f}" if key in arm.effects else "" for arm in arms.values()]
        lines.append(f"| {key} | {' | '.join(cells)} |")
    return "\n".join(lines)


def clopper_pearson(count: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval of a rate (Clopper & Pearson 1934)."""
    tail = (1 - confidence) / 2
    low = beta.ppf(tail, count, total - count + 1) if count else 0.0
    high = beta.ppf(1 - tail, count + 1, total - count) if count < total else 1.0
    return float(low), float(high)


def _table(rows: pd.DataFrame, parts: BuiltModel) -> pd.DataFrame:
    """Rows of the samples table as a user has them, files by their absolute path."""
    columns: dict[str, Any] = {"id": rows["id"].tolist()}
    for name, section in parts.config.inputs.items():
        if section.modality != "tabular" and len(section.columns) > 1:
            raise SystemExit(f"inputs.{name}: of {len(section.columns)} columns; this benchmark knows one")
        values = [_value(row, name, parts) for row in _records(rows)]
        for column in section.columns:
            columns[column] = [value.get(column) if isinstance(value, dict) else value for value in values]
    for target in parts.dataset.targets:
        columns[target.name] = rows[f"{PREFIX}{target.name}"].tolist()
    return pd.DataFrame(columns)


def _value(row: dict[str, Any], name: str, parts: BuiltModel) -> Any:
    if row[f"{name}.digest"] is None or pd.isna(row[f"{name}.digest"]):
        return None
    return input_value(row, name, parts.config.inputs[name])


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return rows.to_dict("records")  # type: ignore[return-value]  # keys are column names


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("--input", required=True, help="the one that is disturbed")
    parser.add_argument("--other", type=Path, help="manifest (CSV) with the disturbed input, by the same ids")
    parser.add_argument("--corruption", default="white_noise")
    parser.add_argument("--severity", type=int, default=5)
    parser.add_argument("--group", help="input whose files stand in several rows")
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--workspace", type=Path, default=Path(".braid"))
    return parser.parse_args(arguments)


def main() -> None:
    """Train, draw, print the tables."""
    given = options()
    config = load_pipeline(given.config, [f"monitoring.rows={MOST_ROWS}"])
    parts = build_model(
        config,
        given.workspace.resolve(),
        given.config.resolve().parent,
        data=f"data/{config.name}",
        bundle=f"benchmarks/{config.name}-drift",
    )
    predictor, material = gather(parts, given)
    arms = measure(predictor, material, given.draws)
    how = (
        f" --other {given.other}"
        if given.other
        else f" --corruption {given.corruption} --severity {given.severity}"
    )
    how += f" --group {given.group}" if given.group else ""
    command = f"python -m benchmarks.drift {given.config} --input {given.input}{how} --draws {given.draws}"
    print(report(arms, material.plain.rows, command))


if __name__ == "__main__":
    main()
