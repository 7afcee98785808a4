"""The gate for sounds: bounded, safe decoding of WAV, FLAC, OGG and MP3 from a path or encoded bytes.

Bytes come in through `read`, and become samples in `decode`. What bounds it:

- bytes: `MAX_BYTES`, counted before and while reading (`mmrec.data.media`).
- seconds: of a long sound, windows spread over all of it are decoded; an hour costs no more memory than they.
- channels and rate: read from the header; a block of few frames at a time is mixed to one channel.
- time: between blocks, and by `_Clocked`, whose bytes end at the deadline.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmrec.data.media import Encoded, Refused, encoded, label
from mmrec.errors import DataError
from mmrec.types import AUDIO, AudioSource

if TYPE_CHECKING:
    from soundfile import SoundFile

MAX_BYTES = 64 * 2**20
MAX_TIME = 10.0  # seconds until the decoder is cut off
WINDOW = 10.0  # seconds of sound that an encoder reads at once
WINDOWS = 6  # of a long sound
SHORTEST = 0.05  # seconds
MAX_CHANNELS = 32
RATES = 1_000, 384_000  # samples a second
RATE = 16_000
_BLOCK = 65_536  # frames decoded at once
_EXPECTED = "is no sound: expected a path or encoded bytes"
_URL = "sounds are not fetched; download it and give its path"


class Format(NamedTuple):
    """A kind of file that is taken; `names` are what soundfile calls it."""

    names: frozenset[str]
    magic: re.Pattern[bytes]
    suffix: str
    media_type: str


FORMATS = (
    Format(frozenset({"WAV", "WAVEX", "RF64"}), re.compile(b"(?:RIFF|RF64)....WAVE", re.DOTALL), ".wav",
           "audio/wav"),
    Format(frozenset({"FLAC"}), re.compile(b"fLaC"), ".flac", "audio/flac"),
    Format(frozenset({"OGG"}), re.compile(b"OggS"), ".ogg", "audio/ogg"),
    Format(frozenset({"MP3", "MPEG", "FLAC"}), re.compile(b"ID3|\xff[\xe2-\xff]"), ".mp3", "audio/mpeg"),
)


class Sound(NamedTuple):
    """A decoded sound, mixed to one channel.

    Attributes:
        samples: [n], from -1 to 1; of a long sound, its windows one after the other.
        rate: samples a second.
    """

    samples: NDArray[np.float32]
    rate: int

    def windows(self) -> list[NDArray[np.float32]]:
        """The samples in parts of like length, `WINDOW` seconds long at most."""
        number = max(1, -(-len(self.samples) // round(WINDOW * self.rate)))
        return np.array_split(self.samples, number)


def read(source: AudioSource | Encoded) -> Encoded:
    """A sound whose bytes are in memory, so that `decode` does not read the file again.

    Raises:
        DataError: it was refused before, there is no such file, it cannot be read, is too big or not an
            ordinary file.
    """
    if isinstance(source, Refused):
        raise DataError(source.reason, field=AUDIO)
    with _gate(source):
        return encoded(source, MAX_BYTES, expected=_EXPECTED, url=_URL)


def digest(source: AudioSource | Encoded) -> str:
    """The sha256, in hex, of the encoded bytes; errors as of `read`."""
    return read(source).sha256


def format_of(data: bytes) -> Format:
    """What encoded bytes begin as, whatever their file is called.

    Raises:
        DataError: as nothing that is taken.
    """
    if kind := next((kind for kind in FORMATS if kind.magic.match(data[:16])), None):
        return kind
    raise DataError("is no sound that is known here: expected WAV, FLAC, OGG or MP3; convert it", field=AUDIO)


def check(source: AudioSource | Encoded) -> None:
    """Refuses what its bytes and its header betray, without decoding; damage beyond is not found.

    Raises:
        DataError: as `decode`.
    """
    sound = read(source)
    with _gate(source), _opened(sound.data, time.monotonic() + MAX_TIME):
        pass


def decode(source: AudioSource | Encoded, rate: int = RATE) -> Sound:
    """A sound at a rate, its channels mixed to one; of a long one, `WINDOWS` windows spread over it.

    Raises:
        DataError: the sound is missing, damaged, of a kind that is not taken, over a limit, too short, or
            has samples that are no numbers.
    """
    import soxr

    sound = read(source)
    with _gate(source):
        deadline = time.monotonic() + MAX_TIME
        with _opened(sound.data, deadline) as file:
            given, parts = file.samplerate, [_part(file, *span, deadline) for span in _spans(file)]
        found = sum(map(len, parts)) / given
        if found < SHORTEST:
            raise DataError(f"lasts {found:.3g} seconds, expected {SHORTEST} or more: give a longer part")
        samples = np.concatenate([
            soxr.resample(part, given, rate)[: round(WINDOW * WINDOWS * rate)] for part in parts if len(part)
        ])
        if not np.isfinite(samples).all():
            raise DataError("has samples that are not finite numbers: save it with 16 or 24 bits")
        return Sound((samples / max(1.0, np.abs(samples).max())).astype(np.float32), rate)


def _spans(file: SoundFile) -> list[tuple[int, int]]:
    """Where to begin and how many frames to read: all, or windows of even distance."""
    window = round(WINDOW * file.samplerate)
    if file.frames <= WINDOWS * window or not file.seekable():
        return [(0, WINDOWS * window)]
    return [(int(start), window) for start in np.linspace(0, file.frames - window, WINDOWS)]


def _part(file: SoundFile, start: int, frames: int, deadline: float) -> NDArray[np.float32]:
    """Some frames [n], their channels mixed."""
    if start:
        file.seek(start)
    blocks = [np.zeros(0, np.float32)]
    for at in range(0, frames, _BLOCK):
        block = file.read(min(_BLOCK, frames - at), dtype="float32", always_2d=True)  # [n, channels]
        blocks.append(block.mean(axis=1))
        if time.monotonic() > deadline:
            raise TimeoutError
        if not len(block):
            break
    return np.concatenate(blocks)


@contextmanager
def _opened(data: bytes, deadline: float) -> Iterator[SoundFile]:
    """The sound with its header read and checked."""
    import soundfile

    kind, clocked = format_of(data), _Clocked(data, deadline)
    with soundfile.SoundFile(clocked) as file:
        if file.format not in kind.names:
            raise DataError(f"is {file.format}, which is not taken: convert it to WAV, FLAC, OGG or MP3")
        if not file.frames:
            raise DataError("has no samples: its recording is empty")
        if not 1 <= file.channels <= MAX_CHANNELS:
            raise DataError(f"has {file.channels} channels, more than {MAX_CHANNELS}: mix it down")
        if not RATES[0] <= file.samplerate <= RATES[1]:
            raise DataError(f"has {file.samplerate} samples a second: convert it to 44,100")
        yield file
    if clocked.late:
        raise TimeoutError


class _Clocked(io.BytesIO):
    """Encoded bytes that end at the deadline; an error here would be printed by the decoder, and ignored."""

    def __init__(self, data: bytes, deadline: float) -> None:
        super().__init__(data)
        self._deadline, self.late = deadline, False

    def readinto(self, buffer: bytearray, /) -> int:  # type: ignore[override]
        self.late = self.late or time.monotonic() > self._deadline
        return 0 if self.late else super().readinto(buffer)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return super().seek(offset if whence else max(0, offset), whence)


@contextmanager
def _gate(source: AudioSource | Encoded) -> Iterator[None]:
    """Every way in which a sound can fail, as one DataError that names it."""
    try:
        with np.errstate(all="ignore"):  # of samples near the end of what a float holds
            yield
    except Exception as error:  # broken bytes lead decoders into every error there is
        cause = error.__cause__ if isinstance(error, DataError) else error
        raise DataError(f"sound {label(source)} {_fault(error)}", field=AUDIO) from cause


def _fault(error: Exception) -> str:
    """What is wrong with a sound that raised this, and what to do."""
    if isinstance(error, DataError):
        return str(error)
    if isinstance(error, TimeoutError):
        return "takes too long to decode: save it anew as WAV or FLAC"
    if isinstance(error, MemoryError):
        return "needs more memory than there is: end other programs and try again, or save it smaller"
    return "is damaged or cut off: get it again, or save it anew as WAV or FLAC"
