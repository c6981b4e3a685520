"""A pipeline that is killed at its writes, one after another, ends in what an undisturbed one ends in.

Whole commands, killed by the clock and with their servers, are in test_kill.py and `make soak`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from components.pipeline.run import BuiltModel, build_model
from components.storage.atomic import checksum_file
from tests.acceptance.faults.writes import Write, killed_at
from tests.components.conftest import configure

MOST = 60  # attempts; the nth is killed at its nth write


def checksums(folder: Path) -> dict[str, str]:
    """Checksum of every file below a folder, by its path from there."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): checksum_file(path) for path in files}


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> tuple[Path, list[dict[str, str]]]:
    """The folder of a pipeline that was killed until it had written all, and its files after each kill."""
    folder, files_after = tmp_path_factory.mktemp("killed"), []
    for number in range(
        1, MOST
    ):  # a step that writes the same file each time needs one write more than before
        write = Write(number, renamed=number % 2 == 0)
        if not killed_at(write, build_model, configure(), folder, tiny_data):
            break
        files_after.append(checksums(folder))
    else:
        raise AssertionError(f"it is not finished after {MOST} attempts")
    return folder, files_after


def readable(files: dict[str, str]) -> dict[str, str]:
    """Those that a reader looks at: what is being written has a name that begins with a dot."""
    return {name: checksum for name, checksum in files.items() if "/." not in name}


def test_it_ends_in_the_bundle_of_an_undisturbed_one(
    killed: tuple[Path, list[dict[str, str]]], tiny: BuiltModel
) -> None:
    folder, files_after = killed
    assert len(files_after) > 10, "it was killed in every step"
    assert checksums(folder / "bundle") == checksums(tiny.bundle)


def test_no_file_with_its_name_is_half_written(killed: tuple[Path, list[dict[str, str]]]) -> None:
    folder, files_after = killed
    assert any(set(files) != set(readable(files)) for files in files_after), (
        "some were killed while they wrote"
    )
    last = readable(files_after[-1])
    for shard in (folder / "cache").rglob("[!.]*"):
        if shard.suffix in (".arrow", ".parquet") and shard.parent.parent.name in ("canonical", "features"):
            assert checksum_file(shard) == shard.stem
    for files in files_after:
        shards = {
            name: each
            for name, each in readable(files).items()
            if name.endswith(".parquet") and "/features/" in name
        }
        assert shards.items() <= last.items(), "what was there is there as it was"


def test_what_was_being_written_is_left_under_names_that_nobody_reads(
    killed: tuple[Path, list[dict[str, str]]], tiny_data: Path
) -> None:
    folder, _ = killed
    again = folder.parent / "again"
    shutil.copytree(folder, again)
    before = readable(checksums(again / "cache"))
    build_model(configure(), again, tiny_data)
    assert readable(checksums(again / "cache")) == before, "nothing is made twice"
