"""Corruptions of audio. Each takes a file and returns a WAV of the same rate and channels, in floats."""

import io
from collections.abc import Callable, Mapping

import numpy as np
import soundfile as sf
from scipy.io import wavfile

from components.data.files.audio import audio_file, blocks
from components.data.files.content import MediaValue, media_bytes, named
from components.errors import DataError

_PACKET = 0.02  # seconds


def white_noise(value: MediaValue, severity: int, rng: np.random.Generator) -> bytes:
    """Add white noise at a signal-to-noise ratio of 20, 15, 10, 5, 0 dB over the whole clip.

    Source: the ratios of Aurora-2 (Hirsch & Pearce 2000). The noise is the same at every severity, only
    louder; a silent clip stays silent.
    """
    wave, rate = _read(value)
    ratio = 10 ** (-(20, 15, 10, 5, 0)[severity - 1] / 20)
    noise = rng.standard_normal(wave.shape, dtype=np.float32)
    return _wav(wave + ratio * _rms(wave) / _rms(noise) * noise, rate)


def clipping(value: MediaValue, severity: int, rng: np.random.Generator) -> bytes:
    """Cut off the waveform at .5, .3, .2, .1, .05 of the peak. The shares are ours."""
    wave, rate = _read(value)
    most = (0.5, 0.3, 0.2, 0.1, 0.05)[severity - 1] * np.abs(wave).max()
    return _wav(np.clip(wave, -most, most), rate)


def dropout(value: MediaValue, severity: int, rng: np.random.Generator) -> bytes:
    """Silence packets of 20 ms with a chance of .05, .1, .2, .35, .5 each.

    Source: random drops in audio as in MultiBench (Liang et al. 2021); length and chances are ours. A packet
    that is lost is lost at every higher severity.
    """
    wave, rate = _read(value)
    packet = max(1, round(_PACKET * rate))
    lost = rng.random(-(-len(wave) // packet)) < (0.05, 0.1, 0.2, 0.35, 0.5)[severity - 1]
    return _wav(wave * ~np.repeat(lost, packet)[: len(wave), None], rate)


AUDIO: Mapping[str, Callable[[MediaValue, int, np.random.Generator], bytes]] = {
    "white_noise": white_noise,
    "clipping": clipping,
    "dropout": dropout,
}


def _read(value: MediaValue) -> tuple[np.ndarray, int]:
    """Decode samples (S, channels), S ≥ 1, and the rate in Hz."""
    data = media_bytes(value)
    try:
        with audio_file(data) as sound:
            wave, rate = np.concatenate([np.zeros((0, sound.channels)), *blocks(sound)]), sound.samplerate
    except (sf.SoundFileError, RuntimeError, TypeError, ValueError) as error:
        raise DataError(f"{named(value)}: cannot be decoded as audio: {error}") from error
    if len(wave) == 0:
        raise DataError(f"{named(value)}: audio without samples")
    return wave, rate


def _rms(wave: np.ndarray) -> float:
    return float(np.sqrt(np.square(wave, dtype=np.float64).mean()))


def _wav(wave: np.ndarray, rate: int) -> bytes:
    file = io.BytesIO()
    wavfile.write(file, rate, wave.astype(np.float32))  # libsndfile would note the time of writing in it
    return file.getvalue()
