"""From a manifest to samples, quarantine, or a message that says what to mend."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import soundfile as sf
from pydantic import TypeAdapter

from components.data.ingest import ingest
from components.data.sources.manifest import Manifest
from components.errors import DataError
from components.references import Dataset
from components.storage.digest import digest_file

Make = Callable[..., Any]
IMAGE = {"image": {"modality": "image", "columns": "image"}}
VOICE = {"voice": {"modality": "audio", "columns": "audio"}}
NOTE = {"note": {"modality": "text", "columns": "text"}}


@pytest.fixture
def rows(tmp_path: Path, text_rows: Make, picture: Make, sound: Make) -> list[dict[str, Any]]:
    """Forty rows with a text, an image and audio."""
    made = text_rows(40)
    for number, row in enumerate(made):
        picture(tmp_path / f"pics/{number}.png", number)
        sound(tmp_path / f"calls/{number}.wav", 200 + 10 * number)
        row |= {"image": f"pics/{number}.png", "audio": f"calls/{number}.wav"}
    return made


def quarantine(dataset: Dataset) -> list[tuple[str, str, str, int]]:
    """Id, input, short cause and row of each fault."""
    table = pd.read_parquet(dataset.quarantine)
    causes = table["reason"].str.partition(" (")[0]
    return list(zip(table["id"], table["input"], causes, table["row"], strict=True))


class TestSamples:
    def test_the_table_holds_keys_digests_and_contents(
        self, tmp_path: Path, run: Make, rows: list[dict[str, Any]], manifest: Make
    ) -> None:
        dataset = run(manifest(tmp_path / "m.csv", rows), {**IMAGE, **VOICE, **NOTE})
        samples = pd.read_parquet(dataset.samples)
        assert samples.columns.tolist() == [
            *("id", "split", "target.label", "group"),
            *("image.digest", "image.path", "image.contrast", "image.top"),
            *("voice.digest", "voice.path", "voice.peak", "note.digest", "note.text"),
        ]
        assert samples["image.path"][3] == str(tmp_path / "pics/3.png")
        assert samples["image.digest"][3] == digest_file(tmp_path / "pics/3.png")
        assert samples["note.text"][3] == "text 3"
        assert samples["group"].isna().all()

    def test_the_reference_survives_json(self, tmp_path: Path, run: Make, rows: Any, manifest: Make) -> None:
        dataset = run(manifest(tmp_path / "m.csv", rows), IMAGE)
        fields = json.loads(json.dumps(asdict(dataset)))
        assert TypeAdapter(Dataset).validate_python(fields) == dataset

    def test_text_columns_are_joined_and_empty_ones_left_out(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make
    ) -> None:
        table = [
            row | {"title": "" if number == 1 else f"title {number}"}
            for number, row in enumerate(text_rows())
        ]
        dataset = run(
            manifest(tmp_path / "m.csv", table), {"note": {"modality": "text", "columns": ["title", "text"]}}
        )
        assert pd.read_parquet(dataset.samples)["note.text"].tolist()[:2] == ["title 0\ntext 0", "text 1"]

    def test_a_table_input_is_missing_when_all_of_its_cells_are(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make
    ) -> None:
        cells = [("1", "x"), ("", "y"), ("", ""), *[("2", "z")] * 17]
        table = [row | {"n": n, "c": c} for row, (n, c) in zip(text_rows(), cells, strict=True)]
        dataset = run(
            manifest(tmp_path / "m.csv", table), {**NOTE, "t": {"modality": "tabular", "columns": ["n", "c"]}}
        )
        samples = pd.read_parquet(dataset.samples)
        assert dataset.missing == {"note": 0, "t": 1}
        assert samples["t.digest"].isna().tolist()[:3] == [False, False, True]
        assert pd.isna(samples["t.n"][1])
        assert samples["t.c"][1] == "y"

    def test_numeric_labels_are_sorted_by_value(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make
    ) -> None:
        table = [row | {"label": ["10", "9", " 2 "][number % 3]} for number, row in enumerate(text_rows(60))]
        assert run(manifest(tmp_path / "m.csv", table), split={}).targets.primary.classes == ("2", "9", "10")


class TestDigest:
    def test_it_is_the_same_wherever_the_data_lie(
        self, tmp_path: Path, run: Make, rows: Any, manifest: Make, pipeline: Make
    ) -> None:
        inputs = {**IMAGE, **NOTE}
        one = run(manifest(tmp_path / "m.csv", rows), inputs)
        (tmp_path / "moved").mkdir()
        (tmp_path / "pics").rename(tmp_path / "moved/pics")
        two = ingest(pipeline(manifest(tmp_path / "moved/m.csv", rows), inputs), tmp_path / "out2", tmp_path)
        assert one.digest == two.digest

    @pytest.mark.parametrize("change", ["picture", "text", "label", "split", "row"])
    def test_it_changes_with_every_content(
        self, tmp_path: Path, run: Make, rows: Any, manifest: Make, picture: Make, change: str
    ) -> None:
        inputs = {**IMAGE, **NOTE}
        before = run(manifest(tmp_path / "m.csv", rows), inputs).digest
        match change:
            case "picture":
                picture(tmp_path / "pics/7.png", 1234)
            case "text":
                rows[7]["text"] = "other"
            case "label":
                rows[7]["label"] = "b" if rows[7]["label"] == "a" else "a"
            case "split":
                rows[7]["split"] = "test"
            case "row":
                rows.pop()
        assert run(manifest(tmp_path / "m.csv", rows), inputs).digest != before

    def test_a_second_run_gives_the_same_reference(
        self, tmp_path: Path, run: Make, rows: Any, manifest: Make
    ) -> None:
        path = manifest(tmp_path / "m.csv", rows)
        assert run(path, {**IMAGE, **VOICE}, split={}) == run(path, {**IMAGE, **VOICE}, split={})


class TestQuarantine:
    def test_bad_files_are_set_aside_with_reasons(
        self, tmp_path: Path, run: Make, rows: Any, manifest: Make
    ) -> None:
        jpeg = tmp_path / "pics/cut.jpg"
        sf_empty = tmp_path / "calls/empty.wav"
        from PIL import Image

        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(jpeg)
        jpeg.write_bytes(jpeg.read_bytes()[:900])
        sf_empty.write_bytes(b"")
        sf.write(tmp_path / "calls/none.wav", np.zeros(0), 8000)
        rows[10]["image"] = "pics/cut.jpg"
        rows[11]["audio"] = "calls/empty.wav"
        rows[12]["audio"] = "calls/none.wav"
        rows[13]["image"] = "pics/gone.png"
        dataset = run(manifest(tmp_path / "m.csv", rows), {**IMAGE, **VOICE}, max_bad=0.1)
        assert quarantine(dataset) == [
            ("r10", "image", "truncated image", 10),
            ("r11", "voice", "empty file", 11),
            ("r12", "voice", "audio without samples", 12),
            ("r13", "image", "no such file", 13),
        ]
        assert (dataset.rows, dataset.quarantined) == (36, 4)
        assert not set(pd.read_parquet(dataset.samples)["id"]) & {"r10", "r11", "r12", "r13"}

    def test_an_empty_cell_is_a_missing_input(
        self, tmp_path: Path, run: Make, rows: Any, manifest: Make
    ) -> None:
        for number in range(10, 20):
            rows[number]["image"] = ""
        dataset = run(manifest(tmp_path / "m.csv", rows), {**IMAGE, **VOICE})
        assert (dataset.missing, dataset.quarantined) == ({"image": 10, "voice": 0}, 0)

    def test_a_missing_file_may_be_a_missing_input(
        self, tmp_path: Path, run: Make, rows: Any, manifest: Make
    ) -> None:
        for number in range(10, 20):
            (tmp_path / f"pics/{number}.png").unlink()
        dataset = run(manifest(tmp_path / "m.csv", rows), {**IMAGE, **VOICE}, allow_missing_files=True)
        assert (dataset.missing, dataset.quarantined) == ({"image": 10, "voice": 0}, 0)
        assert pd.read_parquet(dataset.samples)["image.path"].isna().sum() == 10

    def test_a_row_needs_its_required_inputs_and_some_input_but_no_target(
        self, tmp_path: Path, run: Make, rows: Any, manifest: Make
    ) -> None:
        rows[10]["image"] = ""
        rows[11]["label"] = " "
        rows[12] |= {"image": "", "audio": ""}
        rows[13]["audio"] = ""
        dataset = run(
            manifest(tmp_path / "m.csv", rows),
            {"image": IMAGE["image"] | {"required": True}, **VOICE},
            max_bad=0.1,
        )
        assert quarantine(dataset) == [
            ("r10", "image", "missing, but required", 10),
            ("r12", "image", "missing, but required", 12),
            ("r12", "row", "no input at all", 12),
        ]
        assert (dataset.quarantined, dataset.missing["voice"]) == (2, 1)
        assert dataset.splits["unlabelled"] == 1
        assert pd.read_parquet(dataset.samples).set_index("id")["split"]["r11"] == "unlabelled"

    @pytest.mark.parametrize(
        ("silent", "missing", "quarantined"), [("keep", 0, 0), ("missing", 2, 0), ("quarantine", 0, 2)]
    )
    def test_silence_is_what_the_pipeline_says_it_is(
        self,
        tmp_path: Path,
        run: Make,
        rows: Any,
        manifest: Make,
        silent: str,
        missing: int,
        quarantined: int,
    ) -> None:
        for number in (10, 11):
            sf.write(tmp_path / f"calls/{number}.wav", np.zeros(800), 8000)
        voice = {"voice": VOICE["voice"] | {"silent": silent}}
        dataset = run(manifest(tmp_path / "m.csv", rows), {**IMAGE, **voice})
        assert (dataset.missing["voice"], dataset.quarantined) == (missing, quarantined)

    def test_too_many_bad_rows_stop_the_run_and_are_told(
        self, tmp_path: Path, run: Make, rows: Any, manifest: Make
    ) -> None:
        for number in range(10, 14):
            (tmp_path / f"pics/{number}.png").unlink()
        (tmp_path / "pics/20.png").write_bytes(b"")
        with pytest.raises(DataError) as caught:
            run(manifest(tmp_path / "m.csv", rows), IMAGE)
        message = str(caught.value)
        assert "m.csv: 5 of 40 rows (12.5%) cannot be used; data.max_bad allows 5.0%" in message
        assert "4 × image: no such file" in message
        assert "1 × image: empty file" in message
        assert f"row 10, id r10: {tmp_path}/pics/10.png: no such file" in message
        assert "data.allow_missing_files" in message
        assert len(pd.read_parquet(tmp_path / "out/quarantine.parquet")) == 5

    def test_exactly_max_bad_is_let_pass(self, tmp_path: Path, run: Make, rows: Any, manifest: Make) -> None:
        for number in (10, 11):
            (tmp_path / f"pics/{number}.png").unlink()
        assert run(manifest(tmp_path / "m.csv", rows), IMAGE, max_bad=0.05).quarantined == 2


class TestRefusal:
    @pytest.mark.parametrize(
        ("inputs", "data", "message"),
        [
            (
                {"voice": {"modality": "audio", "columns": "cry"}},
                {},
                r"inputs\.voice\.columns: 'cry' is not a column of m\.csv "
                r"\(has: id, text, label, split, image, "
                r"audio\)\. Did you mean 'audio'\?",
            ),
            (
                {"note": {"modality": "text", "columns": "txet"}},
                {},
                r"'txet' is not a column.*Did you mean 'text'\?",
            ),
            (NOTE, {"target": {"column": "labl"}}, r"target\.column: 'labl' is not.*Did you mean 'label'\?"),
            (NOTE, {"id": "name"}, r"data\.id: 'name' is not a column of m\.csv.*Did you mean 'id'\?"),
            (NOTE, {"split": {"column": "fold"}}, r"data\.split\.column: 'fold' is not a column"),
            (NOTE, {"split": {"group": "speaker"}}, r"data\.split\.group: 'speaker' is not a column"),
            (
                {"note": {"modality": "text", "columns": "label"}},
                {},
                r"inputs\.note\.columns: 'label' is a target; an input cannot read it",
            ),
            (
                {"t": {"modality": "tabular", "columns": ["text"], "types": {"tetx": "numeric"}}},
                {},
                r"inputs\.t\.types: 'tetx' is not among its columns \(text\)\. Did you mean 'text'\?",
            ),
        ],
    )
    def test_an_unknown_column_is_named_with_the_nearest(
        self, tmp_path: Path, run: Make, rows: Any, manifest: Make, inputs: Any, data: Any, message: str
    ) -> None:
        with pytest.raises(DataError, match=message):
            run(manifest(tmp_path / "m.csv", rows), inputs, **data)

    def test_all_unknown_columns_are_told_at_once(
        self, tmp_path: Path, run: Make, rows: Any, manifest: Make
    ) -> None:
        with pytest.raises(DataError) as caught:
            run(
                manifest(tmp_path / "m.csv", rows),
                {"a": {"modality": "text", "columns": "x"}, "b": {"modality": "image", "columns": "y"}},
            )
        assert len(str(caught.value).splitlines()) == 2

    @pytest.mark.parametrize(
        ("cells", "message"),
        [
            ({3: {"id": "r1"}, 5: {"id": "r1"}}, r"1 ids occur more than once: 'r1' in rows 1, 3, 5"),
            ({3: {"id": ""}}, r"column for 'id' is empty in 1 rows: rows 3"),
            (
                {3: {"split": "tarin"}, 4: {"split": "tarin"}},
                r"unknown splits 'tarin' \(2 rows\) in rows 3, 4",
            ),
            ({3: {"split": ""}}, r"column for 'split' is empty in 1 rows: rows 3"),
            ({0: {"label": "c"}}, r"val has labels that train has not: 'c' \(1 rows\)"),
        ],
    )
    def test_bad_keys_are_named_with_their_rows(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make, cells: Any, message: str
    ) -> None:
        table = [row | cells.get(number, {}) for number, row in enumerate(text_rows())]
        with pytest.raises(DataError, match=message):
            run(manifest(tmp_path / "m.csv", table))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda number, row: {"split": "train"} if row["split"] == "test" else {},
                r"no usable rows with a target in test",
            ),
            (lambda number, row: {"label": "a"}, r"all training rows have the label 'a'"),
            (
                lambda number, row: {"text": ""} if row["label"] == "b" else {},
                r"nothing is left of class 'b'",
            ),
        ],
    )
    def test_an_empty_split_or_class_stops_the_run(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make, change: Any, message: str
    ) -> None:
        table = [row | change(number, row) for number, row in enumerate(text_rows())]
        with pytest.raises(DataError, match=message):
            run(manifest(tmp_path / "m.csv", table), max_bad=1)

    def test_a_header_without_rows_is_refused(self, tmp_path: Path, run: Make) -> None:
        (tmp_path / "m.csv").write_text("id,text,label,split\n")
        with pytest.raises(DataError, match="has columns but no rows"):
            run("m.csv")

    def test_a_path_column_of_numbers_is_refused(self, tmp_path: Path, run: Make, text_rows: Make) -> None:
        pd.DataFrame([row | {"image": 3} for row in text_rows()]).to_parquet(tmp_path / "m.parquet")
        with pytest.raises(DataError, match=r"column 'image', row 0: holds int; expected a path"):
            run("m.parquet", IMAGE)


def test_a_class_absent_from_test_is_a_warning(
    tmp_path: Path, run: Make, text_rows: Make, manifest: Make, caplog: pytest.LogCaptureFixture
) -> None:
    table = text_rows()
    table[10]["label"] = "c"
    assert run(manifest(tmp_path / "m.csv", table)).targets.primary.classes == ("a", "b", "c")
    assert "test has no rows of class 'c'" in caplog.text


def test_rows_are_numbered_where_the_user_asks_for_it(
    tmp_path: Path, run: Make, text_rows: Make, manifest: Make
) -> None:
    dataset = run(manifest(tmp_path / "m.csv", text_rows()), id=None)
    assert pd.read_parquet(dataset.samples)["id"].tolist() == [str(row) for row in range(20)]


def test_groups_are_kept_whole_and_written(
    tmp_path: Path, run: Make, text_rows: Make, manifest: Make
) -> None:
    table = [row | {"speaker": f"s{number % 10}"} for number, row in enumerate(text_rows(60))]
    dataset = run(manifest(tmp_path / "m.csv", table), split={"group": "speaker"})
    samples = pd.read_parquet(dataset.samples)
    assert (samples.groupby("group")["split"].nunique() == 1).all()
    assert set(samples["split"]) == {"train", "val", "test"}


def test_progress_counts_rows(tmp_path: Path, rows: Any, manifest: Make, pipeline: Make) -> None:
    calls: list[tuple[int, int]] = []
    config = pipeline(manifest(tmp_path / "m.csv", rows), {**IMAGE, **VOICE})
    ingest(config, tmp_path / "out", tmp_path, lambda done, total: calls.append((done, total)))
    assert calls[-1] == (40, 40)


class TestManyRows:
    """Memory that does not grow with the rows."""

    def test_no_row_is_read_before_those_ahead_of_it_are_written(
        self, tmp_path: Path, text_rows: Make, monkeypatch: pytest.MonkeyPatch, pipeline: Make
    ) -> None:
        rows = text_rows(200)
        read: list[int] = []

        def batches(wanted: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
            for start in range(0, 200, 7):
                part = rows[start : start + 7]
                if "text" in wanted:
                    read.append(start + len(part))
                yield {column: [row[column] for row in part] for column in wanted}

        columns = tuple(rows[0])
        manifest = Manifest("m", "m.csv", str(tmp_path), columns, batches)
        monkeypatch.setattr("components.data.ingest.open_manifest", lambda *arguments: manifest)
        monkeypatch.setattr("components.data.contents._ROWS", 20)
        ahead: list[int] = []
        config = pipeline("m.csv", NOTE)
        dataset = ingest(
            config, tmp_path / "out", tmp_path, lambda done, total: ahead.append(read[-1] - done)
        )
        assert dataset.rows == 200
        assert len(ahead) == 10
        assert max(ahead) <= 7, "no more is held than a batch of the source beyond what was given away"

    @pytest.mark.parametrize("held", [1, 3, 7])
    def test_the_result_does_not_depend_on_how_many_rows_are_held(
        self,
        tmp_path: Path,
        rows: Any,
        manifest: Make,
        pipeline: Make,
        held: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        inputs = {**IMAGE, **VOICE, **NOTE}
        config = pipeline(manifest(tmp_path / "m.csv", rows), inputs, split={"column": None})
        whole = ingest(config, tmp_path / "out", tmp_path, tables=tmp_path / "whole")
        monkeypatch.setattr("components.data.contents._ROWS", held)
        monkeypatch.setattr("components.data.keys._ROWS", held)
        monkeypatch.setattr("components.data.ingest._ROW_GROUP", 2 * held)
        parts = ingest(config, tmp_path / "out", tmp_path, tables=tmp_path / "parts")
        assert replace(parts, samples=whole.samples, quarantine=whole.quarantine) == whole
        assert pq.ParquetFile(parts.samples).num_row_groups > 1
        pd.testing.assert_frame_equal(pd.read_parquet(parts.samples), pd.read_parquet(whole.samples))

    def test_a_source_that_grows_while_it_is_read_is_told(
        self, tmp_path: Path, text_rows: Make, monkeypatch: pytest.MonkeyPatch, pipeline: Make
    ) -> None:
        rows = text_rows(20)

        def batches(wanted: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
            known = rows[:-1] if "text" in wanted else rows
            yield {column: [row[column] for row in known] for column in wanted}

        manifest = Manifest("m", "m.csv", str(tmp_path), tuple(rows[0]), batches)
        monkeypatch.setattr("components.data.ingest.open_manifest", lambda *arguments: manifest)
        with pytest.raises(DataError, match=r"m: changed while it was read \(20 rows, then 19\)"):
            ingest(pipeline("m.csv", NOTE), tmp_path / "out", tmp_path)


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "target"), [("avdigits", "label"), ("emoji", "group")])
def test_the_development_sets_pass(tmp_path: Path, pipeline: Make, name: str, target: str) -> None:
    source = Path(__file__).parents[4] / "shared/data" / name / "manifest.csv"
    if not source.exists():
        pytest.skip(f"{source} is not there: the development data sets lie beside the checkout")
    dataset = ingest(pipeline(source, IMAGE, target={"column": target}), tmp_path / "out", tmp_path)
    assert dataset.quarantined == 0
