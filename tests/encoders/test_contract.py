"""What must be true of every encoder, whatever is inside."""

import numpy as np
import pytest

from mmrec.encoders import Encoder, load_encoder
from mmrec.encoders.base import unit
from mmrec.errors import DataError

TEXT = ("toy", "all-MiniLM-L6-v2", "bert_folder", "clip_folder", "clap_folder")
AUDIO = ("descriptor", "wav2vec2_folder", "hubert_folder", "ast_folder", "clap_folder")
IMAGE = ("toy", "efficientnet-lite0", "dino_folder", "clip_folder")
WINDOWED = TEXT[1:]
TEXTS = ["red mug", "a long blue cotton shirt with short sleeves", "wooden chair", "", "the " * 300 + "chair"]


@pytest.fixture(params=[
    *((name, "text") for name in TEXT), *((name, "image") for name in IMAGE),
    *((name, "audio") for name in AUDIO),
], ids=str)
def encoder(request, load) -> Encoder:
    return load(*request.param)


@pytest.fixture
def values(encoder, pictures, tones) -> list[list[object]]:
    """One input an item."""
    return [[v] for v in {"text": TEXTS, "image": pictures, "audio": tones}[encoder.fingerprint.modality]]


def test_embeddings_are_float32_of_unit_norm(encoder, values):
    vectors = encoder.embed(values)
    assert vectors.shape == (len(values), encoder.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_an_embedding_does_not_depend_on_its_batch(encoder, values):
    together = encoder.embed(values * 7)[: len(values)]  # 35: more than one batch
    alone = np.vstack([encoder.embed([value]) for value in values])
    assert (together * alone).sum(axis=1).min() >= 0.9999


def test_the_same_input_gives_the_same_embedding_again(encoder, values):
    np.testing.assert_array_equal(encoder.embed(values), encoder.embed(values))


def test_order_is_kept(encoder, values):
    np.testing.assert_allclose(encoder.embed(values[::-1]), encoder.embed(values)[::-1], atol=1e-4)


def test_different_inputs_differ(encoder, values):
    vectors = encoder.embed(values)
    assert (vectors @ vectors.T)[np.triu_indices(len(values), 1)].max() < 0.9999


def test_several_inputs_of_one_item_are_averaged(encoder, values):
    first, second = values[0][0], values[1][0]
    one, two, both = encoder.embed([[first], [second], [first, second]])
    np.testing.assert_allclose(both, unit((one + two)[None])[0], atol=1e-4)


def test_nothing_gives_nothing(encoder):
    assert encoder.embed([]).shape == (0, encoder.dim)
    assert not encoder.embed([[]]).any()


def test_the_fingerprint_is_complete_and_stable(encoder):
    print_ = encoder.fingerprint
    assert print_ == encoder.fingerprint
    assert len(print_.sha256) == 64
    assert all(print_.as_dict().values())


@pytest.mark.parametrize(("name", "modality"), [
    *((name, "image") for name in IMAGE), *((name, "audio") for name in AUDIO),
])
def test_a_bad_file_is_rejected_by_its_position(load, pictures, tones, name, modality):
    encoder, good = load(name, modality), pictures if modality == "image" else tones
    values = [[good[0]], [b"not a picture"], [good[1]], [good[2], b"half of them good"]]
    vectors, failures = encoder.embed_or_reject(values)
    assert set(failures) == {1, 3}
    assert all(isinstance(error, DataError) for error in failures.values())
    assert not vectors[[1, 3]].any()
    np.testing.assert_allclose(vectors[[0, 2]], encoder.embed([values[0], values[2]]), atol=1e-4)


@pytest.mark.parametrize("name", WINDOWED)
def test_the_last_of_two_thousand_words_counts(load, name):
    encoder = load(name, "text")
    words = "blue cotton shirt with long sleeves " * 333 + "red "
    mug, chair = encoder.embed([[words + "mug"], [words + "wooden chair"]])
    assert not np.allclose(mug, chair, atol=1e-5)


@pytest.mark.parametrize("name", WINDOWED)
def test_a_long_text_is_the_average_of_its_windows(load, name):
    encoder = load(name, "text")
    text = "blue cotton shirt with long sleeves, red mug, wooden chair. " * 40
    pieces = encoder.pieces(text)
    assert len(pieces) > 1
    expected = unit(unit(encoder.forward(pieces)).mean(axis=0, keepdims=True))
    np.testing.assert_allclose(encoder.embed([[text]]), expected, atol=1e-4)


def test_a_fingerprint_tells_one_model_from_another(load):
    prints = {load(name, "text").fingerprint for name in TEXT}
    prints |= {load(name, "image").fingerprint for name in IMAGE}
    prints |= {load(name, "audio").fingerprint for name in AUDIO}
    assert len(prints) == len(TEXT) + len(IMAGE) + len(AUDIO)


def test_loading_again_gives_the_same_fingerprint_and_embeddings(load, dino_folder, pictures):
    first, again = load("dino_folder", "image"), load_encoder(str(dino_folder), "image", device="cpu")
    assert first.fingerprint == again.fingerprint
    np.testing.assert_array_equal(first.embed([[pictures[0]]]), again.embed([[pictures[0]]]))
