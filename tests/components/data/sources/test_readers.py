"""Every format becomes the same kind of samples."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import DataError
from components.references import Dataset

Make = Callable[..., Any]
IMAGE = {"image": {"modality": "image", "columns": "image"}}
PATH = {"media": {"modality": "image", "columns": "path"}}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    match path.suffix:
        case ".csv" | ".tsv":
            pd.DataFrame(rows).to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False)
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet", ".jsonl"])
def test_every_table_gives_the_same_samples(
    tmp_path: Path, run: Callable[..., Dataset], text_rows: Make, ending: str
) -> None:
    samples = run(write(tmp_path / f"m{ending}", text_rows()))
    expected = run(write(tmp_path / "expected.csv", text_rows()))
    assert samples.digest == expected.digest
    assert samples.splits == {"train": 16, "val": 2, "test": 2}
    assert samples.targets.primary.classes == ("a", "b")


def test_a_folder_of_parquet_files_is_one_table(tmp_path: Path, run: Make, text_rows: Make) -> None:
    rows = text_rows()
    (tmp_path / "parts").mkdir()
    write(tmp_path / "parts/0.parquet", rows[:7])
    write(tmp_path / "parts/1.parquet", rows[7:])
    assert run(tmp_path / "parts").digest == run(write(tmp_path / "m.csv", rows)).digest


def test_parquet_types_become_text(tmp_path: Path, run: Make, text_rows: Make) -> None:
    rows = [
        row
        | {
            "label": row_number % 3,
            "n": 1.5 if row_number else None,
            "day": pd.Timestamp("2024-02-03"),
            "yes": True,
        }
        for row_number, row in enumerate(text_rows())
    ]
    dataset = run(
        write(tmp_path / "m.parquet", rows), {"t": {"modality": "tabular", "columns": ["n", "day", "yes"]}}
    )
    samples = pd.read_parquet(dataset.samples)
    assert dataset.targets.primary.classes == ("0", "1", "2")
    assert pd.isna(samples["t.n"][0])
    assert samples["t.n"][1] == "1.5"
    assert samples["t.day"][0] == "2024-02-03"
    assert samples["t.yes"][0] == "true"


@pytest.mark.parametrize("shape", ["binary", "struct"])
def test_media_embedded_in_parquet_are_written_out_once(
    tmp_path: Path, run: Make, text_rows: Make, picture: Make, shape: str
) -> None:
    rows = []
    for number, row in enumerate(text_rows()):
        data = picture(tmp_path / "p.png", number % 5).read_bytes()
        rows.append(row | {"image": data if shape == "binary" else {"bytes": data, "path": "p.png"}})
    rows[0]["image"] = None
    dataset = run(write(tmp_path / "m.parquet", rows), IMAGE, max_bad=0.1)
    samples = pd.read_parquet(dataset.samples)
    assert dataset.rows == 19  # the row without its only input is in quarantine
    assert len(list((tmp_path / "out/media").iterdir())) == 5
    for path, key in zip(samples["image.path"], samples["image.digest"], strict=True):
        assert Path(path).name == key


def test_json_lines_may_lack_keys(tmp_path: Path, run: Make, text_rows: Make) -> None:
    rows = text_rows()
    del rows[5]["text"]
    dataset = run(
        write(tmp_path / "m.jsonl", [*rows, rows[0] | {"id": "x", "more": [1, 2]}]),
        {
            "note": {"modality": "text", "columns": "text"},
            "more": {"modality": "text", "columns": "more"},
        },
        max_bad=0.1,
    )
    assert dataset.missing == {"note": 0, "more": 19}
    assert pd.read_parquet(dataset.quarantine)["id"].tolist() == ["r5"]
    assert pd.read_parquet(dataset.samples)["more.text"].iloc[-1] == "[1, 2]"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": 1', "m.jsonl, line 2: not JSON"),
        ("[1, 2]", "m.jsonl, line 2: expected a JSON object, found list"),
    ],
)
def test_a_broken_json_line_is_named(tmp_path: Path, run: Make, line: str, message: str) -> None:
    (tmp_path / "m.jsonl").write_text(f'{{"id": "0"}}\n{line}\n')
    with pytest.raises(DataError, match=message):
        run("m.jsonl")


def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path, run: Make) -> None:
    (tmp_path / "m.parquet").write_bytes(b"id,label\n")
    with pytest.raises(DataError, match=r"m\.parquet: cannot be read as Parquet"):
        run("m.parquet")


class TestFolder:
    def test_sub_folders_are_classes(self, tmp_path: Path, run: Make, picture: Make) -> None:
        for number in range(20):
            picture(tmp_path / f"pets/{'cat' if number % 2 else 'dog'}/deep/{number}.png", number)
        (tmp_path / "pets/cat/notes.txt").write_text("not an image")
        (tmp_path / "pets/cat/.DS_Store").write_text("hidden")
        dataset = run("pets", PATH, split={"val": 0.2, "test": 0.2})
        assert dataset.targets.primary.classes == ("cat", "dog")
        assert sum(dataset.splits.values()) == 20
        assert min(dataset.splits.values()) > 0
        assert "cat/deep/1.png" in pd.read_parquet(dataset.samples)["id"].tolist()

    @pytest.mark.parametrize("val", ["val", "valid", "validation", "dev"])
    def test_folders_named_for_splits_are_honoured(
        self, tmp_path: Path, run: Make, picture: Make, val: str
    ) -> None:
        for split, count in (("train", 4), (val, 2), ("test", 3)):
            for number in range(count):
                picture(tmp_path / f"pets/{split}/cat/{number}.png", number)
                picture(tmp_path / f"pets/{split}/dog/{number}.png", 10 + number)
        dataset = run("pets", PATH, split={})
        assert dataset.splits == {"train": 8, "val": 4, "test": 6}
        assert dataset.targets.primary.classes == ("cat", "dog")

    def test_sounds_are_found_too(self, tmp_path: Path, run: Make, sound: Make) -> None:
        for number in range(10):
            sound(tmp_path / f"calls/{'cat' if number % 2 else 'dog'}/{number}.wav", 200 + number)
        dataset = run("calls", {"voice": {"modality": "audio", "columns": "path"}}, split={})
        assert dataset.rows == 10

    def test_a_folder_without_media_is_refused(self, tmp_path: Path, run: Make) -> None:
        (tmp_path / "pets").mkdir()
        (tmp_path / "pets/a.txt").write_text("a")
        with pytest.raises(DataError, match="no image or audio files in sub-folders"):
            run("pets", PATH)


class TestFinding:
    def test_a_source_lies_beside_the_pipeline_or_in_the_working_directory(
        self, tmp_path: Path, run: Make, text_rows: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "elsewhere").mkdir()
        write(tmp_path / "elsewhere/m.csv", text_rows())
        with pytest.raises(DataError, match=r"data\.source: there is no m\.csv in"):
            run("m.csv")
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert run("m.csv").rows == 20
        write(tmp_path / "m.csv", text_rows(8))
        assert run("m.csv").rows == 8

    def test_an_unknown_ending_asks_for_the_format(self, tmp_path: Path, run: Make, text_rows: Make) -> None:
        write(tmp_path / "m.csv", text_rows()).rename(tmp_path / "m.dat")
        with pytest.raises(DataError, match=r"data\.format: one of csv, tsv, parquet"):
            run("m.dat")
        assert run("m.dat", format="csv").rows == 20

    def test_a_missing_folder_that_may_be_a_hub_id_says_how_to_say_so(self, run: Make) -> None:
        with pytest.raises(DataError, match=r"set data\.format: huggingface"):
            run("someone/pets")

    def test_an_unknown_kind_of_url_is_refused(self, run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(DataError, match=r"nosuch://bucket/m\.csv: URLs of the kind nosuch:// are not"):
            run("nosuch://bucket/m.csv")
        monkeypatch.setenv("BRAID_URL_SCHEMES", "nosuch")
        with pytest.raises(DataError, match=r"nosuch://bucket/m\.csv: cannot be opened"):
            run("nosuch://bucket/m.csv")


def test_a_manifest_at_a_url_has_its_media_beside_it(
    run: Make, text_rows: Make, picture: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAID_URL_SCHEMES", "memory")
    system = fsspec.filesystem("memory")
    data = picture(tmp_path / "p.png").read_bytes()
    rows = [
        row | {"image": "pics/gone.png" if number == 9 else "pics/p.png"}
        for number, row in enumerate(text_rows())
    ]
    table = io.StringIO()
    pd.DataFrame(rows).to_csv(table, index=False)
    system.pipe({"/set/m.csv": table.getvalue().encode(), "/set/pics/p.png": data})
    try:
        dataset = run("memory://set/m.csv", IMAGE)
    finally:
        system.rm("/set", recursive=True)
    samples = pd.read_parquet(dataset.samples)
    assert samples["image.path"][0] == "memory://set/pics/p.png"
    assert dataset.quarantined == 1
    assert pd.read_parquet(dataset.quarantine)["reason"].tolist() == ["no such file"]
