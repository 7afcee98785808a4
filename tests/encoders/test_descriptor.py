"""The descriptor of sounds: alike sounds are near each other, by the part that makes them alike."""

import numpy as np
import pytest
from scipy.fft import dct

from mmrec.encoders import load_encoder
from mmrec.encoders.base import unit
from mmrec.encoders.descriptor import BLOCKS, RATE, Descriptor, describe, mel_bands

AT = np.arange(4 * RATE) / RATE
SIZES = dict(zip(BLOCKS, (40, 40, 20, 20, 20, 20, 12, 6, 24), strict=True))


def block(samples: np.ndarray, name: str) -> np.ndarray:
    """One block of the features, as it was before it was scaled."""
    ends = np.cumsum([*SIZES.values()])
    place = [*SIZES].index(name)
    centre, scale = BLOCKS[name]
    part = describe(samples.astype(np.float32))[ends[place] - SIZES[name] : ends[place]]
    return part * scale * np.sqrt(SIZES[name]) + centre


def tone(hertz: float, overtones: int = 1) -> np.ndarray:
    return sum(np.sin(2 * np.pi * hertz * n * AT) / n for n in range(1, overtones + 1))


def beat(a_minute: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=len(AT))
    return noise * np.exp(-30 * (AT % (60 / a_minute)))


def test_it_is_the_default_for_sounds_everywhere():
    encoder = load_encoder("auto", "audio")
    assert isinstance(encoder, Descriptor)
    assert encoder.dim == sum(SIZES.values()) == len(describe(tone(440).astype(np.float32)))


def test_how_loud_a_sound_is_does_not_count():
    sound = (tone(440, 5) + beat(120)).astype(np.float32)
    np.testing.assert_allclose(describe(sound), describe(sound / 50), atol=1e-4)


def test_each_pitch_has_its_class_in_every_octave():
    for hertz in (440, 880, 1_760):
        assert block(tone(hertz), "chroma").argmax() == 0  # counted from A
    assert block(tone(523.25), "chroma").argmax() == 3  # C


def test_a_beat_is_heard_at_its_own_distance():
    lags = np.geomspace(240, 40, SIZES["rhythm"])  # beats a minute
    for a_minute in (90, 130, 200):
        rhythm = block(beat(a_minute), "rhythm")
        at = [n for n in range(len(lags)) if abs(np.log2(lags[n] / a_minute)) < 0.1]
        assert max(rhythm[at]) > 0.5 > np.median(rhythm)


def test_the_shape_of_the_spectrum_tells_noise_from_tones():
    centroid, _, flatness = block(np.random.default_rng(0).normal(size=len(AT)), "shape")[:3]
    assert centroid == pytest.approx(0.5, abs=0.02)
    assert flatness > 0.5 > 0.01 > block(tone(440), "shape")[2]


def test_mel_bands_cover_every_frequency_once():
    bands = mel_bands()
    assert bands.shape == (40, 1_025)
    np.testing.assert_allclose(bands.sum(axis=0)[20:-80], 1, atol=1e-9)


def test_cepstra_are_those_of_the_mean_band_for_a_steady_tone():
    mel, cepstra = block(tone(440), "mel mean"), block(tone(440), "cepstrum mean")
    np.testing.assert_allclose(cepstra, dct(mel, norm="ortho")[1:21], atol=1e-4)


def test_no_block_outweighs_the_others():
    """Over tones, beats and noise no block has more than a third of the squared distances."""
    rng = np.random.default_rng(1)
    sounds = [
        *(tone(rng.uniform(80, 900), int(rng.integers(1, 8))) for _ in range(12)),
        *(beat(rng.uniform(60, 200)) + rng.random() * tone(rng.uniform(80, 900)) for _ in range(12)),
    ]
    features = np.stack([describe(sound.astype(np.float32)) for sound in sounds])
    parts = np.split(features, np.cumsum([*SIZES.values()])[:-1], axis=1)
    shares = [part.var(axis=0).sum() for part in parts]
    assert max(shares) < sum(shares) / 3
    assert min(shares) > sum(shares) / 50


def test_alike_sounds_are_near():
    pairs = [tone(110, 6), tone(116, 6), tone(1_500), tone(1_600), beat(100), beat(105)]
    x = unit(np.stack([describe(one.astype(np.float32)) for one in pairs]))
    x = unit(x - x.mean(axis=0))
    nearest = (x @ x.T - 2 * np.eye(6)).argmax(axis=1)
    assert nearest.tolist() == [1, 0, 3, 2, 5, 4]


@pytest.mark.parametrize("length", [800, 2_048, 2_600])
def test_short_and_silent_sounds_have_features(length):
    for sound in (np.zeros(length), tone(440)[:length]):
        found = describe(sound.astype(np.float32))
        assert np.isfinite(found).all()
        assert found.any()
