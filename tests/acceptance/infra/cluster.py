"""A PostgreSQL cluster of a test's own, in a folder that goes with it, on a free port."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from flows.servers.processes import port_near

ADMIN, PASSWORD = "postgres", "only for the test"
INSTALL = "PostgreSQL's programs are not here: run infra/install-test-packages.sh"


@dataclass(frozen=True)
class Cluster:
    """Address of a running cluster; its superuser is ``postgres``."""

    port: int

    def environment(self, user: str, password: str, database: str) -> dict[str, str]:
        """Variables that libpq, and with it psql, pg_dump, MLflow and braid, reads."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": user,
            "PGPASSWORD": password,
            "PGDATABASE": database,
        }

    @property
    def admin(self) -> dict[str, str]:
        return self.environment(ADMIN, PASSWORD, "postgres")

    def rows(self, database: str, query: LiteralString) -> list[tuple[object, ...]]:
        """Run a query as the superuser."""
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=ADMIN, password=PASSWORD, dbname=database
        ) as connection:
            return connection.execute(query).fetchall()


def program(name: str) -> str:
    """A program of the newest PostgreSQL here."""
    programs = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parent.parent.name)
    )
    where = str(programs[-1]) if programs else shutil.which(name)
    if where is None and not os.environ.get("CI"):
        pytest.skip(INSTALL)
    assert where, INSTALL
    return where


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A new, empty cluster that takes connections with a password from 127.0.0.1 alone."""
    folder = Path(tempfile.mkdtemp(prefix="braid-postgres-"))
    secret = folder / "password"
    secret.write_text(PASSWORD)
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        shutil.chown(secret, "postgres", "postgres")
    data, port = str(folder / "data"), port_near(0)
    try:
        _as_postgres(
            folder, program("initdb"), "-D", data, "-U", ADMIN, "--auth=scram-sha-256", "--no-sync",
            f"--pwfile={secret}", "--encoding=UTF8",
        )  # fmt: skip
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "fsync": "off",  # what a crash of the machine would take is not what is tested
        }
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        log = str(folder / "log")
        _as_postgres(
            folder, program("pg_ctl"), "-D", data, "-w", "-t", "60", "-l", log, "-o", options, "start"
        )
        try:
            yield Cluster(port)
        finally:
            _as_postgres(folder, program("pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_postgres(folder: Path, *command: str) -> None:
    """Run a command; PostgreSQL refuses to work for root, so as Debian's user ``postgres`` there."""
    switch = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    done = subprocess.run(
        [*(switch if os.geteuid() == 0 else []), *command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE
        if command[-1] != "start"
        else subprocess.DEVNULL,  # the server would keep it open
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    log = folder / "log"
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{log.read_text() if log.exists() else ''}"
