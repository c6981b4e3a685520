"""Encoding of a text file: by its mark, by the rules of UTF-8, else by the language that it would show."""

import codecs
import io
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from components.data.files.location import filename
from components.data.sources.letters import WORD, models
from components.data.sources.packed import UNREADABLE, bounded_lines, open_unpacked
from components.errors import DataError

_BLOCK = 2**20  # bytes
_SAMPLE = 2**14  # bytes of lines with other letters than ASCII
_MARKS = (  # the longer first, as one of UTF-32 begins like one of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ENCODINGS: tuple[tuple[str, str, float], ...] = (  # of likely ones, and how much less likely than the first
    ("western", "cp1252", 0.0), ("western", "mac_roman", 4.0), ("western", "cp850", 3.0),
    ("icelandic", "cp1252", 1.0), ("central", "cp1250", 1.5), ("central", "iso8859_2", 2.5),
    ("central", "cp852", 4.0), ("turkish", "cp1254", 1.0), ("baltic", "cp1257", 2.0),
    ("vietnamese", "cp1258", 3.0), ("cyrillic", "cp1251", 0.5), ("cyrillic", "koi8_r", 1.5),
    ("cyrillic", "koi8_u", 2.0), ("cyrillic", "cp866", 1.5), ("cyrillic", "iso8859_5", 3.0),
    ("cyrillic", "mac_cyrillic", 4.0), ("greek", "cp1253", 0.5), ("greek", "iso8859_7", 1.5),
    ("hebrew", "cp1255", 0.5), ("hebrew", "iso8859_8", 1.5), ("arabic", "cp1256", 0.5),
    ("arabic", "iso8859_6", 2.0), ("thai", "cp874", 1.0), ("simplified", "gb18030", 0.5),
    ("traditional", "big5", 1.0), ("japanese", "cp932", 0.5), ("japanese", "euc_jp", 2.0),
    ("korean", "cp949", 0.5),
)  # fmt: skip
_SHOWN = 80  # bytes behind a wrong one
_LEAST = -6.0  # mean logarithm of the chances of a byte beyond ASCII, below which it is no text
_ASCII = -3.0  # logarithm of the chances of an ASCII character
_SURE = 1.0  # by how much the logarithm of a text's chances must be ahead of the next text's
_ESCAPES = (b"\x1b$B", b"\x1b$@")  # of Japanese in seven bits


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

    A byte order mark decides. Else the text is UTF-16 or UTF-32 if zeros show it, and UTF-8 if all of it is
    valid. Otherwise it is in the older encoding in which its letters are likeliest to be words of one
    language; where two texts are about equally likely, none is chosen.

    Args:
        path: Path or URL; the file may be compressed.
        wanted: Name of the encoding, or ``auto``.

    Raises:
        DataError: If the file cannot be read, is UTF-8 except for some bytes, or fits no encoding or several.
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
    if sample is not None:
        return _older(sample, name)
    if any(escape in head for escape in _ESCAPES):
        return Encoding("iso2022_jp", (f"{name} is read as iso2022_jp text, as its escapes show",))
    return Encoding("utf-8")


def _encoding_by_zeros(head: bytes) -> str | None:
    """Return the UTF-16 or UTF-32 that the zeros of its ASCII characters show; None where they show none."""
    zeros, lines = head.count(0), head.count(b"\n")
    if not zeros or zeros < lines:
        return None
    for encoding in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(head)
        except UnicodeDecodeError:
            continue
        # In the wrong order of bytes, the first 256 characters, of one zero each, become others.
        explained = encoding.startswith("utf-32") or sum(c < "\u0100" for c in text) >= 0.9 * zeros
        if explained and "\0" not in text and text.count("\n") >= 0.5 * lines:
            return encoding
    return None


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
            lines = block.splitlines(keepends=True)
            # A block begins and ends within a line, perhaps within a letter.
            for line in lines[block is not head : -1 if len(block) == _BLOCK else None]:
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
    chances: dict[str, tuple[float, str]] = {}  # by text, as many encodings give the same
    for group, encoding, behind in _ENCODINGS:
        try:
            text = unicodedata.normalize("NFC", codecs.getincrementaldecoder(encoding)().decode(sample))
        except UnicodeDecodeError:
            continue
        ascii_letters = sum(map(str.isascii, text))  # fewer where they are halves of others
        chance = max(model(text) for model in models(group)) - behind + _ASCII * ascii_letters
        if text not in chances or chance > chances[text][0]:
            chances[text] = chance, encoding
    others = sum(byte > 127 for byte in sample)
    least = _LEAST * others + _ASCII * (len(sample) - others)
    ranked = sorted(chances.items(), key=lambda item: -item[1][0])
    if not ranked or ranked[0][1][0] < least:
        raise DataError(
            f"data.encoding: {name} is not UTF-8 text, and in no other encoding that braid recognises. "
            f"Name its encoding, or save it as UTF-8: iconv -f ENCODING -t UTF-8 {name}"
        )
    (text, (chance, best)), *rest = ranked
    if rest and chance - rest[0][1][0] < _SURE:
        other, (_, second) = rest[0]
        raise DataError(
            f"data.encoding: {name} is not UTF-8 text, and too short to tell its encoding: its letters may "
            f"be {_words_of(text)} ({best}) or {_words_of(other)} ({second}). Name its encoding, or save it "
            f"as UTF-8: iconv -f {best} -t UTF-8 {name}"
        )
    words = f", in which it has words such as {_words_of(text)}" if _words_of(text) else ""
    return Encoding(best, (f"{name} is not UTF-8 and is read as {best} text{words} (data.encoding)",))


def _words_of(text: str) -> str:
    """List the first words with letters beyond ASCII, for people."""
    words = dict.fromkeys(word for word in WORD.findall(text) if not word.isascii())
    return ", ".join([*words][:5])


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
