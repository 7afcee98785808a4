"""Self-supervised pretrained models behind one small protocol."""

from __future__ import annotations

from mmrec.encoders.base import Encoder, Fingerprint
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
    match location.family, modality:  # each family's module is imported only when one of its models is wanted
        case "sentence-transformers", "text":
            from mmrec.encoders.text import TextEncoder

            return TextEncoder(model, location, device=device)
        case "transformers", "image":
            from mmrec.encoders.image import VisionEncoder

            return VisionEncoder(model, location, device=device)
        case "timm", "image":
            from mmrec.encoders.image import Lite0Encoder

            return Lite0Encoder(model, location, device=device)
        case "open_clip", "image" | "text":
            from mmrec.encoders.clip import ClipImage

            images = ClipImage(model, location, device=device)
            return images if modality == "image" else images.words
        case "toy", "image" | "text":
            from mmrec.encoders.toy import ToyImage, ToyText

            return ToyImage() if modality == "image" else ToyText()
    raise EncodeError(f"{location.path} is a model for {location.family}, which encodes no {modality}")
