"""What a sound is like, by textbook features: spectrum, timbre, harmony and rhythm. Nothing is learned."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmrec.data import sounds
from mmrec.data.sounds import RATE
from mmrec.encoders.base import Encoder, Fingerprint, Vectors

SIZE, HOP = 2_048, 512  # samples of a frame, and from one to the next: 128 and 32 ms
MELS, CEPSTRA, CHROMA, LAGS = 40, 20, 12, 24
FAINTEST = 1e-8  # of the mean power: what is fainter is silence, 80 dB down
SLOWEST, FASTEST = 40, 240  # beats a minute
LOWEST, HIGHEST = 60.0, 4_000.0  # hertz of the notes that make the harmony
ROLLOFF = 0.85  # share of the power below the roll-off

# Centre and scale of each block, so that each weighs alike: as of synthetic tones, chords, noises, beats and
# melodies. They never change, lest stored embeddings did.
BLOCKS: dict[str, tuple[float, float]] = {
    "mel mean": (-11.0, 5.4), "mel deviation": (2.1, 2.1), "cepstrum mean": (0.0, 4.0),
    "cepstrum deviation": (1.25, 1.6), "change mean": (0.4, 0.4), "change deviation": (0.5, 0.6),
    "chroma": (1 / CHROMA, 0.1), "shape": (0.1, 0.15), "rhythm": (0.0, 0.3),
}


class Descriptor(Encoder):
    """Features of a sound by NumPy and SciPy alone: a baseline that needs no weights.

    They are means and deviations over a window's frames: 40 logarithmic mel bands, 20 cepstral coefficients
    and how these change, 12 pitch classes, centroid, roll-off and flatness of the spectrum, and how alike the
    onsets are at the distances of beats. How loud the whole is does not count.
    """

    decodes = True

    @property
    def fingerprint(self) -> Fingerprint:
        """There are no weights: the hash is of the settings."""
        told = f"mono {RATE} Hz, windows of {sounds.WINDOW:g} s, frames {SIZE}/{HOP}, {MELS} mel bands"
        return Fingerprint(
            model="descriptor", modality="audio", dim=4 * CEPSTRA + 2 * MELS + CHROMA + 6 + LAGS,
            revision="1", preprocessing=told, sha256=hashlib.sha256(f"{told} {BLOCKS}".encode()).hexdigest(),
        )

    def pieces(self, value: Any) -> list[Any]:
        """A sound as the features [e] of each of its windows."""
        return [describe(window) for window in sounds.decode(value, RATE).windows()]

    def forward(self, pieces: Sequence[Any]) -> Vectors:
        """The features [p, e]."""
        return np.stack(pieces)


def describe(samples: NDArray[np.float32]) -> Vectors:
    """Features [e] of samples [n] at 16 kHz, each block centred, scaled, and divided by its root length."""
    power = _power(samples)  # [frames, bins]
    mel = np.log(power @ mel_bands().T + FAINTEST)  # [frames, mels]
    cepstra = _cepstra(mel)
    changes = np.abs(np.diff(cepstra, axis=0, prepend=cepstra[:1]))
    found = {
        "mel mean": mel.mean(axis=0), "mel deviation": mel.std(axis=0),
        "cepstrum mean": cepstra.mean(axis=0), "cepstrum deviation": cepstra.std(axis=0),
        "change mean": changes.mean(axis=0), "change deviation": changes.std(axis=0),
        "chroma": _chroma(power), "shape": _shape(power), "rhythm": _rhythm(mel),
    }
    blocks = [
        (block - BLOCKS[name][0]) / (BLOCKS[name][1] * np.sqrt(len(block))) for name, block in found.items()
    ]
    return np.concatenate(blocks).astype(np.float32)


def _power(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Power spectra [frames, bins] of overlapping frames; their bins sum to 1 on average over frames."""
    from scipy.signal import get_window

    padded = np.pad(samples.astype(np.float64), (0, max(0, SIZE + HOP - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, SIZE)[::HOP]  # [frames, size]
    power: NDArray[np.float64] = np.square(np.abs(np.fft.rfft(frames * get_window("hann", SIZE), axis=1)))
    return np.divide(power, max(power.sum(axis=1).mean(), 1e-12), out=power)


@cache
def _hertz() -> NDArray[np.float64]:
    return np.linspace(0, RATE / 2, SIZE // 2 + 1)


@cache
def mel_bands() -> NDArray[np.float64]:
    """Triangles [mels, bins], of height 1, evenly spread over the mel scale from 0 Hz to half the rate.

    Source: Stevens, Volkmann & Newman 1937, by O'Shaughnessy's formula: mel = 2595 log10(1 + hertz / 700).
    """
    top = 2_595 * np.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, MELS + 2) / 2_595) - 1)
    low, mid, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]  # [mels, 1]
    rising, falling = (_hertz() - low) / (mid - low), (high - _hertz()) / (high - mid)  # [mels, bins]
    return np.maximum(0, np.minimum(rising, falling))


def _cepstra(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cepstral coefficients [frames, c] of logarithmic mel bands, without the first: the loudness.

    Source: Davis & Mermelstein 1980.
    """
    from scipy.fft import dct

    cepstra: NDArray[np.float64] = dct(mel, type=2, norm="ortho", axis=1)[:, 1 : CEPSTRA + 1]
    return cepstra


@cache
def _pitch_classes() -> NDArray[np.float64]:
    """Which pitch class each bin is in [bins, 12]; bins beyond the notes are in none."""
    hertz = _hertz()
    heard = (hertz >= LOWEST) & (hertz <= HIGHEST)
    place = np.rint(12 * np.log2(np.where(heard, hertz, 440.0) / 440)).astype(int) % CHROMA
    return np.eye(CHROMA)[place] * heard[:, None]


def _chroma(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each pitch class [12] in the magnitudes of all frames; even shares of silence."""
    chroma = np.sqrt(power).sum(axis=0) @ _pitch_classes() + 1e-9  # [bins] @ [bins, 12]
    return chroma / chroma.sum()


def _shape(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean and deviation of centroid, roll-off (both 1 at half the rate) and flatness of frames [6]."""
    power = power + FAINTEST / power.shape[1]
    share = power / power.sum(axis=1, keepdims=True)
    place = np.linspace(0, 1, power.shape[1])
    centroid, rolloff = share @ place, place[(share.cumsum(axis=1) < ROLLOFF).sum(axis=1)]
    flatness = np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)
    shape = np.stack([centroid, rolloff, flatness])  # [3, frames]
    return np.concatenate([shape.mean(axis=1), shape.std(axis=1)])


def _rhythm(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation of the onsets with themselves, at the distances [lags] of slow to fast beats.

    Source: Ellis 2007, onset strength as the summed rise of mel bands, and its autocorrelation.
    """
    onset = np.maximum(0, np.diff(mel, axis=0, prepend=mel[:1])).sum(axis=1)
    onset = np.convolve(onset - onset.mean(), [0.25, 0.5, 0.25])  # as beats fall between frames, and lags
    frames_a_minute = 60 * RATE / HOP
    lags = np.rint(np.geomspace(frames_a_minute / FASTEST, frames_a_minute / SLOWEST, LAGS)).astype(int)
    energy = max(float(onset @ onset), 1e-9)
    return np.array([onset[lag:] @ onset[: max(0, len(onset) - lag)] / energy for lag in lags])
