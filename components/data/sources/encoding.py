"""Encoding of a text file: by its mark, by the rules of UTF-8, else by the alphabet that it would show."""

import codecs
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from typing import IO

from charset_normalizer import from_bytes

from components.data.files.location import filename
from components.data.sources.packed import UNREADABLE, bounded_lines, open_unpacked
from components.errors import DataError

_BLOCK = 2**20  # bytes
_SAMPLE = 2**16  # bytes of lines with other letters than ASCII
_MARKS = (  # the longer first, as one of UTF-32 begins like one of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LANGUAGES: tuple[tuple[str, tuple[str, ...]], ...] = (  # the likelier first, for texts that fit several
    ("western", ("äöüß", "åäöæøé", "àâæçéèêëîïôœùûüÿ", "áéíñóúüªº", "ãáàâçéêíóôõúü", "àèéìíòóùî")),
    ("central", ("ąćęłńóśźż", "áäčďéěíĺľňóôŕřšťúůýž", "áéíóöőúüű", "ăâîşţ", "čćđšž")),
    ("turkish", ("çğıöşüâîû\u0307",)),
    ("icelandic", ("áæéíðóöúýþ",)),
    ("baltic", ("ąčęėįšųūž", "āčēģīķļņšūž")),
    ("cyrillic", ("абвгдежзийклмнопрстуфхцчшщъыьэюяёєіїґ",)),
    ("greek", ("αβγδεζηθικλμνξοπρστυφχψωςάέήίόύώϊϋΐΰ",)),
    ("hebrew", ("אבגדהוזחטיךכלםמןנסעףפץצקרשת",)),
    ("arabic", ("".join(map(chr, range(0x621, 0x653))) + "پچژگ",)),
)
_ENCODINGS: tuple[tuple[str, str], ...] = (
    ("western", "cp1252"), ("central", "cp1250"), ("central", "iso8859_2"), ("turkish", "cp1254"),
    ("icelandic", "cp1252"), ("baltic", "cp1257"), ("cyrillic", "cp1251"), ("cyrillic", "koi8_r"),
    ("cyrillic", "cp866"), ("greek", "cp1253"), ("hebrew", "cp1255"), ("arabic", "cp1256"),
    ("western", "cp850"), ("central", "cp852"), ("western", "mac_roman"),
)  # fmt: skip
_OF_SEVERAL_BYTES = ["cp932", "euc_jp", "gb18030", "big5", "cp949", "cp874"]
_SIGNS = frozenset("€£§©®°±²³µ·×«»–—‘’“”„…™½¼¿¡\xa0")
_WORD = re.compile(r"[^\W\d_]+")
_SHOWN = 80  # bytes behind a wrong one
_SURE = 0.9  # share of the letters that must belong to one alphabet


@dataclass(frozen=True)
class Encoding:
    """Encoding of a file.

    Attributes:
        name: Name as Python's codecs have it.
        findings: Sentence that says what was guessed; none where the file itself shows its encoding.
    """

    name: str
    findings: tuple[str, ...] = ()


def encoding_of(path: str, wanted: str) -> Encoding:
    """Find the encoding of a text file, which is read once, in blocks.

    A byte order mark decides. Else the text is UTF-16 if every other byte is zero, and UTF-8 if all of it is
    valid. Otherwise it is in the older encoding in which its letters belong to the alphabet of one language.

    Args:
        path: Path or URL; the file may be compressed.
        wanted: Name of the encoding, or ``auto``.

    Raises:
        DataError: If the file cannot be read, is UTF-8 except for some bytes, or fits no encoding.
    """
    if wanted != "auto":
        return Encoding("utf-8-sig" if codecs.lookup(wanted).name == "utf-8" else wanted)
    name = filename(path)
    try:
        with open_unpacked(path) as file:
            head = file.read(_BLOCK)
            for mark, encoding in _MARKS:
                if head.startswith(mark):
                    return Encoding(encoding)
            if by_zeros := _encoding_by_zeros(head):
                return Encoding(by_zeros, (f"{name} is read as {by_zeros} text, as its zeros show",))
            sample = _other_lines(head, file)
    except UNREADABLE as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    return Encoding("utf-8") if sample is None else _older(sample, name)


def _encoding_by_zeros(head: bytes) -> str | None:
    """Return UTF-16 of the byte order in which half of the bytes are zero; None where few are."""
    head = head[: len(head) // 2 * 2]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) < 0.4 * len(head) / 2 or min(even, odd) > 0.05 * len(head) / 2:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _other_lines(head: bytes, file: IO[bytes]) -> bytes | None:
    """Read on and return lines with bytes beyond ASCII; None where all of the file is UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    sample, is_utf_8, block = bytearray(), True, head
    while block:
        if is_utf_8:
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                is_utf_8 = False
                start = error.object.rfind(b"\n", 0, error.start) + 1
                sample[:0] = error.object[start : error.end + _SHOWN].split(b"\n")[0] + b"\n"
        if len(sample) < _SAMPLE and not block.isascii():
            for line in block.splitlines(keepends=True):
                if not line.isascii() and len(sample) < _SAMPLE:
                    sample += line[:_SAMPLE]
        if not is_utf_8 and len(sample) >= _SAMPLE:
            break
        block = file.read(_BLOCK)
    try:
        decoder.decode(b"", final=is_utf_8)
    except UnicodeDecodeError:
        is_utf_8 = False
    return None if is_utf_8 else bytes(sample)


def _older(sample: bytes, name: str) -> Encoding:
    """Choose an encoding from before Unicode by lines of a file; see :func:`encoding_of` for the errors."""
    text = sample.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    if sum(not letter.isascii() for letter in text) > 2 * damaged:
        line = next((line for line in text.splitlines() if "\ufffd" in line), "the end")
        raise DataError(
            f"data.encoding: {name} is UTF-8 text, except in places such as {line.strip()[:80]!r}. "
            "Correct them, or name its encoding"
        )
    languages = dict(_LANGUAGES)
    fits = [(_fit(sample, encoding, languages[group]), encoding) for group, encoding in _ENCODINGS]
    fit, best = max(fits, key=itemgetter(0))  # the first of equals
    if fit < _SURE:
        match = from_bytes(sample, cp_isolation=_OF_SEVERAL_BYTES).best()
        if match is None:
            raise DataError(
                f"data.encoding: {name} is not UTF-8 text, and in no other encoding that braid recognises. "
                f"Name its encoding, or save it as UTF-8: iconv -f ENCODING -t UTF-8 {name}"
            )
        best = match.encoding
    words = dict.fromkeys(
        word for word in _WORD.findall(sample.decode(best, "replace")) if not word.isascii()
    )
    shown = f", in which it has words such as {', '.join(list(words)[:5])}" if words else ""
    return Encoding(best, (f"{name} is not UTF-8 and is read as {best} text{shown} (data.encoding)",))


def _fit(sample: bytes, encoding: str, alphabets: Sequence[str]) -> float:
    """Return the largest share of characters beyond ASCII that one alphabet explains, 0 to 1."""
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    others = sum(not letter.isascii() for letter in text)
    signs = sum(text.count(sign) for sign in _SIGNS)
    # A sign within a word is none, except for an apostrophe.
    signs -= len(re.findall(rf"(?<=[a-z])[{''.join(_SIGNS - {'’'})}](?=[a-z])", text))
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    return max((signs + _explained(words, frozenset(letters))) / others for letters in alphabets)


def _explained(words: list[str], alphabet: frozenset[str]) -> int:
    """Count letters beyond ASCII in words of a language: Latin letters beside ASCII, others never."""
    latin = min(alphabet) < "\u0300"
    count = 0
    for word in words:
        ascii_letters = sum(letter.isascii() for letter in word)
        if (ascii_letters or len(word) < 3) if latin else not ascii_letters:
            lower = word.lower()
            swapped = any(a.islower() and b.isupper() for a, b in pairwise(word))
            count += 0 if swapped else sum(letter in alphabet for letter in lower if not letter.isascii())
    return count


@contextmanager
def open_lines(path: str, encoding: str, newline: str) -> Iterator[Iterator[str]]:
    """Open a text file, possibly compressed, and give its lines.

    Args:
        path: Path or URL.
        encoding: Name of the encoding.
        newline: Character that ends a line, or empty for any.

    Raises:
        DataError: If the file cannot be read, or its bytes are not in the encoding.
    """
    name = filename(path)
    try:
        with open_unpacked(path) as file:
            yield bounded_lines(io.TextIOWrapper(file, encoding, newline=newline), name)
    except UnicodeDecodeError as error:
        byte = error.object[error.start : error.start + 1].hex()
        raise DataError(
            f"data.encoding: {name} is not {encoding} text (byte 0x{byte}: {error.reason}). Name its "
            f"encoding, or save it as UTF-8: iconv -f ENCODING -t UTF-8 {name}"
        ) from error
    except UnicodeError as error:
        raise DataError(f"data.encoding: {name} is not {encoding} text ({error})") from error
    except UNREADABLE as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
