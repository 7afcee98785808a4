"""Image encoders: DINOv2 and its kin (transformers), EfficientNet-Lite0 (timm), CLIP and its kin (open_clip).

A CLIP embeds texts in the space of its pictures, so that words find pictures: its text encoder is here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mmrec.data import images
from mmrec.encoders.base import Encoder, Fingerprint, Pretrained, Vectors, loading, pick_device
from mmrec.encoders.registry import Model
from mmrec.encoders.text import cut
from mmrec.encoders.weights import Location
from mmrec.errors import EncodeError

AT_ONCE = {"cpu": 4}  # pictures in one forward, as fast on a CPU as more: a query waits for no more of them
LITE0 = "tf_efficientnet_lite0"  # timm's name of the architecture
SIDE = 224  # pixels that Lite0 sees ...
RESIZED = 256  # ... of a picture whose shorter side has this many
MAX_ASPECT = 8  # a longer strip is cut: scaled to its short side, it would be gigabytes
ADDED = 3  # tokens that the tokenizers of CLIPs add at most: start, end, class


class VisionEncoder(Pretrained):
    """A vision model of transformers; its embedding is that of the class token, or the pooled one.

    Raises:
        EncodeError: the model cannot be loaded.
    """

    decodes = True

    def __init__(self, model: Model, location: Location, *, device: str | None = None) -> None:
        with loading(model.id, location.path):
            from transformers import AutoImageProcessor, AutoModel

            # backend: torch in the decoding threads would fight with the model for the cores.
            self._processor = AutoImageProcessor.from_pretrained(
                location.path, local_files_only=True, backend="pil"
            )
            self._model, report = AutoModel.from_pretrained(
                location.path, local_files_only=True, output_loading_info=True
            )
            if missing := [key for key in report["missing_keys"] if not key.startswith("pooler.")]:
                raise EncodeError(f"{location.path} lacks weights of {model.id}: {', '.join(missing[:5])}")
            self._device = torch.device(pick_device(device))
            self.batch_size = AT_ONCE.get(self._device.type, 64)
            self._model.eval().float().to(self._device)
            dim = self.forward(self.pieces(Image.new("RGB", (64, 64), "grey"))).shape[1]
        self._fingerprint = location.fingerprint(model, "image", dim, _describe(self._processor.to_dict()))

    def pieces(self, value: Any) -> list[Any]:
        """A picture as one float tensor [3, h, w], scaled and normalised."""
        arrays = self._processor(images=bounded(images.decode(value)), return_tensors="np")
        return [torch.from_numpy(arrays["pixel_values"][0])]

    def forward(self, pieces: Sequence[Any]) -> Vectors:
        """Embeddings [p, e] of p tensors [3, h, w]."""
        with torch.inference_mode():
            output = self._model(pixel_values=torch.stack(list(pieces)).to(self._device))
            if hasattr(getattr(self._model, "embeddings", None), "cls_token"):
                return as_vectors(output.last_hidden_state[:, 0])  # [p, tokens, e] -> [p, e]
            return as_vectors(output.pooler_output.flatten(1))  # [p, e, 1, 1] or [p, e] -> [p, e]


class Lite0Encoder(Pretrained):
    """EfficientNet-Lite0, pooled features [1280]: supervised and small, for where there is no hub.

    Raises:
        EncodeError: the weights cannot be read, or are of another architecture.
    """

    decodes = True

    def __init__(self, model: Model, location: Location, *, device: str | None = None) -> None:
        with loading(model.id, location.path):
            import timm

            self._device = torch.device(pick_device(device))
            self.batch_size = AT_ONCE.get(self._device.type, 64)
            state = torch.load(location.path, map_location="cpu", weights_only=True)
            self._model = timm.create_model(LITE0, pretrained=False)
            self._model.load_state_dict(renamed(state, self._model.state_dict()))
            self._model.reset_classifier(0)
            # channels_last: 1.7 times as fast on a CPU
            self._model.eval().to(self._device, memory_format=torch.channels_last)
        described = f"shorter side {RESIZED}, bicubic, centre {SIDE}, mean = std = .5"
        self._fingerprint = location.fingerprint(model, "image", self._model.num_features, described)

    def pieces(self, value: Any) -> list[Any]:
        """A picture as one tensor [3, 224, 224] of bytes."""
        return [as_bytes(centre(images.decode(value)))]

    def forward(self, pieces: Sequence[Any]) -> Vectors:
        """Features [p, 1280] of p tensors [3, 224, 224]."""
        with torch.inference_mode():
            batch = torch.stack(list(pieces)).to(self._device, memory_format=torch.channels_last)
            return as_vectors(self._model(batch.float().div_(127.5).sub_(1)))


class ClipImage(Pretrained):
    """The image half of a CLIP; `words` is its text half, with the same model in memory.

    Raises:
        EncodeError: the model cannot be loaded.
    """

    decodes = True

    def __init__(self, model: Model, location: Location, *, device: str | None = None) -> None:
        with loading(model.id, location.path):
            import open_clip

            self._device = torch.device(pick_device(device))
            self.batch_size = AT_ONCE.get(self._device.type, 64)
            name = f"local-dir:{location.path}"
            self._model, transform = open_clip.create_model_from_pretrained(name, device=self._device)
            self._model.eval()
            tokenizer, config = open_clip.get_tokenizer(name), open_clip.get_model_config(name)
        # Resize and crop, by PIL; the last two make a tensor and normalise it, which we do batch by batch:
        # torch in the decoding threads would fight with the model for the cores.
        self._crop = transform.transforms[:-2]
        preprocess = self._model.visual.preprocess_cfg
        self._mean, self._std = (
            torch.tensor(preprocess[key], device=self._device).view(3, 1, 1) for key in ("mean", "std")
        )
        dim, context = config["embed_dim"], config["text_cfg"].get("context_length", 77)
        pixels = ", ".join(f"{key} {value}" for key, value in sorted(preprocess.items()))
        self._fingerprint = location.fingerprint(model, "image", dim, pixels)
        of_texts = location.fingerprint(model, "text", dim, f"windows of {context} tokens, mean")
        self._words = ClipText(self._model, self._device, tokenizer, context, of_texts)

    @property
    def words(self) -> Encoder:
        """The text encoder of the same space."""
        return self._words

    def pieces(self, value: Any) -> list[Any]:
        """A picture as one tensor [3, h, w] of bytes."""
        image = bounded(images.decode(value))
        for step in self._crop:
            image = step(image)
        return [as_bytes(image)]

    def forward(self, pieces: Sequence[Any]) -> Vectors:
        """Embeddings [p, e] of p tensors [3, h, w]."""
        with torch.inference_mode():
            batch = torch.stack(list(pieces)).to(self._device).float().div_(255)
            return as_vectors(self._model.encode_image((batch - self._mean) / self._std))


class ClipText(Pretrained):
    """The text half of a CLIP; a text longer than its context (in tokens) is cut into windows."""

    def __init__(
        self, model: Any, device: torch.device, tokenizer: Any, context: int, fingerprint: Fingerprint
    ) -> None:
        self._model, self._device, self._tokenizer, self._context = model, device, tokenizer, context
        self._lock = Lock()  # a tokenizer of transformers cannot serve two threads at once
        self._fingerprint = fingerprint

    def pieces(self, value: Any) -> list[Any]:
        """A text as windows that the model takes whole."""
        with self._lock:
            return [window.text for window in cut(value, self._count, self._context - ADDED)]

    def _count(self, text: str) -> int:
        if hasattr(self._tokenizer, "encode"):  # CLIP's own
            return len(self._tokenizer.encode(text))
        clean = self._tokenizer.clean_fn(text)  # one of transformers, wrapped
        return len(self._tokenizer.tokenizer(clean, add_special_tokens=False, verbose=False)["input_ids"])

    def forward(self, pieces: Sequence[Any]) -> Vectors:
        """Embeddings [p, e] of p windows, each padded to the context: there is no length to sort by."""
        with self._lock:
            tokens = self._tokenizer(list(pieces))
        with torch.inference_mode():
            return as_vectors(self._model.encode_text(tokens.to(self._device)))


def centre(image: Image.Image) -> Image.Image:
    """The centre square of a picture [224, 224]; scales that square alone, not what would be cut off."""
    side = min(image.size) * SIDE / RESIZED
    left, top = ((length - side) / 2 for length in image.size)
    return image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))


def bounded(image: Image.Image) -> Image.Image:
    """The picture, or the middle of a strip longer than `MAX_ASPECT` times its width."""
    longest = MAX_ASPECT * min(image.size)
    width, height = (min(length, longest) for length in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image if (width, height) == image.size else image.crop((left, top, left + width, top + height))


def as_bytes(image: Image.Image) -> Tensor:
    """An RGB picture as a tensor [3, h, w] of bytes."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)  # [h, w, 3] -> [3, h, w]


def as_vectors(output: Tensor) -> Vectors:
    """A tensor of any device as a float32 array."""
    return np.asarray(output.float().cpu().numpy(), np.float32)


def renamed(state: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names of `wanted`: the same entries in the same order, named by another library.

    Raises:
        EncodeError: they are not the same, by number or shape.
    """
    if [tuple(t.shape) for t in state.values()] != [tuple(t.shape) for t in wanted.values()]:
        raise EncodeError(
            f"{len(state)} weights do not have the number ({len(wanted)}) or the shapes of {LITE0}:"
            " the file is of another model"
        )
    return dict(zip(wanted, state.values(), strict=True))


def _describe(processor: dict[str, Any]) -> str:
    keys = ("size", "crop_size", "resample", "image_mean", "image_std")
    parts = [f"{key} {processor[key]}" for key in keys if processor.get(key) is not None]
    return f"{processor.get('image_processor_type')}: {', '.join(parts)}"
