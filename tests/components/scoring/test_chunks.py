"""A table scored a chunk at a time: the same predictions as at once, and nothing lost or doubled."""

from __future__ import annotations

import base64
import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile as sf
from pydantic import TypeAdapter

from components.config import ConfigError, PipelineConfig
from components.config.inputs import AudioInput
from components.config.score import BATCH, ScoreConfig
from components.data.keys import read_keys
from components.data.rows import chunked, open_table
from components.errors import DataError
from components.inference.predictor import Predictor
from components.scoring.chunks import score
from components.scoring.job import Job, Model, plan
from components.scoring.rows import open_rows, read_chunks
from components.scoring.summary import Summary, finished
from tests.components.conftest import BuiltModel

ROWS = 300  # three batches of the model
RUN = "run-of-the-job"


class Counting(Predictor):
    """A predictor that notes how many rows it is given, and may be cut off after some of them."""

    def __init__(self, bundle: Path) -> None:
        super().__init__(bundle, "cpu")
        self.sizes: list[int] = []
        self.most = 10**9

    def predict(self, table: pd.DataFrame, *args: Any, **options: Any) -> pd.DataFrame:
        if len(table):  # none are asked about to learn the columns
            if len(self.sizes) == self.most:
                raise KeyboardInterrupt
            self.sizes.append(len(table))
        return super().predict(table, *args, **options)


@pytest.fixture(scope="module")
def rows(tiny_data: Path) -> pd.DataFrame:
    """300 rows without targets, with the empty cells of the tiny manifest."""
    table = pd.read_csv(tiny_data / "rows.csv", dtype=str, keep_default_na=False)
    table = pd.concat([table] * 4, ignore_index=True).head(ROWS)
    table["id"] = [f"row-{row}" for row in range(ROWS)]
    return table.drop(columns=["label", "split"])


@pytest.fixture
def folder(tiny_data: Path, rows: pd.DataFrame, tmp_path: Path) -> Path:
    """A folder with the table and its images, which a test may spoil."""
    shutil.copytree(tiny_data / "photos", tmp_path / "photos")
    rows.to_csv(tmp_path / "new.csv", index=False)
    return tmp_path


@pytest.fixture
def predictor(tiny: BuiltModel) -> Counting:
    return Counting(tiny.bundle)


def job_of(tiny: BuiltModel, folder: Path, name: str = "new.csv", **options: Any) -> Job:
    usual = {"model": "tiny", "manifest": str(folder / name), "out": str(folder / "out"), "chunk_rows": BATCH}
    config = ScoreConfig.model_validate({**usual, **options})
    return plan(config, Model("tiny", "1", "run-of-the-model", str(tiny.bundle)))


def scored(job: Job, predictor: Predictor) -> tuple[Summary, pd.DataFrame]:
    summary = score(job, predictor, RUN)
    return summary, pd.concat([pd.read_parquet(path) for path in job.parts], ignore_index=True)


def quarantine(job: Job) -> pd.DataFrame:
    return pd.read_parquet(job.quarantine)


def edit(folder: Path, **cells: dict[int, str]) -> None:
    """Change cells of the table, by column and row."""
    table = pd.read_csv(folder / "new.csv", dtype=str, keep_default_na=False)
    for column, changes in cells.items():
        for row, value in changes.items():
            table.loc[row, column] = value
    table.to_csv(folder / "new.csv", index=False)


def spoil(folder: Path, row: int, rows: pd.DataFrame, content: bytes = b"no picture") -> Path:
    """Give a row an image of its own that cannot be read."""
    path = folder / "photos" / f"bad-{row}.png"
    path.write_bytes(content)
    edit(folder, photo={row: f"photos/{path.name}"})
    return path


def test_chunks_give_what_one_pass_gives(
    tiny: BuiltModel, folder: Path, rows: pd.DataFrame, predictor: Counting
) -> None:
    summary, predictions = scored(job_of(tiny, folder), predictor)
    table = rows.assign(photo=[str(folder / cell) if cell else "" for cell in rows["photo"]])
    expected = Predictor(tiny.bundle, "cpu").predict(table)
    pd.testing.assert_frame_equal(
        predictions[list(expected.columns)], expected, check_dtype=False, check_exact=True
    )
    assert predictions["id"].tolist() == rows["id"].tolist()
    assert predictions["row"].tolist() == list(range(ROWS))
    assert set(predictions["model"]) == {"tiny"}
    assert set(predictions["model_version"]) == {"1"}
    assert set(predictions["model_run_id"]) == {"run-of-the-model"}
    assert set(predictions["run_id"]) == {RUN}
    assert (summary.rows, summary.scored, summary.not_scored, summary.faulty) == (ROWS, ROWS, 0, 0)
    assert len(quarantine(job_of(tiny, folder))) == 0
    assert summary.labels == {"label": predictions["label"].value_counts().sort_index().to_dict()}
    assert summary.abstained == {"label": int(expected["abstain"].sum())}
    assert summary.missing["photo"] == int((rows["photo"] == "").sum())


def test_any_chunk_size_gives_the_same_predictions_and_bounds_the_rows_held(
    tiny: BuiltModel, folder: Path, predictor: Counting
) -> None:
    tables = []
    for size in (BATCH, 2 * BATCH, 1024):
        predictor.sizes.clear()
        tables.append(scored(job_of(tiny, folder, chunk_rows=size, explain=True), predictor)[1])
        assert max(predictor.sizes) == min(size, ROWS)
        assert sum(predictor.sizes) == ROWS
    for other in tables[1:]:
        pd.testing.assert_frame_equal(tables[0], other, check_exact=True)
    assert {"share_photo", "share_note", "share_facts"} <= set(tables[0])


@pytest.mark.parametrize("ending", ["tsv", "parquet", "jsonl"])
def test_every_format_is_scored_alike(
    tiny: BuiltModel, folder: Path, rows: pd.DataFrame, predictor: Counting, ending: str
) -> None:
    path = folder / f"same.{ending}"
    match ending:
        case "tsv":
            rows.to_csv(path, sep="\t", index=False)
        case "parquet":
            pq.write_table(pa.Table.from_pandas(rows), path)
        case _:
            path.write_text("\n".join(json.dumps(row) for row in rows.to_dict("records")))
    expected = scored(job_of(tiny, folder), predictor)[1]
    predictions = scored(job_of(tiny, folder, path.name), predictor)[1]
    pd.testing.assert_frame_equal(predictions, expected, check_exact=True)


def test_readers_are_held_to_the_chunk(folder: Path) -> None:
    table = open_table(str(folder / "new.csv"))
    batches = list(chunked(table, ["id", "note"], 128))
    assert [first for first, _ in batches] == [0, 128, 256]
    assert [len(batch["id"]) for _, batch in batches] == [128, 128, 44]
    assert [cell for _, batch in batches for cell in batch["id"]] == [f"row-{row}" for row in range(ROWS)]


def test_rows_are_numbered_where_there_are_no_ids(
    tiny: BuiltModel, folder: Path, rows: pd.DataFrame, predictor: Counting
) -> None:
    rows.rename(columns={"id": "sku"}).to_csv(folder / "new.csv", index=False)
    _, predictions = scored(job_of(tiny, folder), predictor)
    assert predictions["id"].tolist() == [str(row) for row in range(ROWS)]
    _, named = scored(job_of(tiny, folder, id="sku"), predictor)
    assert named["id"].tolist() == rows["id"].tolist()


def test_embedded_media_are_scored_like_files(
    tiny: BuiltModel, folder: Path, rows: pd.DataFrame, predictor: Counting
) -> None:
    """As Hugging Face embeds images, as plain bytes, and as base64 text."""
    expected = scored(job_of(tiny, folder), predictor)[1]
    photos = [(folder / cell).read_bytes() if cell else None for cell in rows["photo"]]
    forms = {
        "mapping": [data and {"bytes": data, "path": None} for data in photos],
        "bytes": photos,
        "text": [data and base64.b64encode(data).decode() for data in photos],
    }
    for name, cells in forms.items():
        columns = {**rows.to_dict("list"), "photo": cells}
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
        predictions = scored(job_of(tiny, folder, f"{name}.parquet"), predictor)[1]
        pd.testing.assert_frame_equal(predictions, expected, check_exact=True)


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        ([1.0, 2.5], ["1", "2.5"]),
        (["1.0", "2.50"], ["1", "2.5"]),
        (["1.1", "1.10"], ["1.1", "1.10"]),  # two chapters, no numbers
        (["007", "8.0"], ["007", "8.0"]),
        (["True", "False"], ["true", "false"]),
    ],
)
def test_ids_are_spelled_as_training_spells_them(tmp_path: Path, cells: list[Any], names: list[str]) -> None:
    table = pd.DataFrame({"id": cells, "label": ["a", "b"], "note": ["one", "two"]})
    table.to_parquet(tmp_path / "new.parquet")
    note = {"modality": "text", "columns": "note"}
    source = {"source": str(tmp_path / "new.parquet")}
    config = PipelineConfig.model_validate({"name": "n", "data": source, "inputs": {"note": note}})
    assert list(read_keys(config, open_table(source["source"])).ids) == names
    rows = open_rows(ScoreConfig(model="m", manifest=source["source"]), config.inputs, {})
    (chunk,) = read_chunks(rows, BATCH, lambda first: True)
    assert chunk.ids == names


def test_silence_means_what_the_model_was_trained_with(tmp_path: Path) -> None:
    rate = 4000
    sf.write(tmp_path / "silent.wav", np.zeros(rate), rate)
    sf.write(tmp_path / "tone.wav", np.sin(np.arange(rate)) / 2, rate)
    (tmp_path / "new.csv").write_text("voice\nsilent.wav\ntone.wav\n")
    config = ScoreConfig(model="m", manifest=str(tmp_path / "new.csv"))
    silent = {}
    for meaning in ("keep", "missing", "quarantine"):
        voice = {"modality": "audio", "columns": "voice", "silent": meaning, "encoder": {"name": "audio_cnn"}}
        rows = open_rows(config, {"voice": TypeAdapter(AudioInput).validate_python(voice)}, {})
        (chunk,) = read_chunks(rows, BATCH, lambda first: True)
        assert chunk.table["voice"][1] == str(tmp_path / "tone.wav")
        silent[meaning] = (chunk.table["voice"][0] is not None, [fault.reason for fault in chunk.faults])
    assert silent["keep"] == (True, [])
    assert silent["missing"] == (False, [])
    assert silent["quarantine"] == (True, ["silent throughout (peak 0)"])


class TestQuarantine:
    def test_a_required_input_that_is_missing_is_a_fault(
        self, tiny: BuiltModel, folder: Path, rows: pd.DataFrame
    ) -> None:
        bundle = folder / "bundle"
        shutil.copytree(tiny.bundle, bundle)
        settings = json.loads((bundle / "model.json").read_text())
        settings["inputs"]["photo"]["required"] = True
        (bundle / "model.json").write_text(json.dumps(settings))
        job = job_of(tiny, folder, max_bad=1.0)
        summary, predictions = scored(job, Counting(bundle))
        empty = int((rows["photo"] == "").sum())
        assert (summary.scored, summary.faulty) == (ROWS, empty)
        assert set(quarantine(job)["reason"]) == {"missing, but required"}
        assert (predictions["error"] == "photo: missing, but required").sum() == empty

    def test_a_row_with_one_bad_input_is_scored_from_the_others_and_told(
        self, tiny: BuiltModel, folder: Path, rows: pd.DataFrame, predictor: Counting
    ) -> None:
        path = spoil(folder, 4, rows)
        edit(folder, photo={130: "photos/lost.png"})
        summary, predictions = scored(job_of(tiny, folder), predictor)
        assert (summary.scored, summary.not_scored, summary.faulty) == (ROWS, 0, 2)
        faulty = predictions[predictions["error"].notna()].set_index("row")
        assert faulty["inputs"].tolist() == ["note+facts", "note+facts"]
        assert faulty["error"][4].startswith(f"photo: {path}: not an image")
        assert faulty["error"][130] == f"photo: {folder / 'photos/lost.png'}: no such file"
        entries = quarantine(job_of(tiny, folder))
        assert entries.columns.tolist() == ["id", "input", "path", "reason", "row", "scored"]
        assert entries[["id", "input", "path", "row", "scored"]].values.tolist() == [
            ["row-4", "photo", str(path), 4, True],
            ["row-130", "photo", str(folder / "photos/lost.png"), 130, True],
        ]

    def test_a_row_that_cannot_be_scored_is_in_quarantine_alone(
        self, tiny: BuiltModel, folder: Path, rows: pd.DataFrame, predictor: Counting
    ) -> None:
        edit(
            folder, photo={3: "", 9: "lost.png"}, note={3: "", 9: ""}, age={3: "", 9: ""}, city={3: "", 9: ""}
        )
        summary, predictions = scored(job_of(tiny, folder), predictor)
        assert (summary.scored, summary.not_scored, summary.faulty) == (ROWS - 2, 2, 2)
        assert predictions["row"].tolist() == [row for row in range(ROWS) if row not in (3, 9)]
        entries = quarantine(job_of(tiny, folder)).fillna("").values.tolist()
        assert entries == [
            ["row-3", "row", "", "no input at all (every input is missing)", 3, False],
            ["row-9", "photo", str(folder / "lost.png"), "no such file", 9, False],
        ]

    def test_too_many_stop_it_with_rows_and_remedy_and_mended_ones_are_looked_at_again(
        self, tiny: BuiltModel, folder: Path, rows: pd.DataFrame, predictor: Counting
    ) -> None:
        path = spoil(folder, 200, rows)
        with pytest.raises(DataError) as stopped:
            score(job_of(tiny, folder, max_bad=0.0), predictor, RUN)
        message = str(stopped.value)
        assert "new.csv: 1 of 300 rows (0.3%) cannot be used; --max-bad allows 0.0%" in message
        assert "1 × photo: not an image, first in row 200, id row-200" in message
        assert str(path) in message
        assert "Correct or remove them, or raise --max-bad" in message
        assert len(quarantine(job_of(tiny, folder))) == 1
        assert finished(job_of(tiny, folder)) is None
        shutil.copyfile(folder / "photos/train00.png", path)
        predictor.sizes.clear()
        summary, predictions = scored(job_of(tiny, folder, max_bad=0.0), predictor)
        assert predictor.sizes == [128, 44], "the chunk before it is not scored again"
        assert (summary.scored, summary.faulty) == (ROWS, 0)
        assert predictions["row"].tolist() == list(range(ROWS))

    def test_what_only_the_model_finds_is_in_quarantine_too(
        self, tiny: BuiltModel, folder: Path, predictor: Counting
    ) -> None:
        edit(folder, photo={7: "data:image/png;base64,AAA"})
        summary, _ = scored(job_of(tiny, folder), predictor)
        assert summary.faulty == 1
        assert quarantine(job_of(tiny, folder))["input"].tolist() == ["photo"]


class TestGoingOn:
    def test_a_job_cut_off_anywhere_ends_as_if_it_had_not_been(
        self, tiny: BuiltModel, folder: Path, rows: pd.DataFrame, predictor: Counting
    ) -> None:
        spoil(folder, 2, rows)
        whole = job_of(tiny, folder, out=str(folder / "whole"))
        expected, table = scored(whole, predictor)
        job = job_of(tiny, folder)
        for most in (1, 1):
            predictor.sizes.clear()
            predictor.most = most
            with pytest.raises(KeyboardInterrupt):
                score(job, predictor, RUN)
        part = job.parts[0]
        part.write_bytes(part.read_bytes()[:100])  # a disk that lost the end of a file
        predictor.most = 10**9
        predictor.sizes.clear()
        summary, predictions = scored(job, predictor)
        assert predictor.sizes == [128, 44], "the damaged chunk and the one that was left"
        assert summary == expected
        pd.testing.assert_frame_equal(predictions, table, check_exact=True)
        pd.testing.assert_frame_equal(quarantine(job), quarantine(whole))

    def test_parts_of_another_mlflow_run_are_not_taken_over(
        self, tiny: BuiltModel, folder: Path, predictor: Counting
    ) -> None:
        predictor.most = 1
        with pytest.raises(KeyboardInterrupt):
            score(job_of(tiny, folder), predictor, "lost with its database")
        predictor.most = 10**9
        _, predictions = scored(job_of(tiny, folder), predictor)
        assert set(predictions["run_id"]) == {RUN}
        assert predictions["row"].tolist() == list(range(ROWS))

    def test_a_finished_job_does_nothing(self, tiny: BuiltModel, folder: Path, predictor: Counting) -> None:
        first = score(job_of(tiny, folder), predictor, RUN)
        times = [path.stat().st_mtime_ns for path in job_of(tiny, folder).parts]
        predictor.sizes.clear()
        assert score(job_of(tiny, folder), predictor, "another") == first == finished(job_of(tiny, folder))
        assert predictor.sizes == []
        assert [path.stat().st_mtime_ns for path in job_of(tiny, folder).parts] == times

    def test_what_matters_makes_a_new_job_and_what_does_not_goes_on(
        self, tiny: BuiltModel, folder: Path
    ) -> None:
        first = job_of(tiny, folder)
        assert first.key.startswith("new-tiny-1-")
        assert job_of(tiny, folder, max_bad=0.5, sql="sqlite:///x.db", table="t").key == first.key
        for options in ({"explain": True}, {"chunk_rows": 256}, {"id": "note"}, {"out": str(folder / "o")}):
            assert job_of(tiny, folder, **options).key != first.key
        assert plan(first.config, Model("tiny", "2", "r", str(tiny.bundle))).key != first.key
        edit(folder, note={0: "something else"})
        assert job_of(tiny, folder).key != first.key


class TestErrors:
    @pytest.fixture
    def write(self, folder: Path) -> Any:
        def write(*lines: list[str]) -> None:
            with (folder / "new.csv").open("w", newline="") as file:
                csv.writer(file).writerows(lines)

        return write

    @pytest.mark.parametrize(
        ("lines", "options", "message"),
        [
            ([["id", "note"]], {}, "new.csv: has columns but no rows"),
            ([["a", "b"], ["1", "2"]], {}, "has none of the model's columns photo, note, age, city"),
            ([["id", "note"], ["1", "x"]], {"id": "nota"}, "--id nota: not a column.*Did you mean 'note'"),
            (
                [["id", "note"], ["1", "x"], ["2", "y"], ["1", "z"]],
                {},
                r"1 ids are repeated: '1' in rows 0, 2 \(the first row is 0\)",
            ),
            ([["id", "note"], ["1", "x"], ["", "y"]], {}, "column 'id' is empty in 1 rows: 1"),
        ],
    )
    def test_a_table_that_cannot_be_used_is_told(
        self,
        tiny: BuiltModel,
        folder: Path,
        predictor: Counting,
        write: Any,
        lines: Any,
        options: Any,
        message: str,
    ) -> None:
        write(*lines)
        with pytest.raises(DataError, match=message):
            score(job_of(tiny, folder, **options), predictor, RUN)

    def test_a_table_that_is_not_there(self, tiny: BuiltModel, folder: Path) -> None:
        with pytest.raises(DataError, match=r"manifest: there is no .*lost\.csv"):
            job_of(tiny, folder, "lost.csv")

    def test_a_folder_that_cannot_be_written(self, tiny: BuiltModel, folder: Path) -> None:
        (folder / "out").write_text("a file")
        with pytest.raises(ConfigError, match=r"--out .*out: cannot be written to"):
            job_of(tiny, folder)

    def test_columns_that_are_not_there_are_missing_and_told(
        self, tiny: BuiltModel, folder: Path, rows: pd.DataFrame, predictor: Counting
    ) -> None:
        rows[["id", "note", "age"]].assign(note="small worker").to_csv(folder / "new.csv", index=False)
        summary, predictions = scored(job_of(tiny, folder), predictor)
        assert summary.absent == ["photo", "city"]
        assert summary.missing["photo"] == ROWS
        assert set(predictions["inputs"]) <= {"note", "note+facts"}
        assert np.isfinite(predictions["probability"]).all()
