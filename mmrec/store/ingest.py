"""The road of an item into the store: digest -> compare -> encode what is new -> write, chunk by chunk."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmrec.data import images
from mmrec.data.files import item_as_dict
from mmrec.encoders.base import Encoder, Vectors
from mmrec.errors import DataError
from mmrec.model.content import Embedded, Fields
from mmrec.store import schema
from mmrec.store.catalogue import Catalogue, Draft, Stored
from mmrec.types import IMAGE, LABELS, IngestReport, Item, Rejection

SMALLEST, LARGEST = 256, 4_096  # items of a chunk: what an interruption costs at most
BRISK, SLOW = 2.0, 8.0  # seconds a chunk should take; the size follows
REMEMBERED = 20_000  # texts whose embedding is kept for the next item that says the same
Progress = Callable[[int], None]
Accept = Callable[[Sequence[str]], None]


class Intake:
    """One ingest into one catalogue.

    Args:
        strict: stop at the first rejected row, after storing all rows before it.
    """

    def __init__(self, catalogue: Catalogue, *, strict: bool = False) -> None:
        self.catalogue, self.strict = catalogue, strict
        self.counts = {"added": 0, "updated": 0, "unchanged": 0}
        self.rejections: list[Rejection] = []
        self.encoder_calls = 0
        self._memory: OrderedDict[str, Vectors] = OrderedDict()

    def run(
        self, rows: Iterable[Item | Rejection], progress: Progress | None = None, accept: Accept | None = None
    ) -> IngestReport:
        """Takes every row in; what a killed run stored stays, and costs nothing the next time."""
        started = time.perf_counter()
        self.catalogue.mend()
        for chunk in self._chunks(rows):
            taken = self._take(chunk)
            if accept:
                accept(taken)
            if progress:
                progress(len(chunk))
            if self.strict and self.rejections:
                raise _refusal(self.rejections[0])
        if self.counts["added"] or self.counts["updated"]:
            self.catalogue.finish()
        return IngestReport(
            **self.counts, rejected=len(self.rejections), encoder_calls=self.encoder_calls,
            seconds=time.perf_counter() - started, rejections=tuple(self.rejections),
        )

    def _chunks(self, rows: Iterable[Item | Rejection]) -> Iterator[list[Item | Rejection]]:
        """Chunks that take some seconds each, whatever the encoders."""
        size, chunk = SMALLEST, []
        for row in rows:
            chunk.append(row)
            if len(chunk) >= size or (self.strict and isinstance(row, Rejection)):
                before = time.perf_counter()
                yield chunk
                seconds, chunk = time.perf_counter() - before, []
                size = min(LARGEST, 2 * size) if seconds < BRISK else size
                size = max(SMALLEST, size // 2) if seconds > SLOW else size
        if chunk:
            yield chunk

    def _take(self, chunk: Sequence[Item | Rejection]) -> list[str]:
        """One chunk into the store; the last row of an id wins, or the one before if that is rejected."""
        waiting: dict[str, list[Item]] = {}
        for row in chunk:
            if isinstance(row, Item):
                waiting.setdefault(row.item_id, []).append(row)
        taken: list[str] = []
        while waiting:
            outcome = self._store([versions[-1] for versions in waiting.values()])
            for item_id, versions in waiting.items():
                what = outcome.get(item_id)
                if what is None:  # strict, and beyond the row that stops it
                    waiting[item_id] = []
                elif isinstance(what, Rejection):
                    self.rejections.append(what)
                    waiting[item_id] = versions[:-1]
                else:
                    self.counts[what] += 1
                    self.counts["updated"] += len(versions) - 1  # rows that a later one replaced
                    taken.append(item_id)
                    waiting[item_id] = []
            waiting = {item_id: versions for item_id, versions in waiting.items() if versions}
        self.rejections += [_as_rejection(row) for row in chunk if not isinstance(row, Item)]
        return taken

    def _store(self, items: Sequence[Item]) -> dict[str, str | Rejection]:
        """What became of items with different ids: a count's name, or a rejection."""
        stored = self.catalogue.lookup([item.item_id for item in items])
        types = schema.attribute_types(self.catalogue.table.schema)
        outcome: dict[str, str | Rejection] = {}
        drafts: list[Draft] = []
        for item in items:
            try:
                draft = self._draft(item, stored.get(item.item_id), types)
            except DataError as error:
                outcome[item.item_id] = _rejection(item, error)
                if self.strict:
                    break
                continue
            if draft.before and draft.before.digest == draft.digest:
                outcome[item.item_id] = "unchanged"
            else:
                drafts.append(draft)
        if drafts:
            outcome |= self._write(drafts)
        return outcome

    def _draft(self, item: Item, before: Stored | None, types: dict[str, pa.DataType]) -> Draft:
        """The item with its digests.

        Raises:
            DataError: a picture cannot be read, or an attribute does not fit its column.
        """
        schema.check_types(item, types)
        digests = {name: schema.digest(text) for name, text in item.text.items()}
        if words := schema.labels(item):
            digests[LABELS] = schema.digest("\n".join(words))
        if item.images and IMAGE in self.catalogue.encoders:  # else nobody looks at them
            digests[IMAGE] = schema.digest(" ".join(images.digest(source) for source in item.images))
        for name, value in item.attributes.items():
            types.setdefault(name, schema.arrow_type(value))  # a later item of the chunk must agree
        added_at = item.added_at and item.added_at.isoformat()
        whole = json.dumps([schema.record(item), digests, added_at], sort_keys=True)
        return Draft(item, schema.digest(whole), digests, before)

    def _write(self, drafts: list[Draft]) -> dict[str, str | Rejection]:
        fields, failures = self.fields(drafts)
        good = [i for i in range(len(drafts)) if i not in failures]
        if self.strict and failures:
            good = [i for i in good if i < min(failures)]
        if good:
            self.catalogue.write([drafts[i] for i in good], _only(fields, good), datetime.now(UTC))
        outcome: dict[str, str | Rejection] = {
            drafts[i].item.item_id: "updated" if drafts[i].before else "added" for i in good
        }
        return outcome | {drafts[i].item.item_id: _rejection(drafts[i].item, e) for i, e in failures.items()}

    def fields(self, drafts: Sequence[Draft]) -> tuple[Fields, dict[int, Exception]]:
        """Embeddings and attributes of drafts: what did not change is read, the rest encoded."""
        kept = self._kept(drafts)
        embeddings: dict[str, Embedded] = {}
        failures: dict[int, Exception] = {}
        if IMAGE in self.catalogue.encoders:
            part, failures = self._images(drafts, kept)
            embeddings |= part
        if "text" in self.catalogue.encoders:
            embeddings |= self._texts(drafts, kept, failures)
        names = dict.fromkeys(name for d in drafts for name in d.item.attributes)
        attributes = {name: [d.item.attributes.get(name) for d in drafts] for name in names}
        return Fields(len(drafts), embeddings, attributes), failures

    def _kept(self, drafts: Sequence[Draft]) -> dict[tuple[int, str], Vectors]:
        """Stored embeddings of fields that are as before, by (position, field)."""
        same = {
            d.item.item_id: (i, names) for i, d in enumerate(drafts)
            if d.before and (names := _unchanged(d.digests, json.loads(d.before.digests)))
        }
        dims = schema.embedding_dims(self.catalogue.table.schema)
        columns = [schema.EMBEDDING + name for name in dims]
        kept: dict[tuple[int, str], Vectors] = {}
        if same and columns:
            found = self.catalogue.table.read(list(same), columns)
            fields = schema.fields_of(found)
            for row, item_id in enumerate(found["item_id"].to_pylist()):
                position, names = same[item_id]
                for name in names & fields.embeddings.keys():
                    values, present = fields.embeddings[name]
                    if present[row]:
                        kept[position, name] = values[row]
        return kept

    def _texts(
        self, drafts: Sequence[Draft], kept: dict[tuple[int, str], Vectors], failures: Container[int]
    ) -> dict[str, Embedded]:
        """Every named text of every draft that has not failed, and the sum of its categories."""
        items = [(i, draft.item) for i, draft in enumerate(drafts) if i not in failures]
        wanted = {(i, name): [text] for i, item in items for name, text in item.text.items()}
        wanted |= {(i, LABELS): words for i, item in items if (words := schema.labels(item))}
        known = self._encoded([t for place, texts in wanted.items() if place not in kept for t in texts])
        parts = {name: _empty(len(drafts), self.catalogue.encoders["text"]) for _, name in wanted}
        for (i, name), texts in wanted.items():
            vector = kept.get((i, name))
            parts[name].values[i] = np.sum([known[t] for t in texts], axis=0) if vector is None else vector
            parts[name].present[i] = True
        return parts

    def _encoded(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """Unit embeddings [e] by text; equal texts are encoded once."""
        unique = dict.fromkeys(texts)
        new = [text for text in unique if text not in self._memory]
        vectors = self.catalogue.encoders["text"].embed([[text] for text in new]) if new else ()
        known = dict(zip(new, vectors, strict=True))
        known |= {text: self._memory[text] for text in unique if text not in known}
        self.encoder_calls += len(new)
        self._remember(known)
        return known

    def _images(
        self, drafts: Sequence[Draft], kept: dict[tuple[int, str], Vectors]
    ) -> tuple[dict[str, Embedded], dict[int, Exception]]:
        """The pictures of every draft, and the errors of those that cannot be read, by position."""
        encoder = self.catalogue.encoders[IMAGE]
        having = [i for i, d in enumerate(drafts) if d.item.images]
        new = [i for i in having if (i, IMAGE) not in kept]
        vectors, errors = encoder.embed_or_reject([drafts[i].item.images for i in new])
        failures = {new[j]: error for j, error in errors.items()}
        self.encoder_calls += sum(len(drafts[i].item.images) for i in new if i not in failures)
        part = _empty(len(drafts), encoder)
        part.present[having] = True
        part.values[new] = vectors
        for i in set(having) - set(new):
            part.values[i] = kept[i, IMAGE]
        return ({IMAGE: part} if having else {}), failures

    def _remember(self, known: dict[str, Vectors]) -> None:
        self._memory.update(known)
        while len(self._memory) > REMEMBERED:
            self._memory.popitem(last=False)


def encode_alone(catalogue: Catalogue, item: Item) -> Fields:
    """Embeddings and attributes of one item that is not to be stored: the same road, without the store.

    Raises:
        DataError: a picture cannot be read.
    """
    fields, failures = Intake(catalogue).fields([Draft(item, "", {}, None)])
    for error in failures.values():
        raise error
    return fields


def _unchanged(now: Any, before: dict[str, str]) -> set[str]:
    return {name for name, value in now.items() if before.get(name) == value}


def _empty(n: int, encoder: Encoder) -> Embedded:
    return Embedded(np.zeros((n, encoder.dim), np.float32), np.zeros(n, np.bool_))


def _only(fields: Fields, rows: Sequence[int]) -> Fields:
    """The fields of some rows; a field that none of them has is left out."""
    parts = {n: Embedded(e.values[rows], e.present[rows]) for n, e in fields.embeddings.items()}
    lists = {n: [values[i] for i in rows] for n, values in fields.attributes.items()}
    return Fields(
        len(rows), {n: e for n, e in parts.items() if e.present.any()},
        {n: v for n, v in lists.items() if any(x is not None for x in v)},
    )


def _as_rejection(row: object) -> Rejection:
    if isinstance(row, Rejection):
        return row
    return Rejection(reason=f"expected an mmrec.Item, got {type(row).__name__}: build Items, see read_items")


def _rejection(item: Item, error: Exception) -> Rejection:
    return Rejection(
        reason=str(error), item_id=item.item_id, field=getattr(error, "field", None), line=item.line,
        row=_row(item),
    )


def _row(item: Item) -> dict[str, Any]:
    """The item as JSON, without PIL images if one of them cannot even be written down."""
    try:
        return item_as_dict(item)
    except Exception:  # Pillow raises whatever there is for an image that was closed or cut off
        kept = [image for image in item.images if isinstance(image, str | Path | bytes)]
        return item_as_dict(replace(item, image=kept))


def _refusal(rejection: Rejection) -> DataError:
    where = f"line {rejection.line}: " if rejection.line else ""
    who = f"item {rejection.item_id!r}: " if rejection.item_id else ""
    return DataError(where + who + rejection.reason, field=rejection.field)
