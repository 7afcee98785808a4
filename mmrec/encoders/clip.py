"""Image and text encoders of one space (CLIP and its kin), run by open_clip: words find pictures."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from mmrec.encoders.base import Encoder, Pretrained, Vectors, loading, pick_device
from mmrec.encoders.image import PictureEncoder, as_bytes, as_vectors, bounded
from mmrec.encoders.registry import Model
from mmrec.encoders.text import cut
from mmrec.encoders.weights import Location

ADDED = 3  # tokens that the tokenizers add at most: start, end, class


class _Space:
    """The loaded model and how it wants its inputs: one in memory for both encoders."""

    def __init__(self, model: Model, location: Location, device: str | None) -> None:
        with loading(model.id, location.path):
            import open_clip

            self.device = torch.device(pick_device(device))
            name = f"local-dir:{location.path}"
            self.model, transform = open_clip.create_model_from_pretrained(name, device=self.device)
            self.model.eval()
            self.tokenizer = open_clip.get_tokenizer(name)
            config = open_clip.get_model_config(name)
        # Resize and crop, by PIL; the last two make a tensor and normalise it, which we do batch by batch:
        # torch in the decoding threads would fight with the model for the cores.
        self.crop = transform.transforms[:-2]
        preprocess = self.model.visual.preprocess_cfg
        self.mean, self.std = (
            torch.tensor(preprocess[key], device=self.device).view(3, 1, 1) for key in ("mean", "std")
        )
        self.context: int = config["text_cfg"].get("context_length", 77)
        self.dim: int = config["embed_dim"]
        pixels = ", ".join(f"{key} {value}" for key, value in sorted(preprocess.items()))
        self.of_images = location.fingerprint(model, "image", self.dim, pixels)
        windows = f"windows of {self.context} tokens, mean"
        self.of_texts = location.fingerprint(model, "text", self.dim, windows)


class ClipImage(PictureEncoder):
    """The image half of a CLIP; `words` is its text half.

    Raises:
        EncodeError: the model cannot be loaded.
    """

    def __init__(self, model: Model, location: Location, *, device: str | None = None) -> None:
        self._space = _Space(model, location, device)
        self._words = ClipText(self._space)
        self._fingerprint = self._space.of_images

    @property
    def words(self) -> Encoder:
        """The text encoder of the same space."""
        return self._words

    def prepared(self, image: Image) -> Tensor:
        """A picture as one tensor [3, h, w] of bytes."""
        image = bounded(image)
        for step in self._space.crop:
            image = step(image)
        return as_bytes(image)

    def forward(self, pieces: Sequence[Any]) -> Vectors:
        """Embeddings [p, e] of p tensors [3, h, w]."""
        space = self._space
        with torch.inference_mode():
            batch = torch.stack(list(pieces)).to(space.device).float().div_(255)
            return as_vectors(space.model.encode_image((batch - space.mean) / space.std))


class ClipText(Pretrained):
    """The text half of a CLIP; a text longer than its context is cut into windows."""

    def __init__(self, space: _Space) -> None:
        self._space = space
        self._lock = Lock()  # a tokenizer of transformers cannot serve two threads at once
        self._fingerprint = space.of_texts

    def pieces(self, value: Any) -> list[Any]:
        """A text as windows that the model takes whole."""
        with self._lock:
            windows = cut(value, self._count, self._space.context - ADDED)
        return [window.text for window in windows]

    def _count(self, text: str) -> int:
        tokenizer = self._space.tokenizer
        if hasattr(tokenizer, "encode"):  # CLIP's own
            return len(tokenizer.encode(text))
        clean = tokenizer.clean_fn(text)  # one of transformers, wrapped
        return len(tokenizer.tokenizer(clean, add_special_tokens=False, verbose=False)["input_ids"])

    def forward(self, pieces: Sequence[Any]) -> Vectors:
        """Embeddings [p, e] of p windows, each padded to the context: there is no length to sort by."""
        with self._lock:
            tokens = self._space.tokenizer(list(pieces))
        with torch.inference_mode():
            return as_vectors(self._space.model.encode_text(tokens.to(self._space.device)))
