"""What is expected of the fields of a catalogue's items by their other fields: see `model.masked_fields`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mmrec.encoders.base import Vectors
from mmrec.model.content import ContentPlan, Slot
from mmrec.model.kernel_ridge import FieldKernel, Reduction, Spans
from mmrec.model.masked_fields import (
    FITTED,
    MAIN,
    Category,
    Embedding,
    Indices,
    Judge,
    Masked,
    Number,
    Own,
    least_odd,
)
from mmrec.search.snapshot import Snapshot
from mmrec.store import schema
from mmrec.types import IMAGE

FEWEST_ITEMS = 300  # with a field, from which on the fields of a catalogue tell anything of each other
CHANCE = 2_000  # items whose values are exchanged, to know what is odd
DEVIATIONS, FACTOR = 8.0, 10.0  # from what is expected, from which on a number is odd however others are
LIKELY = 0.8  # least certainty of a value in whose place another is odd
POSITIVE = 0.95  # share of numbers above 0 from which on their logarithms are predicted
CATEGORIES = ""  # the name of all of them together; no field has an empty one
AT_ONCE = 4_096  # items that are read and judged together
Mask = NDArray[np.bool_]


@dataclass
class Field:
    """One field of the n items of a catalogue, and how it is judged.

    Attributes:
        given: the fields that it is predicted from.
        own: the items' own values [n]; None for embeddings, which are read when they are needed.
        present: which items have it [n].
        log: whether `own` is the logarithm of a number.
        misfit: how ill own values fit [n]; no number where there is none, or nothing to tell of it.
        chance: the same of values that are exchanged by lot [m].
        sound: the same of values of a category that are drawn by what is expected [s].
        best, certainty: of a category the index of the most probable value [n], and how often such a one is
            right [n]; of a number what is expected.
    """

    name: str
    judge: Judge
    given: tuple[str, ...]
    present: Mask
    own: Own | None = None
    log: bool = False

    def __post_init__(self) -> None:
        n = len(self.present)
        self.misfit, self.best = np.full(n, np.nan, np.float32), np.ones(n, np.float32)
        self.certainty, self.chance, self.sound = (np.zeros(k, np.float32) for k in (n, 0, 0))

    @property
    def odd(self) -> Indices:
        """The items whose own value does not fit."""
        limit = least_odd(self.misfit, self.chance, self.sound)
        odd = self.misfit >= limit
        if self.log and self.own is not None:
            odd |= (self.misfit >= DEVIATIONS) & (np.abs(np.log(self.best) - self.own) >= np.log(FACTOR))
        return np.flatnonzero(odd & (self.certainty >= LIKELY) if self.values else odd)

    @property
    def values(self) -> tuple[Any, ...]:
        """The values of a category, by their indices."""
        return self.judge.values if isinstance(self.judge, Category) else ()

    def of(self, rows: Indices, content: Vectors, spans: Spans) -> Own:
        """Own values of some items with reduced content."""
        return content[:, spans[self.name]][:, -MAIN:] if self.own is None else self.own[rows]

    def learn(self, expected: Vectors, own: Own, rng: np.random.Generator) -> None:
        """From items [f, t] that took no part in what is expected of them."""
        self.judge = self.judge.learned(expected, own)
        some = rng.permutation(len(own))[:CHANCE]
        other = rng.permutation(some)
        changed = np.any((own[some] != own[other]).reshape(len(some), -1), axis=1)  # [m] or [m, e] -> [m]
        self.chance = self.judge.misfit(expected[some[changed]], own[other[changed]])
        if isinstance(self.judge, Category):
            self.sound = self.judge.sound(expected[some], rng)

    def take(self, rows: Indices, expected: Vectors, own: Own, told: Mask) -> None:
        """Judges items [b, t], of which `told` have something that tells of this field [b]."""
        fit = self.judge.misfit(expected, own)
        self.misfit[rows] = np.where(told & self.present[rows], fit, np.float32(np.nan))
        if isinstance(self.judge, Category):
            self.best[rows], certainty = self.judge.best(expected)
            self.certainty[rows] = np.where(told, certainty, 0)
        elif isinstance(self.judge, Number):
            self.best[rows] = np.exp(expected[:, 0]) if self.log else expected[:, 0]


def expected_fields(
    snapshot: Snapshot, names: Collection[str] | None = None, rows: Indices | None = None
) -> list[Field]:
    """All fields that can be predicted, or those of some names; of all items or of some (`rows`) alone.

    It is learned from 10,000 items at most, and content is read by blocks, so memory does not grow with it.
    """
    fields = [one for one in _fields(snapshot) if names is None or one.name in names]
    if not fields:
        return []
    rng, layout = np.random.default_rng(0), _Layout.of(snapshot.plan)
    sample = np.sort(rng.permutation(len(snapshot))[:FITTED])
    whole = FieldKernel.of(content := layout(_content(snapshot, sample)), layout.spans)
    reduction = Reduction.of(whole, content)
    content = reduction(content, layout.spans)
    groups: dict[tuple[Any, ...], list[Field]] = defaultdict(list)  # that one regression predicts together
    for one in fields:
        groups[one.given, one.present[sample].tobytes()].append(one)
    learned: list[tuple[list[Field], Masked, list[int]]] = []
    for (given, _), group in groups.items():
        some = group[0].present[sample]
        spans, x, its = {name: reduction.spans[name] for name in given}, content[some], sample[some]
        own = [one.of(its, x, reduction.spans) for one in group]
        targets = [one.judge.targets(values) for one, values in zip(group, own, strict=True)]
        masked = Masked.of(x, spans, layout.weights, np.hstack(targets), its, rng)
        ends = np.cumsum([part.shape[1] for part in targets]).tolist()
        for one, values, part in zip(group, own, np.split(masked.left_out, ends[:-1], axis=1), strict=True):
            one.learn(part, values, rng)
        learned.append((group, masked, ends))
    for its, x in _blocks(snapshot, rows):
        x = reduction(layout(x), layout.spans)
        for group, masked, ends in learned:
            told = np.any([x[:, reduction.spans[name]].any(axis=1) for name in group[0].given], axis=0)
            for one, part in zip(group, np.split(masked(its, x), ends[:-1], axis=1), strict=True):
                one.take(its, part, one.of(its, x, reduction.spans), told)
    return fields


class _Layout(NamedTuple):
    """Content in which all categories are one field beside the embeddings: its likeness is counted once.

    Attributes:
        columns: of the plan's content, in their new order [r].
        spans: where each field lies then.
        weights: of each in a likeness.
    """

    columns: Indices
    spans: Spans
    weights: dict[str, float]

    @classmethod
    def of(cls, plan: ContentPlan) -> _Layout:
        """That of a plan."""
        columns, spans, weights, end = [], {}, dict[str, float](), 0
        for name in dict.fromkeys(map(_member, plan.slots)):
            slots = [slot for slot in plan.slots if _member(slot) == name]
            columns += [np.arange(*plan.spans[slot.name].indices(plan.dim)) for slot in slots]
            weights[name], width = sum(slot.weight for slot in slots), sum(slot.dim for slot in slots)
            spans[name], end = slice(end, end + width), end + width
        return cls(np.concatenate(columns), spans, weights)

    def __call__(self, content: Vectors) -> Vectors:
        """Content [n, c] in this order [n, r]."""
        return content[:, self.columns]


def _member(slot: Slot) -> str:
    """The field of the layout that a slot belongs to."""
    return CATEGORIES if slot.kind == "category" else slot.name


def _fields(snapshot: Snapshot) -> Iterator[Field]:
    """Categories are predicted from texts and pictures alone: siblings such as a department are often wrong
    together with them. Numbers and pictures, of which these say less, are predicted from categories too.
    """
    kinds = {slot.name: slot.kind for slot in snapshot.plan.slots}
    embedded = tuple(name for name, kind in kinds.items() if kind == "embedding")
    every = (*embedded, *([CATEGORIES] if "category" in kinds.values() else []))
    for name, kind in kinds.items():
        if name == IMAGE and len(every) > 1:
            present = np.zeros(len(snapshot), np.bool_)
            for part, block in snapshot.space(IMAGE).blocks():
                present[part] = block.any(axis=1)
            field = Field(name, Embedding(), tuple(other for other in every if other != IMAGE), present)
        elif kind == "embedding" or not embedded or name not in snapshot.attributes:
            continue
        elif kind == "category" and (found := _category(name, snapshot, embedded)):
            field = found
        elif kind == "number" and _spread(name, snapshot):
            field = _number(name, snapshot, every)
        else:
            continue
        if field.present.sum() >= FEWEST_ITEMS:
            yield field


def _category(name: str, snapshot: Snapshot, given: tuple[str, ...]) -> Field | None:
    if pa.types.is_list(snapshot.facts.schema.field(name).type):  # an item has several, and none is the one
        return None
    values = snapshot.facts[name].to_pylist()
    if (judge := Category.of(values)) is None:
        return None
    present = np.array([value is not None for value in values], np.bool_)
    return Field(name, judge, given, present, judge.own(values))


def _spread(name: str, snapshot: Snapshot) -> bool:
    """Whether an attribute holds numbers (not dates), at least three different ones."""
    column = snapshot.facts[name]
    return bool(pa.types.is_floating(column.type)) and len(column.unique().drop_null()) > 2


def _number(name: str, snapshot: Snapshot, given: tuple[str, ...]) -> Field:
    x = snapshot.facts[name].to_numpy().astype(np.float64)  # no number where absent
    log = bool((x[np.isfinite(x)] > 0).sum() >= POSITIVE * np.isfinite(x).sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.where(x > 0, np.log(x), np.nan) if log else x
    return Field(name, Number.of(own), given, np.isfinite(own), own, log)


def _content(snapshot: Snapshot, rows: Indices) -> Vectors:
    """Content [f, c] of some items, before it is made compact."""
    columns = ["item_id", *schema.field_columns(snapshot.table.schema)]
    table = snapshot.table.read([snapshot.ids[row] for row in rows.tolist()], columns).sort_by("item_id")
    return snapshot.plan.embed(schema.fields_of(table))


def _blocks(snapshot: Snapshot, rows: Indices | None) -> Iterator[tuple[Indices, Vectors]]:
    """Indices [b] and content [b, c] of items, in any order."""
    if rows is not None:
        for part in np.split(np.sort(rows), range(AT_ONCE, len(rows), AT_ONCE)):
            yield part, _content(snapshot, part)
        return
    columns = ["item_id", *schema.field_columns(snapshot.table.schema)]
    for batch in snapshot.table.batches(columns):
        found = [snapshot.position[item_id] for item_id in batch["item_id"].to_pylist()]
        yield np.array(found, np.intp), snapshot.plan.embed(schema.fields_of(batch))
