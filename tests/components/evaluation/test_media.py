"""Media of samples in the report: small, and never a reason to stop."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from components.evaluation.media import audio_media, media_of
from components.evaluation.samples import Media


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def sound(seconds, kind="WAV", subtype="PCM_16", rate=8000):
    out = io.BytesIO()
    soundfile.write(out, np.sin(np.arange(int(seconds * rate)) / 9), rate, format=kind, subtype=subtype)
    return out.getvalue()


@pytest.mark.parametrize(
    ("image", "kind", "mime"),
    [
        (Image.new("RGB", (800, 600), "red"), "JPEG", "image/jpeg"),
        (Image.new("CMYK", (300, 300)), "TIFF", "image/jpeg"),
        (Image.new("RGBA", (300, 300), (255, 0, 0, 90)), "WEBP", "image/png"),
        (Image.new("P", (300, 300)), "GIF", "image/jpeg"),
        (Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 100), "TIFF", "image/png"),
        (Image.new("L", (8, 8), 7), "BMP", "image/png"),
    ],
)
def test_any_picture_becomes_a_thumbnail_that_browsers_show(image, kind, mime):
    media = media_of("image", encoded(image, kind))
    assert (media.kind, media.mime) == ("image", mime)
    assert max(Image.open(io.BytesIO(media.data)).size) == min(240, max(image.size))


def test_16_bit_pictures_keep_their_greys():
    pixels = np.linspace(0, 4000, 400).astype(np.uint16).reshape(20, 20)
    shown = np.asarray(
        Image.open(io.BytesIO(media_of("image", encoded(Image.fromarray(pixels), "TIFF")).data))
    )
    assert shown.min() == 0
    assert shown.max() == 255


def test_pictures_are_turned_as_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    Image.new("RGB", (300, 100)).save(path, exif=exif)
    width, height = Image.open(io.BytesIO(media_of("image", path).data)).size
    assert height > width


@pytest.mark.parametrize(
    ("kind", "subtype", "mime"),
    [("WAV", "PCM_16", "audio/wav"), ("FLAC", "PCM_16", "audio/flac"), ("OGG", "VORBIS", "audio/ogg")],
)
def test_short_sounds_are_embedded_as_they_are(kind, subtype, mime):
    content = sound(0.2, kind, subtype)
    assert media_of("audio", content) == Media("audio", data=content, mime=mime)


def test_long_sounds_are_cut_to_the_limit_and_say_so():
    media = audio_media(sound(10), limit=40_000)
    assert len(media.data) <= 40_000
    assert media.text == "first 2 s of 10 s"
    wave, rate = soundfile.read(io.BytesIO(media.data))
    assert (rate, wave.ndim) == (8000, 1)


def test_sounds_that_browsers_do_not_play_become_wav():
    media = media_of("audio", sound(0.1, "WAV", "DOUBLE"))
    assert soundfile.info(io.BytesIO(media.data)).subtype == "PCM_16"


def test_long_texts_and_wide_tables_are_shortened():
    assert len(media_of("text", "a" * 5000).text) < 610
    table = media_of(
        "tabular", {f"c{i}": i for i in range(40)} | {"c0": None, "c1": 1 / 3, "c2": float("nan")}
    )
    assert len(table.values) == 30
    assert table.text == "and 10 more columns"
    assert [table.values[c] for c in ("c0", "c1", "c2", "c3")] == ["–", "0.3333", "–", "3"]


@pytest.mark.parametrize(
    ("modality", "value"), [("image", b"GIF89a"), ("audio", b"RIFF"), ("image", "/no/where.png")]
)
def test_what_cannot_be_read_becomes_a_text_that_says_so(modality, value):
    media = media_of(modality, value)
    assert media.kind == "text"
    assert f"[{modality} cannot be shown: " in media.text


def test_media_that_could_run_something_are_refused():
    with pytest.raises(ValueError, match=r"'image/svg\+xml' cannot be embedded"):
        Media("image", data=b"<svg/>", mime="image/svg+xml")
