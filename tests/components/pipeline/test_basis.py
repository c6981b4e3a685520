"""The basis of a run differs by what can change a result, and by nothing else."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from components.config import PipelineConfig
from components.inference.learned_rows import DigestSet, count_new, learned_rows
from components.pipeline import basis
from components.pipeline.basis import basis_of
from components.pipeline.run import BuiltModel
from components.storage.digest import digest_files
from tests.components.conftest import configure


def changed(built: BuiltModel, **changes: Any) -> list[str]:
    """Names of what a change of the pipeline file changes."""
    before = basis_of(built.dataset, configure())
    return basis_of(built.dataset, configure(**changes)).changed(asdict(before))


def test_the_same_run_has_the_same_basis(tiny: BuiltModel) -> None:
    assert changed(tiny) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"engine": {"device": "cpu", "shard_rows": 7, "name": "ray"}},
        {"data": {"source": "elsewhere.csv", "split": {"column": "split"}}},
        {"promotion": {"model": "other"}},
    ],
)
def test_names_places_and_the_division_of_work_decide_no_result(
    tiny: BuiltModel, changes: dict[str, Any]
) -> None:
    assert changed(tiny, **changes) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"engine": {"device": "cpu", "name": "ray", "cluster": {"trainers": 2}}},
        {"data": {"source": "rows.csv", "split": {"column": "split"}, "max_bad": 0.5}},
        {"promotion": {"aim": "not_worse"}},
        {"time_limit": "1h"},
    ],
)
def test_settings_that_decide_are_news(tiny: BuiltModel, changes: dict[str, Any]) -> None:
    assert changed(tiny, **changes) == ["settings"]


def test_other_rows_other_libraries_and_a_record_of_an_earlier_braid_are_news(
    tiny: BuiltModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = asdict(basis_of(tiny.dataset, configure()))
    assert basis_of(replace(tiny.dataset, digest="other"), configure()).changed(before) == ["data"]
    monkeypatch.setattr(basis, "version", lambda name: "9.9")
    assert basis_of(tiny.dataset, configure()).changed(before) == ["libraries"]
    assert basis_of(tiny.dataset, configure()).changed({}) == list(before)


def test_a_checkpoint_in_a_folder_is_news_where_a_byte_of_it_differs(
    tiny: BuiltModel, tmp_path: Path
) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"one")
    values = configure().model_dump(mode="json")
    values["inputs"]["note"]["encoder"] = {"name": "pretrained", "model": str(tmp_path)}
    config = PipelineConfig.model_validate(values)
    before = asdict(basis_of(tiny.dataset, config))
    (tmp_path / "model.safetensors").write_bytes(b"two")
    assert basis_of(tiny.dataset, config).changed(before) == ["weights"]


def test_the_digest_of_code_has_names_and_contents_in_it(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.py").write_text("x = 1")
    digests = [digest_files(tmp_path, "*.py")]
    (tmp_path / "notes.txt").write_text("no code")
    assert digest_files(tmp_path, "*.py") == digests[0]
    (tmp_path / "in" / "a.py").write_text("x = 2")
    digests.append(digest_files(tmp_path, "*.py"))
    (tmp_path / "in" / "a.py").rename(tmp_path / "in" / "b.py")
    digests.append(digest_files(tmp_path, "*.py"))
    assert len(set(digests)) == 3


@pytest.mark.parametrize("by", ["ids", "contents"])
def test_rows_that_a_model_has_not_learned_from_are_counted(tiny: BuiltModel, by: str) -> None:
    """72 rows are for training and validation; test rows are none to learn from."""
    model = learned_rows(tiny.dataset, tiny.config)
    dataset = tiny.dataset if by == "ids" else replace(tiny.dataset, named=False)
    assert count_new(dataset, tiny.config, model) == 0
    assert model.ids is not None
    some = replace(
        model,
        ids=DigestSet(model.ids.words[5:], False),
        contents=DigestSet(model.contents.words[5:], False),
    )
    assert count_new(dataset, tiny.config, some) == 5
    empty = DigestSet(model.ids.words[:0], False)
    none = replace(some, ids=empty, contents=empty)
    assert count_new(dataset, tiny.config, none) == 72
