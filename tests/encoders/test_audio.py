"""Sound encoders of transformers, tiny ones, beside what their libraries make of the same samples."""

import json
import shutil

import numpy as np
import pytest
import torch

from mmrec.data import sounds
from mmrec.encoders import load_encoder
from mmrec.encoders.base import unit
from mmrec.errors import EncodeError


def test_wav2vec2_is_the_mean_over_frames(load, wav2vec2_folder, tones):
    from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

    net = Wav2Vec2Model.from_pretrained(wav2vec2_folder).eval()
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(wav2vec2_folder)
    samples = sounds.decode(tones[0]).samples
    with torch.inference_mode():
        frames = net(**extractor(samples, sampling_rate=16_000, return_tensors="pt")).last_hidden_state
    expected = unit(frames.mean(dim=1).numpy())
    np.testing.assert_allclose(load("wav2vec2_folder", "audio").embed([[tones[0]]]), expected, atol=1e-5)


def test_ast_is_pooled(load, ast_folder, tones):
    from transformers import ASTFeatureExtractor, ASTModel

    net = ASTModel.from_pretrained(ast_folder).eval()
    extractor = ASTFeatureExtractor.from_pretrained(ast_folder)
    samples = sounds.decode(tones[1]).samples
    with torch.inference_mode():
        pooled = net(**extractor(samples, sampling_rate=16_000, return_tensors="pt")).pooler_output
    expected = unit(pooled.numpy())
    np.testing.assert_allclose(load("ast_folder", "audio").embed([[tones[1]]]), expected, atol=1e-5)


def test_clap_embeds_sounds_and_texts_as_its_library_does(load, clap_folder, tones):
    from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

    net = ClapModel.from_pretrained(clap_folder).eval()
    extractor = ClapFeatureExtractor.from_pretrained(clap_folder)
    tokenizer = AutoTokenizer.from_pretrained(clap_folder)
    samples = sounds.decode(tones[2], 48_000).samples
    with torch.inference_mode():
        output = net(
            **extractor(samples, sampling_rate=48_000, return_tensors="pt"),
            **tokenizer(["a low hum"], return_tensors="pt"),
        )
    encoder = load("clap_folder", "audio")
    np.testing.assert_allclose(encoder.embed([[tones[2]]]), output.audio_embeds.numpy(), atol=1e-5)
    np.testing.assert_allclose(encoder.words.embed([["a low hum"]]), output.text_embeds.numpy(), atol=1e-5)
    assert encoder.words.fingerprint == load("clap_folder", "text").fingerprint
    assert encoder.fingerprint.sha256 == encoder.words.fingerprint.sha256


def test_only_clap_reads_words(load):
    assert load("clap_folder", "audio").words.dim == load("clap_folder", "audio").dim
    for name in ("descriptor", "wav2vec2_folder", "hubert_folder", "ast_folder"):
        assert load(name, "audio").words is None


def test_a_long_sound_has_a_piece_for_each_window(load, tones):
    for name in ("descriptor", "wav2vec2_folder", "ast_folder", "clap_folder"):
        assert [len(load(name, "audio").pieces(tone)) for tone in tones] == [1, 1, 1, 1, 2]


@pytest.mark.parametrize("spoil", ["no config", "no weights of a layer", "no words"])
def test_a_damaged_folder_is_refused(tmp_path, wav2vec2_folder, spoil):
    folder = tmp_path / "model"
    shutil.copytree(wav2vec2_folder, folder)
    config = folder / "config.json"
    if spoil == "no config":
        config.write_text("{")
    elif spoil == "no weights of a layer":
        config.write_text(json.dumps(json.loads(config.read_text()) | {"num_hidden_layers": 3}))
    with pytest.raises(EncodeError, match=r"config.json|lacks weights|encodes no text"):
        load_encoder(str(folder), "text" if spoil == "no words" else "audio", device="cpu")
