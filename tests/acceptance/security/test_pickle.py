"""No pickle is loaded: from data, caches, models or results, wherever somebody puts one.

That no code asks for one is a rule of `make lint`: infra/lint/forbidden.py.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import shutil
from pathlib import Path

import pandas as pd
import prefect
import pytest
from prefect.cache_policies import NO_CACHE
from prefect.settings import get_current_settings

from components.data.ingest import ingest
from components.errors import BraidError
from components.inference.predictor import Predictor
from components.pipeline.run import BuiltModel, build_model
from components.storage.digest import digest_bytes
from tests.components.conftest import configure, write_manifest

ROOT = Path(__file__).parents[3]


class Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.canary),)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "it-went-off"


@pytest.fixture
def bomb(canary: Path) -> bytes:
    data = pickle.dumps(Bomb(canary))
    pickle.loads(data)
    assert canary.exists()  # it works
    canary.rmdir()
    return data


def test_the_loader_of_yaml_makes_plain_values_alone() -> None:
    import yaml

    from components.config.yaml_file import _Loader

    assert issubclass(_Loader, yaml.SafeLoader)
    assert not [tag for tag in _Loader.yaml_constructors if tag and "python" in tag]


def test_none_is_loaded_from_data(tmp_path: Path, bomb: bytes, canary: Path) -> None:
    write_manifest(tmp_path / "data")
    names = [f"photos/train{row:02d}.png" for row in (0, 1)]
    for name in names:
        (tmp_path / "data" / name).write_bytes(bomb)
    config = configure(data={"source": "rows.csv", "split": {"column": "split"}, "max_bad": 0.1})
    dataset = ingest(config, tmp_path / "out", tmp_path / "data")
    assert pd.read_parquet(dataset.quarantine)["path"].tolist() == [
        str(tmp_path / "data" / name) for name in names
    ]
    for ending in (".csv", ".jsonl", ".parquet", ".csv.gz"):
        (tmp_path / "data" / f"bad{ending}").write_bytes(bomb)
        broken = configure(data={"source": f"bad{ending}", "split": {"column": "split"}})
        with pytest.raises(BraidError):
            ingest(broken, tmp_path / "out", tmp_path / "data")
    assert not canary.exists()


def test_none_is_loaded_from_caches_and_trainings(
    tiny: BuiltModel, tiny_data: Path, tmp_path: Path, bomb: bytes, canary: Path
) -> None:
    """Every file of the workspace is a pickle under its own name: what is needed is made again or refused."""
    folder = tmp_path / "again"
    shutil.copytree(tiny.folder, folder)
    planted = [
        path
        for path in folder.rglob("*")
        if path.suffix in (".arrow", ".parquet", ".safetensors", ".pkl", ".bin")
        and "bundle" not in path.parts
    ]
    assert len(planted) > 8
    for path in planted:
        path.write_bytes(bomb)
    for path in folder.glob("cache/*/*"):  # also under the names that the stores ask for
        if path.is_dir():
            (path / f"{digest_bytes(bomb)}.arrow").write_bytes(bomb)
            (path / f"{digest_bytes(bomb)}.parquet").write_bytes(bomb)
            (path / "data.pkl").write_bytes(bomb)
    with contextlib.suppress(Exception):  # whether it can go on is another test's affair
        build_model(tiny.config, folder, tiny_data)
    assert not canary.exists()


@pytest.mark.parametrize("name", ["model.json", "delivered.safetensors", "*.safetensors", "*.json", "*"])
def test_none_is_loaded_from_a_model(
    tiny: BuiltModel, tmp_path: Path, bomb: bytes, canary: Path, name: str
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(tiny.bundle, folder)
    for path in folder.glob(name):
        if path.is_file():
            path.write_bytes(bomb)
    for extra in ("pytorch_model.bin", "python_model.pkl", "model.pt", "data.pkl"):
        (folder / extra).write_bytes(bomb)
    with pytest.raises(Exception) as caught:
        Predictor(folder)
    assert "pickle" not in type(caught.value).__module__
    assert not canary.exists()


def test_extra_pickles_beside_a_model_are_passed_over(
    tiny: BuiltModel, tmp_path: Path, bomb: bytes, canary: Path
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(tiny.bundle, folder)
    for extra in ("pytorch_model.bin", "python_model.pkl", "model.pt", "data.pkl"):
        (folder / extra).write_bytes(bomb)
    scored = Predictor(folder).predict(pd.DataFrame({"note": ["soft hunter by night"]}))
    assert scored["label"].notna().all()
    assert not canary.exists()


def test_a_pickled_cell_is_no_picture(tiny: BuiltModel, bomb: bytes, canary: Path) -> None:
    scored = Predictor(tiny.bundle).predict(pd.DataFrame({"photo": [bomb]}))
    assert "cannot be decoded as an image" in scored["error"][0]
    assert not canary.exists()


def test_prefect_keeps_no_results_that_would_be_pickled() -> None:
    steps = [
        value
        for folder in ("flows", "tasks")
        for path in (ROOT / folder).glob("*.py")
        if path.stem != "pyfunc"
        for value in vars(importlib.import_module(f"{folder}.{path.stem}")).values()
        if isinstance(value, prefect.Flow | prefect.Task)
    ]
    assert len(steps) > 20
    assert not any(step.persist_result for step in steps)
    assert all(step.cache_policy == NO_CACHE for step in steps if isinstance(step, prefect.Task))
    assert get_current_settings().results.persist_by_default is False
