"""``braid score --sql`` into PostgreSQL: each row once, however often it is repeated."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import psycopg
import pytest

from tests.infra.cluster import ADMIN, PASSWORD
from tests.infra.conftest import Services, TeamProject

pytestmark = pytest.mark.e2e
SECRET = "s@cret/of:scores"
ROWS = 200


def test_each_prediction_is_in_the_table_once(
    project: TeamProject, first_run: dict[str, Any], services: Services
) -> None:
    with psycopg.connect(
        host="127.0.0.1", port=services.cluster.port, user=ADMIN, password=PASSWORD, autocommit=True
    ) as connection:
        connection.execute(f"create role scores login password '{SECRET}'")  # type: ignore[arg-type]
        connection.execute("create database scores owner scores")
    manifest = pd.read_csv(project.folder / "manifest.csv", dtype=str, keep_default_na=False).head(ROWS)
    manifest.drop(columns=["label", "split"]).to_csv(project.folder / "unlabelled.csv", index=False)

    def score() -> dict[str, Any]:
        # as in every URL, what has a meaning there is written as %..
        url = f"postgresql+psycopg://scores:${{SCORES}}@127.0.0.1:{services.cluster.port}/scores"
        done = project.braid(
            *(
                "score",
                "tiny",
                str(project.folder / "unlabelled.csv"),
                "--out",
                str(project.folder / "scores"),
            ),
            *("--sql", url, "--table", "answers", "--json"),
            SCORES=SECRET.replace("@", "%40").replace("/", "%2F").replace(":", "%3A"),
        )
        assert done.returncode == 0, done.stderr
        assert SECRET not in done.stdout + done.stderr
        return json.loads(done.stdout)

    first = score()
    assert first["written_to_sql"] == ROWS
    again = score()
    assert again["repeated"]
    assert again["written_to_sql"] == 0
    stored = services.cluster.rows("scores", "select id, label, row from answers order by row")
    found = pd.read_parquet(first["predictions"]).sort_values("row")
    assert stored == list(found[["id", "label", "row"]].itertuples(index=False, name=None))
    # half of it lost: what is missing comes back, and nothing twice
    with psycopg.connect(
        host="127.0.0.1", port=services.cluster.port, user=ADMIN, password=PASSWORD, dbname="scores"
    ) as connection:
        connection.execute("delete from answers where row % 2 = 0")
    assert score()["written_to_sql"] == ROWS
    assert services.cluster.rows("scores", "select id, label, row from answers order by row") == stored
    key = "select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'answers'::regclass"
    assert services.cluster.rows("scores", key) == [('PRIMARY KEY ("row", run_id)',)]
