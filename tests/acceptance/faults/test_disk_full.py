"""No room on the disk: nothing half-written is left, it is told as such, and with room the work goes on."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import typer

from components.config import PipelineConfig
from components.data.ingest import ingest
from components.errors import ServiceError
from components.pipeline.preprocess import prepare
from flows.cli.options import MODEL, reported
from flows.run.folder import claim
from tasks.tracking.service import service_errors
from tests.components.conftest import configure, write_manifest

ROOT = Path(__file__).parents[3]
PREPARE = """
import json, resource, signal, sys
from pathlib import Path
from components.config import PipelineConfig
from components.data.ingest import ingest
from components.pipeline.preprocess import prepare

config = PipelineConfig.model_validate(json.loads(sys.argv[1]))
folder = Path(sys.argv[2])
dataset = ingest(config, folder / "data", folder)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
prepare(dataset, "photo", config.inputs["photo"], folder / "canonical", 24)
"""


def limited(config: PipelineConfig, folder: Path, size: int) -> subprocess.CompletedProcess[str]:
    """Prepare the images in a process whose files may have no more bytes than ``size``."""
    arguments = [json.dumps(config.model_dump(mode="json")), str(folder), str(size)]
    return subprocess.run(
        [sys.executable, "-c", PREPARE, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_shard_that_does_not_fit_leaves_nothing_behind_and_is_written_when_there_is_room(
    tmp_path: Path,
) -> None:
    write_manifest(tmp_path)
    config = configure()
    done = limited(config, tmp_path, 12_000)  # a shard has 24 images of 16 * 16 * 3 bytes
    assert done.returncode != 0
    assert os.strerror(errno.EFBIG) in done.stderr
    assert not [path for path in (tmp_path / "canonical").rglob("*") if path.suffix == ".arrow"]
    dataset = ingest(config, tmp_path / "data", tmp_path)
    prepared = prepare(dataset, "photo", config.inputs["photo"], tmp_path / "canonical", 24)
    assert prepared.made == prepared.rows == 84  # of 96 rows, 12 have no image


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_it_is_told_with_the_file_and_what_to_do(
    tmp_path: Path, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, reported(tmp_path):
        raise OSError(number, os.strerror(number), "/data/cache/shard.arrow")
    assert ended.value.exit_code == MODEL
    message = capsys.readouterr().err
    assert "there is no room left for /data/cache/shard.arrow" in message
    assert "the same command resumes where it stopped" in message


def test_another_error_is_told_also_where_its_details_cannot_be_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit) as ended, reported(Path("/proc/no/such/place")):
        raise ValueError("something else")
    assert ended.value.exit_code == 1
    assert "unexpected: ValueError: something else" in capsys.readouterr().err


def test_the_run_whose_disk_was_full_is_gone_on_with(tmp_path: Path) -> None:
    key = None
    with (  # noqa: PT012
        pytest.raises(ServiceError),
        claim(tmp_path, "birds", "purpose", "flow-1") as record,
        service_errors(),
    ):
        key = record.key
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with claim(tmp_path, "birds", "purpose", "flow-2") as record:
        assert record.key == key


def test_what_was_caused_by_a_service_that_is_gone_is_told_as_that() -> None:
    def set_a_state() -> None:
        try:
            raise httpx.ConnectError("refused")
        except httpx.ConnectError as error:  # as Prefect does
            raise RuntimeError("the state could not be set") from error

    with pytest.raises(ServiceError, match=r"Prefect's API .* .ConnectError: refused"), service_errors():
        set_a_state()


def test_an_error_of_a_file_that_is_not_about_room_stays_what_it_is() -> None:
    raised: Callable[[], None] = lambda: Path("/nowhere/at/all").read_bytes() and None  # noqa: E731
    with pytest.raises(FileNotFoundError), service_errors():
        raised()
