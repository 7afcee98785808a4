import numpy as np
import pytest

from mmrec.encoders import load_encoder
from mmrec.errors import EncodeError


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
