import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmrec.encoders import load_encoder
from mmrec.encoders.text import cut
from mmrec.errors import EncodeError

WORDS = st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=12), max_size=300)
LONG = st.tuples(WORDS, st.integers(1, 60)).map(lambda drawn: drawn[0] * drawn[1])


@pytest.fixture
def encoder(load):
    return load("all-MiniLM-L6-v2", "text")


def test_texts_of_like_meaning_are_nearer(encoder):
    mug, cup, chair = encoder.embed([["a red mug"], ["a crimson coffee cup"], ["an oak dining chair"]])
    assert mug @ cup > mug @ chair + 0.2


def test_short_texts_are_encoded_as_the_library_does(encoder):
    texts = ["red mug", "a long description of a wooden chair " * 12, "x"]
    plain = encoder._model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    ours = encoder.embed([[text] for text in texts])
    assert (plain * ours).sum(axis=1).min() > 0.9999


def test_windows_fill_what_the_model_takes_and_no_more(encoder):
    words = "antidisestablishmentarianism & 😀 Ünïcödé 価格 " * 200
    for window in encoder.pieces(words):
        features = encoder._model.preprocess([window.text])
        assert encoder.size(window) + 2 == features["input_ids"].shape[1] <= 256
    assert len(encoder.pieces("word " * 254)) == 1
    assert len(encoder.pieces("word " * 255)) > 1


def test_counting_does_not_disturb_the_tokenizer_of_the_model(encoder):
    long = "word " * 400
    encoder.pieces(long)
    assert encoder._model.preprocess([long])["input_ids"].shape[1] == 256


def test_a_folder_of_a_sentence_transformers_model_is_loaded(load, bert_folder):
    encoder = load("bert_folder", "text")
    assert encoder.dim == 32
    assert encoder.fingerprint.model == bert_folder.name
    assert encoder.fingerprint.revision == "local"
    assert encoder.fingerprint.preprocessing == "windows of 30 tokens, mean"


def test_a_prompt_of_the_model_counts_among_its_tokens(bert_folder, tmp_path):
    import json
    import shutil

    folder = shutil.copytree(bert_folder, tmp_path / "prompted")
    settings = {"prompts": {"item": "the red mug of "}, "default_prompt_name": "item"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))
    encoder = load_encoder(str(folder), "text", device="cpu")
    assert encoder.fingerprint.preprocessing == "windows of 26 tokens, mean"
    bare = load_encoder(str(bert_folder), "text", device="cpu")
    assert not np.allclose(encoder.embed([["chair"]]), bare.embed([["chair"]]), atol=1e-3)


def test_several_threads_may_share_an_encoder(load):
    from concurrent.futures import ThreadPoolExecutor

    encoder = load("bert_folder", "text")
    values = [["red mug " * n] for n in range(1, 40)]
    expected = encoder.embed(values)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(lambda _: encoder.embed(values), range(12)):
            np.testing.assert_array_equal(vectors, expected)


def test_loading_says_nothing(bert_folder, capfd):
    load_encoder(str(bert_folder), "text", device="cpu").embed([["red mug"]])
    assert capfd.readouterr() == ("", "")


def test_a_damaged_model_is_an_error_that_names_its_folder(bert_folder, tmp_path):
    import shutil

    folder = shutil.copytree(bert_folder, tmp_path / "damaged")
    (folder / "model.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(EncodeError, match=r"damaged cannot be loaded from .*damaged.*download again"):
        load_encoder(str(folder), "text", device="cpu")


def test_an_unknown_device_is_an_error(bert_folder):
    with pytest.raises(EncodeError, match="abacus"):
        load_encoder(str(bert_folder), "text", device="abacus")


def words(text: str) -> int:
    return len(text.split())


def test_a_text_that_fits_stays_whole():
    assert cut("red mug", words, 2) == [("red mug", 2)]
    assert cut("", words, 2) == [("", 0)]


@given(WORDS, st.integers(8, 64))
def test_no_window_is_too_long(parts, limit):
    windows = cut(" ".join(parts), words, limit)
    assert all(window.tokens == words(window.text) <= limit for window in windows)


@given(LONG, st.integers(128, 256))
def test_a_word_that_is_short_beside_a_window_is_whole_in_one(parts, limit):
    windows = cut(" ".join(parts), words, limit)
    assert all(window.tokens == words(window.text) <= limit for window in windows)
    seen = {word for window in windows for word in window.text.split()}
    assert seen >= set(parts)


@given(st.lists(st.booleans(), max_size=2_000), st.integers(4, 100))
@example([False] * 1_200, 20)
@example([False] * 1_000 + [True] * 1_000, 30)
def test_no_character_is_lost_or_moved_where_spaces_are_rare(spaced, limit):
    text = "".join(chr(0x4E00 + i) + " " * space for i, space in enumerate(spaced))  # each character once
    windows = cut(text, len, limit)
    assert all(len(window.text) <= limit for window in windows)
    assert all(window.text in text for window in windows)
    seen = dict.fromkeys("".join(window.text for window in windows).replace(" ", ""))
    assert "".join(seen) == text.replace(" ", "")


def test_windows_are_of_like_length():
    lengths = [window.tokens for window in cut("word " * 1001, words, 100)]
    assert len(lengths) < 15
    assert min(lengths) > 0.6 * max(lengths)


def test_a_character_that_never_fits_is_kept_whole():
    assert cut("xx", lambda text: 9 * len(text), 4) == [("x", 9), ("x", 9)]
