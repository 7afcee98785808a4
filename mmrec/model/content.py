"""Late fusion: an item's field embeddings and attributes as one content vector. Nothing is learned here.

Each field has a slot of the content vector. A slot is centred on the catalogue's mean (pretrained encoders
crowd their outputs into a narrow cone; the direction they share says nothing about an item), brought to
norm 1 and scaled by the root of its weight; the whole is brought to norm 1 again. The cosine of two items
of the same fields is then the weighted mean of those fields' cosines. An absent field is an absent slot,
never a vector of zeros taken for content; one that only the other item has brings the cosine nearer to 0.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmrec.config import Config
from mmrec.encoders.base import Vectors, unit
from mmrec.errors import StoreError
from mmrec.model.closed_form import directions
from mmrec.types import LABELS

NUMBER_WIDTH = 0.5  # two numbers this many deviations apart have a cosine of exp(-1/2)
NUMBER_REACH = 4.0  # deviations from the median at which a number is clipped
NUMBER_NODES = 12  # frequencies of a number's features; two features each
NUMBER_STEP = 0.31  # between frequencies; the cosine repeats beyond 2 reaches, the tail left out is 2e-4
FREQUENCIES = NUMBER_STEP * np.arange(0.5, NUMBER_NODES)  # [nodes], midpoints under a Gaussian
CATEGORY_DIM = 64  # the random vectors of two values have a cosine of 0 +- 1/8
PRIOR = 32  # a mean over few items is shrunk as if this many items lay at the origin
TELLING = 50  # values of a category that say whether items share any
SHARED = 0.1  # of them, below which they are codes of single items
ENOUGH = 50_000  # items after which means and scales are not estimated again while ingesting
COMPACT = 256  # numbers of compact content
FIRST_COMPACT = 2_000  # items whose directions are worth more than all numbers
MOST_COMPACT = 10_000  # items that tell the directions
FLATNESS = 0.6  # of compact content: cold recall of films is best by it on validation
_DIRECTIONS = "/directions"  # in the file, where else the names of slots are
SlotKind = Literal["embedding", "number", "category"]


class Embedded(NamedTuple):
    """Embeddings of one field: values [n, e], and which rows have the field [n]."""

    values: Vectors
    present: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Fields:
    """What is known of n items before fusion.

    Attributes:
        embeddings: of text fields and pictures, by field.
        attributes: n values of each attribute, `None` where absent.
    """

    n: int
    embeddings: Mapping[str, Embedded] = field(default_factory=dict)
    attributes: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def kinds(self) -> dict[str, tuple[SlotKind, int]]:
        """Kind and width of the slot that each field asks for; a text field hides its namesake attribute."""
        asked: dict[str, tuple[SlotKind, int]]
        asked = {name: ("embedding", part.values.shape[1]) for name, part in self.embeddings.items()}
        for name, values in self.attributes.items():
            first = next((v for v in values if v is not None), None)
            if first is not None and name not in asked:
                asked[name] = ("number", 2 * NUMBER_NODES) if is_number(first) else ("category", CATEGORY_DIM)
        return asked


@dataclass(frozen=True, slots=True)
class Slot:
    """One field's place in the content vector.

    Attributes:
        weight: share of the field in a cosine, before the sharing out among present fields.
        centre: of a number, its median (dates: seconds since 1970).
        scale: of a number, its robust standard deviation.
    """

    name: str
    kind: SlotKind
    dim: int
    weight: float
    centre: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class ContentPlan:
    """How fields become content: slots in order, and the mean of each.

    Attributes:
        seen: items that all of it was estimated on.
        means: mean [dim] of each centred slot, by name.
        unshared: attributes without a slot, for hardly two items share a value: EANs and other codes.
        directions: of the content [c, k], which make it compact; None in a small catalogue.
    """

    slots: tuple[Slot, ...] = ()
    seen: int = 0
    means: Mapping[str, Vectors] = field(default_factory=dict)
    unshared: frozenset[str] = frozenset()
    directions: Vectors | None = None

    @property
    def dim(self) -> int:
        """Width of the content, c."""
        return sum(slot.dim for slot in self.slots)

    @property
    def spans(self) -> dict[str, slice]:
        """Where each field lies in the content."""
        ends = np.cumsum([slot.dim for slot in self.slots]).tolist()
        return {s.name: slice(end - s.dim, end) for s, end in zip(self.slots, ends, strict=True)}

    def covers(self, fields: Fields, config: Config) -> bool:
        """Whether every embedded field of these items that weighs anything has a slot.

        Attributes without a slot wait until the plan is fitted again, unless it has no slot at all.
        """
        known = {slot.name for slot in self.slots if slot.kind == "embedding"}
        needed = {n: kind for n, (kind, _) in fields.kinds().items() if _weight(n, kind, config) > 0}
        return {n for n, kind in needed.items() if kind == "embedding" or not self.slots} <= known

    def outgrown(self, n: int) -> bool:
        """Whether a catalogue of n items deserves means and scales from more of it."""
        return n >= 2 * self.seen and self.seen < ENOUGH

    def fitted(self, fields: Fields, config: Config) -> ContentPlan:
        """This plan with slots for all fields seen so far, and means and scales from these items."""
        known = {s.name: s for s in self.slots}
        for name, (kind, dim) in fields.kinds().items():
            if name not in known or known[name].kind not in (kind, "embedding"):  # it may have another type
                known[name] = Slot(name, kind, dim, 0.0)
        every = (replace(s, weight=_weight(s.name, s.kind, config)) for s in known.values())
        weighed = [slot for slot in every if slot.weight > 0]
        labelled = (s.name for s in weighed if s.kind == "category" and s.name not in config.weights)
        unshared = frozenset(name for name in labelled if _unshared(fields.attributes.get(name, ())))
        if len(unshared) == len(weighed):  # there is nothing else to go by
            unshared = frozenset()
        shared = [slot for slot in weighed if slot.name not in unshared]
        slots = tuple(_scaled(slot, fields.attributes.get(slot.name, ())) for slot in shared)
        read = {s.name: _read(s, fields) for s in slots if s.kind != "category"}
        means = {n: x.values.sum(axis=0) / np.float32(x.present.sum() + PRIOR) for n, x in read.items()}
        plan = ContentPlan(slots, fields.n, means, unshared)
        if plan.dim <= COMPACT or fields.n < FIRST_COMPACT:
            return plan
        content = plan.embed(fields)[:: -(-fields.n // MOST_COMPACT)]
        for span in plan.spans.values():  # a rare field counts as if all items had it
            content[:, span] /= np.sqrt(np.float32(max(content[:, span].any(axis=1).mean(), 1 / fields.n)))
        return replace(plan, directions=directions(content, COMPACT, FLATNESS))

    def embed(self, fields: Fields) -> Vectors:
        """Content [n, c] of n items, unit rows; an item that has none of the fields gets zeros."""
        return self.fuse({slot.name: self.part(slot.name, fields) for slot in self.slots}, fields.n)

    def part(self, name: str, fields: Fields) -> Vectors:
        """One field's centred unit features [n, dim of its slot]; zeros where the field is absent."""
        x, present = _read(self.slot(name), fields)
        return unit((x - self.means[name]) * present[:, None] if name in self.means else x)

    def fuse(self, parts: Mapping[str, Vectors], n: int) -> Vectors:
        """Content [n, c] of parts; a field without a part is absent."""
        content = np.zeros((n, self.dim), np.float32)
        for name, span in self.spans.items():
            if name in parts:
                content[:, span] = np.sqrt(np.float32(self.slot(name).weight)) * parts[name]
        return unit(content)

    def compacted(self, content: Vectors) -> Vectors:
        """Content [n, c] along the catalogue's directions, unit rows [n, k], k <= 256."""
        return content if self.directions is None else unit(content @ self.directions)  # [n, c] @ [c, k]

    def shares(self, content: Vectors, query: Vectors) -> dict[str, Vectors]:
        """What each field of content [n, c] adds to its inner product with a compact query [k]: [n] each."""
        if self.directions is not None:
            norms = np.linalg.norm(content @ self.directions, axis=1, keepdims=True)
            content, query = content / np.maximum(norms, 1e-12), self.directions @ query  # [c, k] @ [k]
        return {name: content[:, span] @ query[span] for name, span in self.spans.items()}

    def slot(self, name: str) -> Slot:
        """The slot of a field."""
        return next(slot for slot in self.slots if slot.name == name)

    def save(self) -> bytes:
        """The plan as a safetensors file; the slots are in its metadata."""
        from safetensors.numpy import save

        told = {"slots": [asdict(slot) for slot in self.slots], "unshared": sorted(self.unshared)}
        header = {"seen": str(self.seen)} | {name: json.dumps(value) for name, value in told.items()}
        arrays = dict(self.means) | ({} if self.directions is None else {_DIRECTIONS: self.directions})
        return bytes(save({n: np.ascontiguousarray(x, np.float32) for n, x in arrays.items()}, header))

    @classmethod
    def load(cls, packed: bytes, name: str) -> ContentPlan:
        """Reads what `save` gave.

        Raises:
            StoreError: the file of this name is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            arrays, length = load(packed), int.from_bytes(packed[:8], "little")  # of the header
            header = json.loads(packed[8 : 8 + length])["__metadata__"]
            slots = tuple(Slot(**slot) for slot in json.loads(header["slots"]))
            means = {slot.name: arrays[slot.name] for slot in slots if slot.name in arrays}
            unshared = frozenset(json.loads(header.get("unshared", "[]")))
            return cls(slots, int(header["seen"]), means, unshared, arrays.get(_DIRECTIONS))
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            what = f"cannot read the content plan {name}: {error}. Run `mmrec doctor` on the store"
            raise StoreError(what) from error


def is_number(value: object) -> bool:
    """Whether an attribute value is measured on a line (a number or a date) rather than named."""
    return isinstance(value, int | float | datetime) and not isinstance(value, bool)


def number_features(values: Sequence[Any], slot: Slot) -> Vectors:
    """Fourier features [n, 24] of n numbers, whose cosine falls with their distance as a Gaussian.

    Source: Rahimi & Recht 2007, random Fourier features, but with the frequencies of the midpoint rule.
    """
    weights = np.exp(-(FREQUENCIES**2) / 2)
    shares = np.sqrt(weights / weights.sum())
    z = np.array([np.nan if v is None else (_real(v) - slot.centre) / slot.scale for v in values])
    angles = np.clip(z, -NUMBER_REACH, NUMBER_REACH)[:, None] * FREQUENCIES / NUMBER_WIDTH  # [n, nodes]
    x = np.hstack([shares * np.cos(angles), shares * np.sin(angles)])  # [n, 2 * nodes]
    return np.nan_to_num(x).astype(np.float32)


def category_features(values: Sequence[Any], name: str) -> Vectors:
    """Sums [n, 64] of one fixed random vector for each value: equal values agree, others are unrelated."""
    rows = np.zeros((len(values), CATEGORY_DIM), np.float32)
    for row, value in zip(rows, values, strict=True):
        for label in _labels(value):
            row += _random_vector(f"{name}={label}")
    return rows


def _labels(value: Any) -> Iterable[str]:
    if value is None:
        return ()
    return value if isinstance(value, list | tuple | np.ndarray) else (str(value),)


@lru_cache(maxsize=65_536)
def _random_vector(label: str) -> Vectors:
    seed = int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(CATEGORY_DIM).astype(np.float32)


def _real(value: Any) -> float:
    return value.timestamp() if isinstance(value, datetime) else float(value)


def _read(slot: Slot, fields: Fields) -> Embedded:
    """Features [n, dim] before centring; zeros where the field is absent, or hidden by a text of its name."""
    values, embedded = fields.attributes.get(slot.name), fields.embeddings.get(slot.name)
    if slot.kind == "embedding" and embedded is not None:
        return embedded
    if slot.kind == "embedding" or embedded is not None or values is None:
        return Embedded(np.zeros((fields.n, slot.dim), np.float32), np.zeros(fields.n, np.bool_))
    first = next((value for value in values if value is not None), None)
    if is_number(first) != (slot.kind == "number"):  # absent, or of another type than it was for the plan
        values = [None] * fields.n
    present = np.array([value is not None for value in values], np.bool_)
    x = number_features(values, slot) if slot.kind == "number" else category_features(values, slot.name)
    return Embedded(x, present)


def _weight(name: str, kind: SlotKind, config: Config) -> float:
    if name == LABELS:
        return 0.0  # categories take part by their values; as words they serve text queries alone
    return config.weights.get(name, 1.0 if kind == "embedding" else config.attribute_weight)


def _unshared(values: Sequence[Any]) -> bool:
    """Whether the values of a category hardly come twice, in a catalogue that is big enough to tell."""
    labels = [label for value in values for label in _labels(value)]
    return len(labels) >= TELLING and len(set(labels)) > (1 - SHARED) * len(labels)


def _scaled(slot: Slot, values: Sequence[Any]) -> Slot:
    """The slot with the centre and scale of a number's values: median, and quartile range as deviation."""
    if not (x := [_real(v) for v in values if v is not None and slot.kind == "number"]):
        return slot
    low, middle, high = np.percentile(x, [25, 50, 75])
    scale = (high - low) / 1.349 or np.std(x) or 1.0  # 1.349: quartile range of a normal distribution
    return replace(slot, centre=float(middle), scale=float(scale))
