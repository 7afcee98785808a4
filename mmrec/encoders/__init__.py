"""Self-supervised pretrained models behind one small protocol."""

from __future__ import annotations

from mmrec.encoders.base import Encoder, Fingerprint, ToyImage, ToyText
from mmrec.encoders.descriptor import Descriptor
from mmrec.encoders.registry import MODELS, find
from mmrec.encoders.weights import choose, fetch
from mmrec.errors import EncodeError

__all__ = ["MODELS", "Encoder", "Fingerprint", "load_encoder"]


def load_encoder(name: str, modality: str, *, device: str | None = None) -> Encoder:
    """A ready encoder of one modality.

    Args:
        name: `"auto"`, `"toy"`, an id of `MODELS`, a hub name like `"organisation/model"`, or a folder.
        device: such as `"cpu"` or `"cuda"`; None takes the best there is.

    Raises:
        EncodeError: the name means no model of this modality, or it cannot be had or loaded.
        MissingExtra: its weights come in a package that is not installed.
    """
    model = choose(modality) if name == "auto" else find(name, modality)
    location = fetch(model)
    if location.family == "toy":
        return ToyImage() if modality == "image" else ToyText()
    if location.family == "mmrec":
        return Descriptor()
    from mmrec.encoders import audio, image, text  # with torch, which those above can do without

    match location.family, modality:
        case "sentence-transformers", "text":
            return text.TextEncoder(model, location, device=device)
        case "transformers", "image":
            return image.VisionEncoder(model, location, device=device)
        case "timm", "image":
            return image.Lite0Encoder(model, location, device=device)
        case "open_clip", "image":
            return image.ClipImage(model, location, device=device)
        case "open_clip", "text":
            return image.ClipImage(model, location, device=device).words
        case "transformers", "audio":
            return audio.load(model, location, device=device)
        case "transformers", "text" if words := audio.load(model, location, device=device).words:
            return words
    raise EncodeError(f"{location.path} is a model for {location.family}, which encodes no {modality}")
