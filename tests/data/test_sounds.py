"""The gate for sounds: what is read, what is refused and why, and that nothing but DataError comes out."""

import io
from contextlib import suppress

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from mmrec.data import sounds
from mmrec.data.media import Encoded, Refused
from mmrec.errors import DataError

KINDS = {"wav": "WAV", "flac": "FLAC", "ogg": "OGG", "mp3": "MP3"}


def tone(seconds=1.0, hertz=440.0, rate=22_050, channels=1, kind="WAV", subtype=None, loud=0.5) -> bytes:
    """An encoded sine."""
    wave = loud * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return encode(np.repeat(wave[:, None], channels, axis=1), rate, kind, subtype)


def encode(samples: np.ndarray, rate=22_050, kind="WAV", subtype=None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


GOOD = {name: tone(kind=kind) for name, kind in KINDS.items()}


def pitch(samples: np.ndarray, rate: int) -> float:
    """The strongest frequency, in hertz."""
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples))


@pytest.mark.parametrize("rate", [16_000, 48_000])
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_decoded_at_the_rate_asked_for(name, rate):
    sound = sounds.decode(GOOD[name], rate)
    assert sound.rate == rate
    assert sound.samples.dtype == np.float32
    assert len(sound.samples) == pytest.approx(rate, rel=0.1)  # MP3 pads
    assert pitch(sound.samples, rate) == pytest.approx(440, abs=5)
    assert np.abs(sound.samples).max() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("name", "media_type"), [
    ("wav", "audio/wav"), ("flac", "audio/flac"), ("ogg", "audio/ogg"), ("mp3", "audio/mpeg"),
])
def test_the_format_is_told_by_the_bytes(name, media_type):
    assert sounds.format_of(GOOD[name]).media_type == media_type
    sounds.check(GOOD[name])


def test_a_file_of_another_format_than_its_name_says_is_read(tmp_path):
    path = tmp_path / "tone.mp3"
    path.write_bytes(GOOD["flac"])
    assert pitch(*sounds.decode(path)) == pytest.approx(440, abs=5)
    assert sounds.digest(path) == sounds.digest(GOOD["flac"]) == sounds.digest(sounds.read(path))


def test_eight_channels_are_mixed_to_one():
    left, right = (np.eye(8)[0], np.eye(8)[1])
    wave = np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050)[:, None]
    mixed = sounds.decode(encode(wave * (left + right)))
    np.testing.assert_allclose(np.abs(mixed.samples).max(), 2 / 8, atol=0.02)


def test_an_hour_is_read_in_windows_spread_over_it():
    rate, minutes = 1_000, 60
    steps = np.repeat(np.arange(minutes) / minutes, 60 * rate)  # louder by the minute
    sound = sounds.decode(encode(steps, rate), rate)
    windows = sound.windows()
    assert [len(window) for window in windows] == [10 * rate] * 6
    levels = [float(np.median(window)) * minutes for window in windows]
    np.testing.assert_allclose(levels, [0, 12, 24, 35, 47, 59], atol=1)


def test_a_sound_is_cut_into_parts_of_like_length():
    assert [len(part) for part in sounds.decode(tone(25)).windows()] == pytest.approx([133_333] * 3, abs=1)


def test_samples_beyond_one_are_scaled():
    loud = sounds.decode(tone(subtype="FLOAT", loud=1e30)).samples
    assert np.abs(loud).max() == pytest.approx(1)
    assert pitch(loud, 16_000) == pytest.approx(440, abs=5)


def test_silence_is_a_sound():
    assert not sounds.decode(encode(np.zeros(22_050))).samples.any()


BAD = {
    "no length": (encode(np.zeros(0)), "has no samples"),
    "too short": (tone(0.01), "lasts 0.00998 seconds"),
    "NaN": (encode(np.full(9_000, np.nan), subtype="FLOAT"), "not finite"),
    "infinite": (encode(np.full(9_000, np.inf), subtype="FLOAT"), "not finite"),
    "many channels": (encode(np.zeros((9_000, 40))), "40 channels"),
    "odd rate": (encode(np.zeros(9_000), rate=10), "10 samples a second"),
    "another kind": (encode(np.zeros(9_000), kind="AIFF"), "convert it"),
    "text": (b"la la la", "no sound that is known"),
    "nothing": (b"", "is empty"),
    "a header alone": (GOOD["flac"][:30], "damaged"),
    "noise": (b"OggS" + bytes(range(256)) * 8, "damaged"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_used_is_refused_with_a_reason(case):
    data, reason = BAD[case]
    with pytest.raises(DataError, match=reason) as caught:
        sounds.decode(data)
    assert caught.value.field == "audio"
    assert str(caught.value).startswith(f"sound of {len(data):,} bytes ") or not data


@pytest.mark.parametrize(("source", "reason"), [
    ("https://shop.example/a.mp3", "is a URL"), ("/nowhere/a.wav", "does not exist"), ("/dev/zero", "device"),
    (5, "is no sound"), (Refused("a.wav", "was refused"), "was refused"),
])
def test_what_is_no_file_is_refused(source, reason):
    with pytest.raises(DataError, match=reason):
        sounds.read(source)


def test_bytes_are_counted_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(sounds, "MAX_BYTES", 1_000)
    path = tmp_path / "big.wav"
    path.write_bytes(GOOD["wav"])
    for source in (path, GOOD["wav"], Encoded("a.wav", GOOD["wav"])):
        with pytest.raises(DataError, match="more than 1,000"):
            sounds.decode(source)


def test_decoding_ends_at_the_deadline(monkeypatch):
    monkeypatch.setattr(sounds, "MAX_TIME", -1.0)
    with pytest.raises(DataError, match=r"takes too long|damaged"):
        sounds.decode(GOOD["flac"])


def tried(data: bytes) -> None:
    """Decodes; anything but DataError fails the test."""
    with suppress(DataError):
        assert np.isfinite(sounds.decode(data).samples).all()


@given(st.sampled_from([b"", b"RIFF\x24\x00\x00\x00WAVEfmt ", b"fLaC", b"OggS", b"ID3", b"\xff\xfb"]),
       st.binary(max_size=400))
def test_random_bytes_raise_nothing_else(head, rest):
    tried(head + rest)


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_files_that_are_cut_or_spoilt_raise_nothing_else(name, draw):
    whole = bytearray(GOOD[name])
    cut = draw.draw(st.integers(0, len(whole)))
    for at, value in draw.draw(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)))):
        whole[at if at % 2 else at % 64] = value  # headers more often than not
    tried(bytes(whole[:cut]))
