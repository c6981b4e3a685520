"""Writes are whole or absent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.storage.atomic import replacing, write_bytes, write_json


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.bin"  # folders are made
    write_bytes(path, b"old")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_fails_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert path.read_text() == "old"


def test_the_old_file_is_there_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent, "a rename must not cross file systems"
        assert temporary.suffix == ".txt", "writers that go by the ending must work"
        assert temporary.name.startswith(".")
    assert path.read_text() == "new"


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"

    def fill(fail: bool) -> None:
        with replacing(folder) as temporary:
            temporary.mkdir()
            (temporary / "a").write_text("a")
            if fail:
                raise KeyboardInterrupt
            (temporary / "b").write_text("b")

    with pytest.raises(KeyboardInterrupt):
        fill(fail=True)
    assert list(tmp_path.iterdir()) == []
    fill(fail=False)
    assert sorted(file.name for file in folder.iterdir()) == ["a", "b"]


def test_json_keeps_every_letter(tmp_path: Path) -> None:
    value = {"grün": ["日本", "\udcff", 1.5, None, float("inf")]}
    write_json(tmp_path / "x.json", value)
    assert json.loads((tmp_path / "x.json").read_bytes().decode("utf-8", "surrogatepass")) == value


def test_a_value_that_is_no_json_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"a": object()})
    assert list(tmp_path.iterdir()) == []
