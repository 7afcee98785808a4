"""Sound encoders of transformers: CLAP, whose texts share the space of its sounds, wav2vec 2.0, HuBERT, AST.

The descriptor, which needs no weights, is in `mmrec.encoders.descriptor`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmrec.data import sounds
from mmrec.encoders.base import Encoder, Pretrained, Vectors, loading, pick_device
from mmrec.encoders.image import ClipText, as_vectors
from mmrec.encoders.registry import Model
from mmrec.encoders.weights import Location
from mmrec.errors import EncodeError

AT_ONCE = {"cpu": 4}  # windows in one forward
FALSE_GAPS = ("pooler.", "position_ids", "masked_spec_embed")  # what a checkpoint may lack


def load(model: Model, location: Location, *, device: str | None = None) -> Encoder:
    """The sound encoder that a folder's `config.json` describes; EncodeError if it cannot be loaded."""
    try:
        kind = json.loads((location.path / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise EncodeError(f"cannot read {location.path}/config.json: {error}: download it again") from error
    return (ClapAudio if kind == "clap" else AudioEncoder)(model, location, device=device)


class AudioEncoder(Pretrained):
    """A sound model of transformers; its embedding is the pooled one, or the mean over frames.

    Raises:
        EncodeError: the model cannot be loaded.
    """

    decodes = True

    def __init__(self, model: Model, location: Location, *, device: str | None = None) -> None:
        with loading(model.id, location.path):
            from transformers import AutoFeatureExtractor

            self._extractor = AutoFeatureExtractor.from_pretrained(location.path, local_files_only=True)
            self._input = self._extractor.model_input_names[0]
            self._device = torch.device(pick_device(device))
            self._model = loaded(model, location).to(self._device)
            self.batch_size = AT_ONCE.get(self._device.type, 64)
            blip = np.zeros(self._extractor.sampling_rate, np.float32)
            dim = self.forward([self._piece(blip)]).shape[1]
        self._fingerprint = location.fingerprint(model, "audio", dim, _describe(self._extractor))

    def pieces(self, value: Any) -> list[Any]:
        """A sound as one tensor for each of its windows."""
        return [self._piece(part) for part in sounds.decode(value, self._extractor.sampling_rate).windows()]

    def _piece(self, samples: Any) -> Tensor:
        made = self._extractor(samples, sampling_rate=self._extractor.sampling_rate, return_tensors="np")
        return torch.from_numpy(np.asarray(made[self._input][0], np.float32))

    def forward(self, pieces: Sequence[Any]) -> Vectors:
        """Embeddings [p, e] of p windows; those of a length go together, as padding would change them."""
        found: dict[int, Vectors] = {}
        with torch.inference_mode():
            for shape in {piece.shape for piece in pieces}:
                places = [n for n, piece in enumerate(pieces) if piece.shape == shape]
                batch = torch.stack([pieces[n] for n in places]).to(self._device)
                found |= dict(zip(places, as_vectors(self._embedded(batch)), strict=True))
        return np.stack([found[n] for n in range(len(pieces))])

    def _embedded(self, batch: Tensor) -> Tensor:
        output = self._model(**{self._input: batch})
        pooled: Tensor | None = getattr(output, "pooler_output", None)
        return output.last_hidden_state.mean(dim=1) if pooled is None else pooled  # [p, frames, e] -> [p, e]


class ClapAudio(AudioEncoder):
    """The sound half of a CLAP; `words` is its text half, with the same model in memory.

    Raises:
        EncodeError: the model cannot be loaded.
    """

    def __init__(self, model: Model, location: Location, *, device: str | None = None) -> None:
        super().__init__(model, location, device=device)
        with loading(model.id, location.path):
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(location.path, local_files_only=True)
        context = self._model.config.text_config.max_position_embeddings - 2  # RoBERTa counts from 2
        of_texts = location.fingerprint(model, "text", self.dim, f"windows of {context} tokens, mean")
        self._words = ClapText(self._model, self._device, tokenizer, context, of_texts)

    @property
    def words(self) -> Encoder:
        """The text encoder of the same space."""
        return self._words

    def _embedded(self, batch: Tensor) -> Tensor:
        longer = torch.zeros(len(batch), 1, dtype=torch.bool, device=self._device)  # no window is too long
        return projected(self._model.get_audio_features(input_features=batch, is_longer=longer))


class ClapText(ClipText):
    """The text half of a CLAP, whose tokenizer is one of transformers as it is."""

    def size(self, piece: Any) -> int:
        """Characters: windows of like length share a batch."""
        return len(piece)

    def _count(self, text: str) -> int:
        return len(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def forward(self, pieces: Sequence[Any]) -> Vectors:
        """Embeddings [p, e] of p windows, padded to the longest, which the model does not attend to."""
        with self._lock:
            tokens = self._tokenizer(
                list(pieces), padding=True, truncation=True, max_length=self._context, return_tensors="pt"
            )
        with torch.inference_mode():
            given = {name: tokens[name].to(self._device) for name in ("input_ids", "attention_mask")}
            return as_vectors(projected(self._model.get_text_features(**given)))


def loaded(model: Model, location: Location) -> Any:
    """The model, whole and ready; EncodeError if it lacks weights."""
    from transformers import AutoModel

    net, report = AutoModel.from_pretrained(location.path, local_files_only=True, output_loading_info=True)
    missing = [key for key in report["missing_keys"] if not any(gap in key for gap in FALSE_GAPS)]
    if missing:
        raise EncodeError(f"{location.path} lacks weights of {model.id}: {', '.join(missing[:5])}")
    return net.eval().float()


def projected(output: Any) -> Tensor:
    """Embeddings [p, e] in the common space; transformers 5 returns them inside an output."""
    features: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return features


def _describe(extractor: Any) -> str:
    """How samples become a tensor, in one line."""
    keys = ("sampling_rate", "feature_size", "num_mel_bins", "max_length", "hop_length", "fft_window_size",
            "do_normalize", "mean", "std", "truncation", "padding")
    known = extractor.to_dict()
    parts = [f"{key} {known[key]}" for key in keys if known.get(key) is not None]
    return f"{known.get('feature_extractor_type')}: {', '.join(parts)}, windows of {sounds.WINDOW:g} s"
