"""A distribution with a fusion of its own, installed while the tests of this folder run."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("example_plugin.py")
ENTRY_POINTS = """\
[braid.fusions]
soft_maximum = braid_example:SoftMaximum
not_a_fusion = braid_example:NotAFusion
no_such_class = braid_example:Nothing
"""

Install = Callable[..., None]


def install(folder: Path, version: str = "1.0", name: str = "braid-example", source: str = "") -> None:
    """Write what pip leaves of a distribution: its module, and a dist-info folder beside it."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
    (info / "entry_points.txt").write_text(ENTRY_POINTS, "utf-8")
    (folder / "braid_example.py").write_text(source or SOURCE.read_text("utf-8"), "utf-8")


def forget() -> None:
    """Let the next import and the next look for entry points read the disk."""
    sys.modules.pop("braid_example", None)
    importlib.invalidate_caches()


@pytest.fixture(scope="module", autouse=True)
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The example plugin, importable for the tests of one file."""
    folder = tmp_path_factory.mktemp("site-packages")
    install(folder)
    forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield
    forget()


@pytest.fixture
def reinstall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs distributions in front of everything else for one test."""

    def put(folder: str = "site", **facts: str) -> None:
        install(tmp_path / folder, **facts)
        monkeypatch.syspath_prepend(tmp_path / folder)
        forget()

    yield put
    forget()
