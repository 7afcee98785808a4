"""Loading a model of another library: quietly, on the right device, with our own error."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mmrec.errors import EncodeError


@contextmanager
def opening(model: str, path: Path) -> Iterator[None]:
    """Keeps bars, chatter and warnings of the libraries off the user's screen while a model loads.

    Raises:
        EncodeError: whatever the library raised, with the path and what to do.
    """
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # about the libraries' own code: nothing a caller could act on
        stack.enter_context(_silent_root())
        stack.enter_context(_silent_transformers())
        try:
            yield
        except EncodeError:
            raise
        except Exception as error:
            raise EncodeError(
                f"{model} cannot be loaded from {path}: {type(error).__name__}: {str(error)[:300]}."
                " Check that the folder holds the whole model, or delete it and download again"
            ) from error


def pick_device(device: str | None) -> str:
    """The device named, or the best that this machine has."""
    import torch

    if device is not None:
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@contextmanager
def _silent_root() -> Iterator[None]:
    """open_clip calls `logging.info`, which would set up a root logger that has no handler: give it one."""
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)


@contextmanager
def _silent_transformers() -> Iterator[None]:
    from transformers.utils import logging as chatter

    verbosity, bars = chatter.get_verbosity(), chatter.is_progress_bar_enabled()
    chatter.set_verbosity_error()
    chatter.disable_progress_bar()
    try:
        yield
    finally:
        chatter.set_verbosity(verbosity)
        if bars:
            chatter.enable_progress_bar()
