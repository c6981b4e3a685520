"""Messages for people: an exit code, a message without traceback, rows in quarantine with their reason."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from flows.cli.app import app
from flows.cli.options import DATA, USAGE
from tests.acceptance.bad_input import configs, images, manifests
from tests.acceptance.bad_input.case import Case
from tests.acceptance.bad_input.images import quarters, saved

REFUSED_CONFIGS = [case for case in configs.cases() if case.wanted == "refused"]
REFUSED_TABLES = [
    case for case in manifests.cases() if case.wanted == "refused" and case.ending in (".csv", ".jsonl")
]


def check(config: Path, workspace: Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["check", str(config), "--workspace", str(workspace)])
    return done.exit_code, done.output


@pytest.mark.parametrize("case", REFUSED_CONFIGS, ids=lambda case: case.name)
def test_a_bad_pipeline_file_is_wrong_usage(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_bytes(case.content)
    code, shown = check(path, tmp_path / "w")
    assert code == USAGE
    assert shown.startswith("braid:")
    assert "pipeline.yaml" in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "w" / "error.txt").exists()


@pytest.mark.parametrize("case", REFUSED_TABLES, ids=lambda case: case.name)
def test_a_bad_manifest_is_unusable_data(case: Case, tmp_path: Path) -> None:
    (tmp_path / f"rows{case.ending}").write_bytes(case.content)
    (tmp_path / "t.yaml").write_text(
        yaml.safe_dump(
            {
                "name": "t",
                "data": {"source": f"rows{case.ending}", "split": {"column": "split"}},
                "inputs": {"note": {"modality": "text", "columns": "note"}},
            }
        )
    )
    code, shown = check(tmp_path / "t.yaml", tmp_path / "w")
    assert code == DATA, shown
    assert f"rows{case.ending}" in shown
    assert "Traceback" not in shown


def test_bad_files_are_in_quarantine_with_their_reasons(tmp_path: Path) -> None:
    good = saved(quarters(), "PNG")
    bad = {
        "cut.png": good[: len(good) // 2],
        "empty.png": b"",
        "page.png": b"<html>404</html>",
        "bomb.png": next(case.content for case in images.cases() if case.name == "PNG of 20000 by 20000"),
    }
    rows = manifests.rows()
    for number, row in enumerate(rows):
        row["note"] = f"{number}.png"
        (tmp_path / f"{number}.png").write_bytes(good + bytes([number]))
    for row, (name, data) in zip((0, 6, 12, 18), bad.items(), strict=True):
        rows[row]["note"] = name
        (tmp_path / name).write_bytes(data)
    (tmp_path / "rows.csv").write_text(manifests.table(rows), "utf-8")
    values = {
        "name": "t",
        "data": {"source": "rows.csv", "split": {"column": "split"}, "max_bad": 0.2},
        "inputs": {"photo": {"modality": "image", "columns": "note"}},
    }
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(values))
    code, shown = check(tmp_path / "t.yaml", tmp_path / "w")
    assert code == 0, shown
    table = pd.read_parquet(tmp_path / "w" / "data" / "t" / "quarantine.parquet")
    causes = [reason.partition(" (")[0] for reason in table["reason"]]
    assert causes == ["truncated image", "empty file", "not an image", "decompression bomb"]
    assert table["id"].tolist() == ["r0", "r6", "r12", "r18"]
