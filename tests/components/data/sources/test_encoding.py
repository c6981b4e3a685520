"""A text file is read in the encoding that it was written in, or refused; a guess is told."""

from pathlib import Path

import pytest

from components.config.data import DataConfig
from components.data.sources.delimited import open_delimited
from components.data.sources.encoding import encoding_of
from components.data.sources.json_lines import open_jsonl
from components.errors import DataError

TEXTS = {
    "German": ("Köln\nMünchen\nGießen\n", ["cp1252", "latin-1", "cp850", "mac_roman"]),
    "one letter": ("Smith\nMüller\n", ["cp1252"]),
    "French": ("Orléans\nSète\nBesançon\nNîmes\n", ["cp1252", "cp850", "mac_roman"]),
    "Spanish": ("Peña\n¿Qué?\nmañana\n", ["cp1252"]),
    "Swedish": ("Malmö\nÅre\nsmörgåsbord\n", ["cp1252"]),
    "signs": ("3 € pro Stück\n“so” – 12 °C\n±5 µm\n", ["cp1252"]),
    "Icelandic": ("Ísland\nþetta\nÝmir\n", ["cp1252"]),
    "Polish": ("Łódź\nKraków\nGdańsk\nCzęstochowa\n", ["cp1250", "iso8859_2", "cp852"]),
    "Czech": ("příliš žluťoučký kůň\núpěl ďábelské ódy\n", ["cp1250", "iso8859_2"]),
    "Turkish": ("İstanbul\nMuğla\nEskişehir\n", ["cp1254"]),
    "Russian": ("Москва\nСанкт-Петербург\nхороший товар\n", ["cp1251", "koi8_r", "cp866"]),
    "Russian, capitals": ("МОСКВА\nОМСК\nХОРОШИЙ ТОВАР\n", ["cp1251", "koi8_r", "cp866", "iso8859_5"]),
    "Ukrainian": ("Київ\nЛьвів\nїжак\nґанок\n", ["cp1251", "koi8_u"]),
    "Greek": ("Αθήνα\nΘεσσαλονίκη\n", ["cp1253", "iso8859_7"]),
    "Greek, two words": ("ναι\nόχι\n", ["cp1253"]),
    "Hebrew": ("תל אביב\nירושלים\nחיפה\nהמוצר הזה טוב מאוד\n", ["cp1255", "iso8859_8"]),
    "Hebrew, short words": ("שלום\nעולם\nכן\nלא\n", ["cp1255"]),
    "Arabic": ("القاهرة\nدمشق كبيرة\n", ["cp1256", "iso8859_6"]),
    "Persian": ("تهران\nکتاب خوب\nپنجره\n", ["cp1256"]),
    "Thai": ("กรุงเทพมหานคร\nเชียงใหม่\n", ["cp874"]),
    "Thai, two words": ("ดี\nไม่ดี\n", ["cp874"]),
    "Hungarian": ("Győr\nSzékesfehérvár\nnagyon jó\n", ["cp1250"]),
    "Latvian": ("Rīga\nJūrmala\nļoti labi\n", ["cp1257"]),
    "Japanese": ("東京です\n大阪へ行きました\nカタカナ\n", ["cp932", "euc_jp", "iso2022_jp"]),
    "Japanese cities": ("東京\n大阪\n京都\n", ["cp932", "euc_jp"]),
    "Chinese": ("北京很大\n上海\n这个东西非常好用\n", ["gb18030"]),
    "traditional Chinese": ("臺北\n這個東西非常好用\n", ["big5"]),
    "Korean": ("서울특별시\n부산 사람\n", ["cp949"]),
}


@pytest.mark.parametrize(
    ("text", "encoding"), [(text, each) for text, encodings in TEXTS.values() for each in encodings]
)
def test_older_encodings_are_recognised_and_told(tmp_path: Path, text: str, encoding: str) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes(f"place\n{text}".encode(encoding))
    manifest = open_delimited(str(table), ",")
    (batch,) = manifest.batches(["place"])
    assert batch["place"] == text.splitlines()
    (finding,) = manifest.findings
    if encoding == "iso2022_jp":
        assert finding == "t.csv is read as iso2022_jp text, as its escapes show"
    else:
        assert finding.startswith("t.csv is not UTF-8 and is read as ")
        assert "data.encoding" in finding


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_decides_and_nothing_is_guessed(tmp_path: Path, encoding: str) -> None:
    lines = tmp_path / "t.jsonl"
    lines.write_bytes('{"place": "Łódź"}\n{"place": "北京"}\n'.encode(encoding))
    manifest = open_jsonl(str(lines))
    assert [batch["place"] for batch in manifest.batches(["place"])] == [["Łódź"], ["北京"]]
    assert manifest.findings == ()


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(
    "town", ["München", "Berlin", "Москва", "תל אביב", "北京很大", "東京です", "กรุงเทพ", "👍"]
)
def test_zeros_show_utf_16_and_utf_32_without_a_mark(tmp_path: Path, encoding: str, town: str) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes(f"place\n{town}\n".encode(encoding))
    manifest = open_delimited(str(table), ",")
    assert [batch["place"] for batch in manifest.batches(["place"])] == [[town]]
    assert manifest.findings == (f"t.csv is read as {encoding} text, as its zeros show",)


@pytest.mark.parametrize(
    ("cell", "encoding", "words"),
    [
        ("חיפה", "cp1255", "חיפה (cp1255)"),
        ("Müller", "mac_roman", "Müller (mac_roman) or Mčller (cp852)"),
    ],
)
def test_too_few_letters_are_refused_with_both_readings(
    tmp_path: Path, cell: str, encoding: str, words: str
) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes(f"place\n{cell}\n".encode(encoding))
    with pytest.raises(DataError, match="too short to tell its encoding") as error:
        encoding_of(str(table), "auto")
    assert words in str(error.value)
    assert encoding_of(str(table), encoding).name == encoding


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes(b"place\n" + bytes(range(128, 256)) * 20)
    with pytest.raises(DataError, match="in no other encoding that braid recognises"):
        encoding_of(str(table), "auto")


def test_utf_8_with_a_few_wrong_bytes_is_refused_with_its_place(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes("place\nKöln\nMünchen\nGießen\n".encode() + b"D\xfcren\n")
    with pytest.raises(DataError, match=r"t.csv is UTF-8 text, except in places such as 'D.ren'"):
        encoding_of(str(table), "auto")


def test_letters_far_down_are_found(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes(b"place\n" + b"Berlin\n" * 300_000 + "Köln\n".encode("cp1252"))
    assert encoding_of(str(table), "auto").name == "cp1252"


def test_a_wrong_encoding_is_named(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes("place\nKöln\n".encode("cp1252"))
    with pytest.raises(DataError, match=r"data.encoding: t.csv is not ascii text \(byte 0xf6"):
        list(open_delimited(str(table), ",", "ascii").batches(["place"]))
    with pytest.raises(ValueError, match="is no encoding that Python knows"):
        DataConfig(source="t.csv", encoding="windows")
