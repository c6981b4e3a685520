"""Each model is given its own columns, whatever the other's pipeline names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.config import PipelineConfig
from components.data.ingest import ingest
from components.pipeline.run import BuiltModel, build_model
from components.promotion.compare import Rival, compare
from components.promotion.verdict import Verdict

FIT = {"epochs": 4, "batch_size": 32, "learning_rate": 0.02}
KEYS = ["id", "split", "returned"]


def orders(rows: int = 400) -> pd.DataFrame:
    """Orders that ``x`` foretells well and ``z`` badly; ``note`` says as much as ``x``."""
    rng = np.random.default_rng(0)
    returned = rng.random(rows) < 0.5
    return pd.DataFrame(
        {
            "id": [f"o{row}" for row in range(rows)],
            "split": np.array(["train", "val", "test"])[np.arange(rows) % 10 // 4],
            "returned": returned,
            "x": np.round(rng.normal(np.where(returned, 1.5, -1.5), 1), 3),
            "z": np.round(rng.normal(np.where(returned, 0.5, -0.5), 1), 3),
            "note": np.where(returned, "came back", "kept and liked"),
        }
    )


def pipeline(inputs: dict[str, list[str]], **changes: Any) -> PipelineConfig:
    """A pipeline of tables, and of text where the name of the input begins with ``note``."""
    kinds: dict[bool, dict[str, Any]] = {
        True: {"modality": "text", "encoder": {"name": "ngrams", "width": 8, "buckets": 256}},
        False: {"modality": "tabular", "encoder": {"name": "mlp", "width": 8, "hidden": [8]}},
    }
    values: dict[str, Any] = {
        "name": "orders",
        "data": {"source": "orders.csv", "split": {"column": "split"}},
        "target": {"column": "returned"},
        "inputs": {
            name: {**kinds[name.startswith("note")], "columns": columns, "fit": FIT}
            for name, columns in inputs.items()
        },
        "fusion": {"name": "concat", "width": 8},
        "training": FIT,
        "evaluation": {"bootstrap": 100},
        "engine": {"device": "cpu"},
    }
    return PipelineConfig.model_validate({**values, **changes})


@dataclass(frozen=True)
class Models:
    champion: BuiltModel
    challenger: BuiltModel


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """A champion that reads x and z, and a challenger whose pipeline names z alone."""
    folder = tmp_path_factory.mktemp("orders")
    orders().to_csv(folder / "orders.csv", index=False)
    champion = build_model(pipeline({"facts": ["x", "z"]}), folder / "champion", folder)
    return Models(champion, build_model(pipeline({"facts": ["z"]}), folder / "challenger", folder))


def verdict_on(
    table: pd.DataFrame, models: Models, folder: Path, suffix: str = "csv", **rule: Any
) -> Verdict:
    """Compare on a table that has become another since the champion was trained."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"orders.{suffix}"
    table.to_csv(source, index=False) if suffix == "csv" else table.to_parquet(source)
    data = {"source": source.name, "split": {"column": "split"}}
    config = pipeline({"facts": ["z"]}, promotion=rule, data=data)
    dataset = ingest(config, folder / "data", folder)
    challenger, champion = (
        Rival(models.challenger.bundle, "version 2"),
        Rival(models.champion.bundle, "version 1"),
    )
    return compare(dataset, challenger, champion, config, folder / "data", folder)


def facts(verdict: Verdict) -> tuple[Any, ...]:
    return verdict.promote, verdict.gain, verdict.checks


def test_a_champion_keeps_columns_that_the_challenger_does_not_name(models: Models, tmp_path: Path) -> None:
    verdict = verdict_on(orders(), models, tmp_path)
    assert not verdict.promote
    assert not verdict.undecided
    assert verdict.gain is not None
    assert verdict.gain.value < -0.1, "the champion knows x"
    assert "lost inputs" not in [check.name for check in verdict.checks]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(6)), st.sampled_from([None, "x", "note"]), st.booleans(), st.data())
def test_the_verdict_rests_on_the_rows_and_not_on_the_table_around_them(
    models: Models, tmp_path: Path, order: Sequence[int], lost: str | None, dropped: bool, data: st.DataObject
) -> None:
    """Order, further columns, another format, a new name or the loss of a column that nobody reads."""
    table = orders().iloc[:, list(order)]
    table.insert(data.draw(st.integers(0, 6)), "unread", "word")
    if lost is not None:
        table = table.drop(columns=lost) if dropped else table.rename(columns={lost: f"{lost} (old)"})
    suffix = data.draw(st.sampled_from(["csv", "parquet"]))
    verdict = verdict_on(table, models, tmp_path, suffix)
    if lost != "x":
        assert facts(verdict) == facts(verdict_on(orders(), models, tmp_path / "plain"))
        return
    assert verdict.undecided
    assert not verdict.promote
    assert verdict.gain is None
    assert "reads column 'x' (facts), which " in verdict.reason
    allowed = verdict_on(table, models, tmp_path, suffix, lost_inputs="allow")
    emptied = verdict_on(orders().assign(x=None), models, tmp_path / "plain", lost_inputs="allow")
    assert allowed.gain == emptied.gain
    assert not allowed.undecided
    assert "was scored without a part of its inputs" in allowed.reason


def test_a_column_that_became_empty_is_lost(models: Models, tmp_path: Path) -> None:
    verdict = verdict_on(orders().assign(x=None), models, tmp_path)
    assert verdict.undecided
    assert "every cell of column 'x' (facts)" in verdict.reason


def test_rows_in_another_order_are_found_by_their_ids(models: Models, tmp_path: Path) -> None:
    verdict = verdict_on(orders().sample(frac=1, random_state=1), models, tmp_path)
    assert verdict.gain is not None
    plain = verdict_on(orders(), models, tmp_path / "plain").gain
    assert plain is not None
    assert verdict.gain.value == pytest.approx(plain.value)


def test_a_target_under_another_name_is_the_same_where_its_classes_are(
    models: Models, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(models.champion.bundle, bundle)
    values = json.loads((bundle / "model.json").read_text("utf-8"))
    values["targets"][0]["name"] = "came_back"
    values["delivered"]["came_back"] = values["delivered"].pop("returned")
    values["spellings"]["came_back"] = values["spellings"].pop("returned")
    (bundle / "model.json").write_text(json.dumps(values), "utf-8")
    one, config = models.challenger, models.challenger.config
    rivals = Rival(one.bundle, "version 2"), Rival(bundle, "version 1")
    verdict = compare(one.dataset, *rivals, config, one.folder / "data", Path(one.dataset.source).parent)
    assert facts(verdict) == facts(verdict_on(orders(), models, tmp_path))

    values["targets"][0]["classes"] = ["no", "yes"]
    (bundle / "model.json").write_text(json.dumps(values), "utf-8")
    verdict = compare(one.dataset, *rivals, config, one.folder / "data", Path(one.dataset.source).parent)
    assert verdict.undecided
    assert "does not predict 'returned'" in verdict.reason


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """A champion with a second input, whose first one the challenger names otherwise."""
    folder = tmp_path_factory.mktemp("several")
    orders().to_csv(folder / "orders.csv", index=False)
    champion = pipeline({"note": ["note"], "facts": ["x", "z"]})
    challenger = pipeline({"numbers": ["z", "x"]})
    return Models(
        build_model(champion, folder / "champion", folder),
        build_model(challenger, folder / "challenger", folder),
    )


def test_inputs_are_paired_by_their_columns(several: Models) -> None:
    one = several.challenger
    verdict = compare(
        one.dataset,
        Rival(one.bundle, "version 2"),
        Rival(several.champion.bundle, "version 1"),
        one.config,
        one.folder / "data",
        Path(one.dataset.source).parent,
    )
    checks = {check.name: check for check in verdict.checks}
    assert checks["loss in the worst subset"].measured
    assert "numbers alone" in checks["loss in the worst subset"].note
    assert verdict.gain is not None
    assert verdict.gain.value <= 0, "the champion reads the note, which says it all"
    assert not verdict.undecided


def test_a_modality_that_is_gone_is_told(several: Models, tmp_path: Path) -> None:
    orders().drop(columns="note").to_csv(tmp_path / "orders.csv", index=False)
    config = several.challenger.config
    dataset = ingest(config, tmp_path / "data", tmp_path)
    rivals = Rival(several.challenger.bundle, "2"), Rival(several.champion.bundle, "1")
    verdict = compare(dataset, *rivals, config, tmp_path / "data", tmp_path)
    assert verdict.undecided
    assert "reads column 'note' (note), which" in verdict.reason
