"""Audio that libsndfile does not decode, through the program ffmpeg where it is installed.

The program is started without a shell and with the demuxer named, so that no playlist is followed. It may
open nothing but the file that it is given, and has a bound in seconds and in bytes.
"""

import re
import shutil
import subprocess
from tempfile import NamedTemporaryFile

SECONDS = 120.0  # longest decoding
MOST_BYTES = 2**30  # of decoded audio: 50 minutes of stereo at 44.1 kHz
_KINDS = (  # first bytes and their offset, demuxer, name
    (b"ftyp", 4, "mov", "MP4 audio (m4a)"),
    (b"\x1a\x45\xdf\xa3", 0, "matroska", "WebM or Matroska"),
    (bytes.fromhex("3026b2758e66cf11"), 0, "asf", "WMA"),
    (b"#!AMR", 0, "amr", "AMR"),
    (b"ADIF", 0, "aac", "AAC"),
    (b"wvpk", 0, "wv", "WavPack"),
    (b"MAC ", 0, "ape", "Monkey's Audio"),
    (b"TTA1", 0, "tta", "True Audio"),
    (b"\x0b\x77", 0, "ac3", "AC-3"),
    (b"OggS", 0, "ogg", "Ogg that libsndfile does not decode"),
    (b"RIFF", 0, "wav", "WAV that libsndfile does not decode"),
    (b"caff", 0, "caf", "CAF that libsndfile does not decode"),
    (b"FORM", 0, "aiff", "AIFF that libsndfile does not decode"),
)
_DURATION = re.compile(r"Duration: (\d+):(\d+):(\d+\.\d+)")
_GUESSED = "Estimating duration"


class FfmpegError(ValueError):
    """ffmpeg is missing, or could not decode a file."""


def kind_of(data: bytes) -> tuple[str, str] | None:
    """Return ffmpeg's demuxer for an audio file, and the name of its kind; None for unknown kinds."""
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0:
        return "aac", "AAC"
    return next(
        ((demuxer, name) for magic, at, demuxer, name in _KINDS if data[at : at + len(magic)] == magic), None
    )


def decode(data: bytes, demuxer: str, name: str) -> tuple[bytes, float | None]:
    """Decode the first audio stream of a file.

    Returns:
        WAV of 32-bit floats at the stream's own rate, without a length; the length in seconds that the file
        declares, None where it declares none.

    Raises:
        FfmpegError: If ffmpeg is not installed, finds no audio or a fault, takes too long, or gives
            too many bytes.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        raise FfmpegError(
            f"{name}, which needs the program ffmpeg (install it, or convert the file to FLAC, WAV, OGG or "
            "MP3)"
        )
    with NamedTemporaryFile(prefix="braid-") as file:  # a pipe cannot be sought, which MP4 needs
        file.write(data)
        file.flush()
        options = ["-hide_banner", "-nostdin", "-threads", "1", "-xerror", "-err_detect", "explode"]
        source = ["-protocol_whitelist", "file", "-f", demuxer, "-i", f"file:{file.name}", "-map", "0:a:0"]
        result = ["-c:a", "pcm_f32le", "-fs", str(MOST_BYTES), "-f", "wav", "pipe:1"]
        try:
            done = subprocess.run(
                [program, *options, *source, *result], capture_output=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise FfmpegError(f"{name} that ffmpeg does not decode within {SECONDS:g} s") from error
    log = done.stderr.decode("utf-8", "replace")
    if "matches no streams" in log:
        raise FfmpegError(f"{name} without an audio stream")
    if done.returncode:
        cause = log.strip().splitlines()[-1].replace(f"file:{file.name}: ", "")[:120] if log.strip() else ""
        raise FfmpegError(f"damaged or truncated {name} ({cause or f'ffmpeg ends with {done.returncode}'})")
    if len(done.stdout) >= MOST_BYTES:
        raise FfmpegError(f"{name} too long (more than {MOST_BYTES >> 20} MB; cut it into pieces)")
    return done.stdout, _declared_seconds(log)


def _declared_seconds(log: str) -> float | None:
    """Return the length that a file declares; None where it declares none, or ffmpeg guesses it."""
    match = _DURATION.search(log)
    if match is None or _GUESSED in log:
        return None
    hours, minutes, seconds = map(float, match.groups())
    return 3600 * hours + 60 * minutes + seconds
