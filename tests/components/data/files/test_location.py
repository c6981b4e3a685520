"""Files are found under every name that a directory listing shows, and through links into stores."""

from __future__ import annotations

import functools
import http.server
import threading
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pandas as pd
import pytest

from components.data.files.location import local_path, other_case, read_bytes, resolve, spelled
from components.data.files.stores import store_roots
from components.references import Dataset

Run = Callable[..., Dataset]
Photos = Callable[..., Path]
Form = Literal["NFC", "NFD"]
PHOTO = {"photo": {"modality": "image", "columns": "photo"}}
NAMES = (
    "plain.png", "Müller 0.png", "Façade 1.png", "한국어.png", "Ångström/Çà.png", "a#1.png", "what?.png",
    "50%.png", "a%20b.png", "a b.png", " blank.png", "semi;colon.png", "back\\slash.png", "plus+and&.png",
    "quote'\".png", "emoji 😀.png", "tab\tin.png", "[brackets] {x}.png", "~tilde.png", "c:.png",
    "dots..png", "$HOME.png",
)  # fmt: skip
FORMS: tuple[Form, ...] = ("NFC", "NFD")


@pytest.fixture
def photos(picture: Callable[..., Path], manifest: Callable[..., Path]) -> Photos:
    """Writes a manifest of photos whose names are in one form on the disk and in another in the table."""

    def write(folder: Path, disk: Form = "NFC", table: Form = "NFC") -> Path:
        rows = []
        for row, name in enumerate(NAMES):
            picture(folder / "pics" / unicodedata.normalize(disk, name), row)
            split = "train" if row % 5 else "val" if row % 2 else "test"
            photo = f"pics/{unicodedata.normalize(table, name)}"
            rows.append({"id": row, "photo": photo, "label": "ab"[row // 2 % 2], "split": split})
        return manifest(folder / "rows.csv", rows)

    return write


@pytest.mark.parametrize("table", FORMS)
@pytest.mark.parametrize("disk", FORMS)
def test_every_name_is_found_in_either_form_of_its_letters(
    tmp_path: Path,
    run: Run,
    photos: Photos,
    disk: Form,
    table: Form,
) -> None:
    dataset = run(photos(tmp_path, disk, table), PHOTO, max_bad=0.9)
    assert pd.read_parquet(dataset.quarantine).empty
    assert dataset.rows == len(NAMES)


def test_the_manifest_and_its_folder_are_found_too(
    tmp_path: Path,
    run: Run,
    photos: Photos,
) -> None:
    folder = tmp_path / unicodedata.normalize("NFD", "Größe #1 100%")
    folder.mkdir()
    source = photos(folder)
    assert run(unicodedata.normalize("NFC", str(source)), PHOTO).rows == len(NAMES)
    assert run(f"file://{quote(str(source))}", PHOTO).rows == len(NAMES)
    assert run(f"file://{source}", PHOTO).rows == len(NAMES)


def test_two_files_whose_names_differ_in_form_alone_are_told_apart(tmp_path: Path) -> None:
    for form in FORMS:
        (tmp_path / unicodedata.normalize(form, "é.txt")).write_text(form)
    for form in FORMS:
        assert read_bytes(resolve(str(tmp_path), unicodedata.normalize(form, "é.txt"))) == form.encode()


def test_a_file_that_appears_later_is_found_in_the_other_form(tmp_path: Path) -> None:
    composed = str(tmp_path / "é.txt")
    assert spelled(composed) == composed
    (tmp_path / unicodedata.normalize("NFD", "é.txt")).touch()
    assert spelled(composed) == str(tmp_path / unicodedata.normalize("NFD", "é.txt"))


def test_a_name_in_the_wrong_case_is_told(
    tmp_path: Path,
    run: Run,
    photos: Photos,
    picture: Callable[..., Path],
) -> None:
    picture(tmp_path / "Pics" / "Straße 1.JPG")
    assert other_case(str(tmp_path / "pics" / "straße 1.jpg")) == "Pics/Straße 1.JPG"
    assert other_case(str(tmp_path / "Pics" / "STRASSE 1.JPG")) == "Straße 1.JPG"
    assert other_case(str(tmp_path / "Pics" / "other.jpg")) is None
    source = photos(tmp_path)
    table = pd.read_csv(source)
    table.loc[0, "photo"] = "pics/PLAIN.png"
    table.to_csv(source, index=False)
    dataset = run(source, PHOTO, max_bad=0.5)
    reasons = pd.read_parquet(dataset.quarantine)["reason"].tolist()
    assert reasons == ["no such file (did you mean 'plain.png'?)"]
    assert run(source, PHOTO, allow_missing_files=True, max_bad=0.5).missing == {"photo": 0}


@pytest.mark.parametrize("path", ["/d/a%20b%23.png", "/d/a b#.png", "localhost/d/a b#.png"])
def test_a_file_uri_may_be_encoded_or_not(path: str) -> None:
    assert local_path(f"file://{path}") == "/d/a b#.png"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and logs nothing."""

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a server of the folder ``tmp_path``."""
    monkeypatch.setenv("BRAID_URL_SCHEMES", "http")
    monkeypatch.setenv("BRAID_URL_PRIVATE", "1")
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("name", ["a#1.png", "what?.png", "50%.png", "a b.png", "é.png", "a+b&c=d;e.png"])
def test_a_name_beside_a_manifest_on_the_web_is_part_of_its_url(tmp_path: Path, web: str, name: str) -> None:
    (tmp_path / name).write_bytes(b"content")
    assert read_bytes(resolve(web, name)) == b"content"
    assert read_bytes(resolve(web, quote(name))) == b"content"
    if "?" not in name and "%" not in name:
        assert read_bytes(f"{web}/{name}") == b"content"


class TestStores:
    """Data sets of which the manifest or the media are links into a store."""

    def test_the_hubs_cache(
        self,
        tmp_path: Path,
        run: Run,
        photos: Photos,
    ) -> None:
        repository, first = tmp_path / "repo", tmp_path / "first"
        first.mkdir()
        source = photos(first)
        for number, file in enumerate([each for each in sorted(first.rglob("*")) if each.is_file()]):
            link, blob = repository / "snapshots" / "0a1b" / file.relative_to(first), f"{number:040x}"
            link.parent.mkdir(parents=True, exist_ok=True)
            (repository / "blobs").mkdir(exist_ok=True)
            file.rename(repository / "blobs" / blob)
            link.symlink_to("../" * (len(link.relative_to(repository).parts) - 1) + f"blobs/{blob}")
        assert run(repository / "snapshots" / "0a1b" / source.name, PHOTO).quarantined == 0

    @pytest.mark.parametrize("store", [".dvc/cache/files/md5", ".git/annex/objects"])
    @pytest.mark.parametrize("linked", ["media", "manifest and media"])
    def test_a_store_of_the_repository(
        self, tmp_path: Path, run: Run, photos: Photos, store: str, linked: str
    ) -> None:  # fmt: skip
        source = photos(tmp_path)
        files = [*tmp_path.rglob("*.png"), *([source] if "manifest" in linked else [])]
        self.move(files, tmp_path / store)
        assert run(source, PHOTO).quarantined == 0

    def test_a_store_elsewhere_that_the_manifest_itself_leads_to(
        self,
        tmp_path: Path,
        run: Run,
        photos: Photos,
    ) -> None:
        (tmp_path / "data").mkdir()
        source = photos(tmp_path / "data")
        self.move([*tmp_path.rglob("*.png"), source], tmp_path / "shared" / "cache")
        assert run(source, PHOTO).quarantined == 0

    def test_a_folder_that_is_a_link(
        self,
        tmp_path: Path,
        run: Run,
        photos: Photos,
    ) -> None:
        (tmp_path / "real").mkdir()
        photos(tmp_path / "real")
        (tmp_path / "data").symlink_to("real")
        dataset = run(tmp_path / "data" / "rows.csv", PHOTO)
        assert dataset.quarantined == 0
        assert dataset.source == str(tmp_path / "data" / "rows.csv"), "as the user wrote it"

    def test_a_link_to_elsewhere_stays_refused(
        self,
        tmp_path: Path,
        run: Run,
        photos: Photos,
        picture: Callable[..., Path],
    ) -> None:
        secret = picture(tmp_path / "secret" / "0.png")
        (tmp_path / "data").mkdir()
        source = photos(tmp_path / "data")
        (tmp_path / "data" / "pics" / "plain.png").unlink()
        (tmp_path / "data" / "pics" / "plain.png").symlink_to(secret)
        accented = tmp_path / "data" / "pics" / unicodedata.normalize("NFC", "Müller 0.png")
        accented.unlink()
        accented.with_name(unicodedata.normalize("NFD", accented.name)).symlink_to(secret)
        dataset = run(source, PHOTO, max_bad=0.5)
        assert pd.read_parquet(dataset.quarantine)["row"].tolist() == [0, 1]

    @pytest.mark.parametrize("store", [".dvc/cache", ".git/annex/objects", "../../blobs"])
    def test_a_store_that_is_a_link_itself_does_not_count(self, tmp_path: Path, store: str) -> None:
        data, secret = tmp_path / "snapshots" / "data", tmp_path / "secret"
        data.mkdir(parents=True)
        (secret / "objects").mkdir(parents=True)
        link = data / store
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(secret)
        assert store_roots(data / "rows.csv") == ()

    def move(self, files: list[Path], store: Path) -> None:
        """Move files to places by content, and leave links."""
        for number, file in enumerate(files):
            blob = store / f"{number:02x}" / f"{number:030x}"
            blob.parent.mkdir(parents=True)
            file.rename(blob)
            file.symlink_to(blob)
