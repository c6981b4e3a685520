"""Lengths that audio files promise in their headers, and headers in which a streamed writer left none."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MORE = 1.1  # share of the declared bytes; tags at the end of an MP3 are smaller than a tenth
_UNKNOWN = 0x7FFF0000  # bytes; streamed writers declare this, or a little more, of which a file has none
_FIRST_PAGE, _LAST_PAGE = 2, 4  # kinds of Ogg pages, as bits
_W64 = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # end of the names of chunks


@dataclass(frozen=True)
class _Layout:
    """Container of chunks.

    Attributes:
        magic: First bytes.
        form: Bytes at ``form_at``, which tell audio from other contents.
        first: Offset of the first chunk.
        header: Format of a chunk's name and length.
        name: Name of the chunk with the samples.
        align: Chunks begin at multiples of so many bytes.
        own: Bytes of a chunk's header that its length counts.
    """

    magic: bytes
    form: bytes
    first: int
    header: str
    name: bytes
    align: int = 2
    form_at: int = 8
    own: int = 0


_LAYOUTS = (
    _Layout(b"RIFF", b"WAVE", 12, "<4sI", b"data"),
    _Layout(b"RIFX", b"WAVE", 12, ">4sI", b"data"),
    _Layout(b"RF64", b"WAVE", 12, "<4sI", b"data"),
    _Layout(b"FORM", b"AIFF", 12, ">4sI", b"SSND"),
    _Layout(b"FORM", b"AIFC", 12, ">4sI", b"SSND"),
    _Layout(b"FORM", b"8SVX", 12, ">4sI", b"BODY"),
    _Layout(b"FORM", b"16SV", 12, ">4sI", b"BODY"),
    _Layout(b"caff", b"", 8, ">4sq", b"data", align=1),
    _Layout(b"riff", b"wave" + _W64, 40, "<16sq", b"data" + _W64, align=8, form_at=24, own=24),
)


@dataclass(frozen=True)
class AudioData:
    """Part of a file that holds the samples.

    Attributes:
        start: Offset of its first byte.
        length: Bytes that the header promises; None where it leaves them open.
        fields: Offset and format of each field for the length, and what the field counts besides.
    """

    start: int
    length: int | None
    fields: tuple[tuple[int, str, int], ...] = ()


def audio_data(data: bytes) -> AudioData | None:
    """Find the samples in a file whose header promises a length in bytes; None in files of other kinds."""
    if data[:4] in (b".snd", b"dns."):
        order = ">" if data[:4] == b".snd" else "<"
        start, length = struct.unpack_from(f"{order}II", data.ljust(12, b"\0"), 4)
        return AudioData(start, _known(length), ((8, f"{order}I", 0),))
    if data[:8] == b"NIST_1A\n":
        return _nist(data)
    if data[:4] == b"OggS":
        return AudioData(0, max(_pages(data), default=(0, 0))[0])
    if is_mp3(data):
        return AudioData(_after_tag(data), _counted_bytes(data))
    for layout in _LAYOUTS:
        form = data[layout.form_at : layout.form_at + len(layout.form)]
        if data.startswith(layout.magic) and form == layout.form:
            return _chunk(data, layout)
    return None


def cut_short(data: bytes) -> str | None:
    """Say how much of the promised bytes a file has, if not all; libsndfile would not complain."""
    part = audio_data(data)
    if part is None or part.length is None or part.start + part.length <= len(data):
        return None
    return f"{max(0, len(data) - part.start)} of {part.length} bytes"


def with_length(data: bytes) -> bytes:
    """Return the file with the length of its samples in the header, where its writer could not know it."""
    part = audio_data(data)
    if part is None or part.length is not None or not part.fields:
        return data
    changed = bytearray(data)
    for offset, layout, more in part.fields:
        struct.pack_into(layout, changed, offset, len(data) - part.start + more)
    return bytes(changed)


def is_mp3(data: bytes) -> bool:
    """Return True if the bytes begin like an MP3: an ID3 tag or not, then the header of a layer 3 frame."""
    start = _after_tag(data)
    return len(data) > start + 1 and data[start] == 0xFF and data[start + 1] & 0xE6 == 0xE2


def tells_length(mp3: bytes) -> bool:
    """Return True if an MP3 declares its whole length; else a decoder may only guess it."""
    return _length_frame(mp3) is not None and without_short_length(mp3) is mp3


def without_short_length(mp3: bytes) -> bytes:
    """Return the MP3 without its Xing header if that counts fewer bytes than follow, as in joined files.

    A decoder would stop at the length in the header.
    """
    position, counted = _length_frame(mp3), _counted_bytes(mp3)
    if position is None or counted is None or len(mp3) - _after_tag(mp3) <= _MORE * counted:
        return mp3
    return mp3[:position] + bytes(4) + mp3[position + 4 :]


def is_joined(data: bytes) -> bool:
    """Return True if an Ogg file holds one recording after another."""
    ended = False
    for _, kind in _pages(data):
        if ended and kind & _FIRST_PAGE:
            return True
        ended = ended or bool(kind & _LAST_PAGE)
    return False


def _chunk(data: bytes, layout: _Layout) -> AudioData | None:
    """Find the samples in a container of chunks."""
    size = struct.calcsize(layout.header)
    offset = layout.first
    while offset + size <= len(data):
        name, length = struct.unpack_from(layout.header, data, offset)
        if name == layout.name:
            break
        if length < layout.own:
            return None
        offset = _next(offset, length, layout)
    else:
        return None
    start, number = offset + size, layout.header[0] + layout.header[-1]
    fields: tuple[tuple[int, str, int], ...] = ((start - struct.calcsize(number), number, layout.own),)
    if layout.magic == b"RF64":  # the chunk ds64 has the lengths of the file and of the samples
        (length,) = struct.unpack_from("<q", data, 28)
        fields = ((20, "<q", start - 8), (28, "<q", 0))
    elif layout.magic == b"riff":
        fields = (*fields, (16, number, start))
    known = _known(length - layout.own)
    if known is None and _is_empty(data, start, layout):
        known = 0
    return AudioData(start, known, fields)


def _known(length: int) -> int | None:
    """Return a declared length; None where it stands for unknown, as in a file that was written to a pipe."""
    return length if 0 < length < _UNKNOWN else None


def _is_empty(data: bytes, offset: int, layout: _Layout) -> bool:
    """Return True if nothing but chunks follows: a length of 0 is then what it says."""
    size = struct.calcsize(layout.header)
    while offset + size <= len(data):
        name, length = struct.unpack_from(layout.header, data, offset)
        if not name[:4].isascii() or not name[:4].decode().isprintable() or length < layout.own:
            return False
        offset = _next(offset, length, layout)
    return offset == len(data)


def _next(offset: int, length: int, layout: _Layout) -> int:
    end = offset + struct.calcsize(layout.header) + length - layout.own
    return end + -end % layout.align


def _nist(data: bytes) -> AudioData | None:
    """Find the samples in a NIST SPHERE file, whose header is lines of text: name, type, value."""
    try:
        start = int(data[8:16])
        lines = (line.split(None, 2) for line in data[16:start].decode("latin-1").splitlines())
        values = {words[0]: words[2] for words in lines if len(words) == 3 and words[1] == "-i"}
        samples = int(values["sample_count"]) * int(values.get("channel_count", 1))
        return AudioData(start, samples * int(values["sample_n_bytes"]))
    except (KeyError, ValueError):
        return None


def _pages(ogg: bytes) -> Iterator[tuple[int, int]]:
    """Give the offset behind each page of an Ogg file, as its header has it, and its kind."""
    offset = 0
    while (header := ogg[offset : offset + 27])[:4] == b"OggS":
        header = header.ljust(27, b"\1")  # a cut header promises more than there is
        offset += 27 + header[26] + sum(ogg[offset + 27 : offset + 27 + header[26]])
        yield offset, header[5]


def _counted_bytes(mp3: bytes) -> int | None:
    """Return the number of bytes that an MP3's Xing header counts; None if it counts none."""
    position = _length_frame(mp3)
    if position is None:
        return None
    (flags,) = struct.unpack_from(">I", mp3.ljust(position + 16, b"\0"), position + 4)
    offset = position + 8 + 4 * (flags & 1)  # behind the number of frames, if the header has it
    if not flags & 2 or offset + 4 > len(mp3):
        return None
    return int.from_bytes(mp3[offset : offset + 4], "big")


def _length_frame(mp3: bytes) -> int | None:
    """Return the offset of the Xing header, which holds an MP3's length; None if there is none."""
    start = _after_tag(mp3)
    offsets = (mp3.find(name, start, start + 512) for name in (b"Xing", b"Info"))
    return next((offset for offset in offsets if offset >= 0), None)


def _after_tag(data: bytes) -> int:
    """Return the offset behind an ID3 tag and the zeros that some writers put behind it."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    a, b, c, d = data[6:10]  # ID3 stores seven bits per byte
    start = 10 + (a << 21 | b << 14 | c << 7 | d)
    while start < len(data) and data[start] == 0:
        start += 1
    return start
