"""How the clocks of the demo shop chime: a little tune by the style's scale, tempo and timbre."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ingest.demo.dice import Dice
from ingest.demo.products import Product

RATE, SECONDS = 16_000, 3.0
EACH = 2  # clocks of a style that chime


@dataclass(frozen=True, slots=True)
class Voice:
    """How a style sounds.

    Attributes:
        scale: semitones above the lowest note.
        lowest: its frequency, in hertz.
        tempo: notes a second.
        partials: strength of the fundamental and its overtones.
        decay: how fast a note dies away, by e each 1/decay seconds.
    """

    scale: tuple[int, ...]
    lowest: float
    tempo: float
    partials: tuple[float, ...]
    decay: float


VOICES: dict[str, Voice] = {
    "nordic": Voice((0, 2, 5, 7, 9), 523.25, 2.0, (1.0, 0.1), 2.0),
    "retro": Voice((0, 3, 5, 6, 7, 10), 220.0, 5.0, (1.0, 0.0, 0.6, 0.0, 0.4), 6.0),
    "romantic": Voice((0, 4, 7, 11), 392.0, 3.0, (1.0, 0.5, 0.2), 1.5),
    "bold": Voice((0, 7, 12), 130.81, 8.0, (1.0, 0.9, 0.8, 0.7, 0.6, 0.5), 12.0),
    "minimal": Voice((0, 12), 1_046.5, 1.0, (1.0,), 4.0),
    "rustic": Voice((0, 2, 3, 7, 8), 164.81, 4.0, (1.0, 0.6, 0.4, 0.2), 9.0),
}


def chiming(products: Iterable[Product]) -> set[str]:
    """Ids of the clocks that chime: the first of each style."""
    clocks: dict[str, list[str]] = {style: [] for style in VOICES}
    for product in products:
        if product.kind == "clock":
            clocks[product.style].append(product.item_id)
    return {item_id for ids in clocks.values() for item_id in ids[:EACH]}


def chime(style: str, dice: Dice) -> bytes:
    """A tune of a style as a WAV file of three seconds."""
    import soundfile

    voice, tune, file = VOICES[style], np.zeros(round(RATE * SECONDS)), io.BytesIO()
    for start in np.arange(0, SECONDS, 1 / voice.tempo):
        hertz = voice.lowest * 2 ** (dice.pick(voice.scale) / 12)
        at = np.arange(len(tune) - round(start * RATE)) / RATE
        note = sum(
            loud * np.sin(2 * np.pi * hertz * n * at) for n, loud in enumerate(voice.partials, start=1)
        )
        tune[round(start * RATE) :] += note * np.exp(-voice.decay * at)
    soundfile.write(file, 0.8 * tune / np.abs(tune).max(), RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()
