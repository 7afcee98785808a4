"""The road of an item into the store: digest -> compare -> encode what is new -> write, chunk by chunk."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from mmrec.data.media import Refused
from mmrec.data.rows import together
from mmrec.encoders.modality import MODALITIES, TEXT
from mmrec.errors import DataError, Rejection
from mmrec.store import schema
from mmrec.store.catalogue import Catalogue
from mmrec.store.encoding import Encoding
from mmrec.store.fitting import common_types, fitting, given_dims
from mmrec.store.schema import Draft, Stored
from mmrec.types import IMAGE, NOUNS, IngestReport, Item

log = logging.getLogger(__name__)
SMALLEST, LARGEST = 256, 4_096  # items of a chunk
BRISK = 2.0  # seconds; a chunk that takes less may be bigger, whatever it is spent on
LONG = 30.0  # seconds of encoding that an interruption may cost
SHARE = 0.1  # of the encoding's seconds: what a write may take before chunks grow
HELD = 64 * 2**20  # bytes of files kept between their digest and their encoding; others are read again
Progress = Callable[[int], None]
Accept = Callable[[Sequence[str]], None]


class Intake:
    """One ingest into one catalogue.

    A part that cannot be used costs its item nothing else: the item is stored without it.

    Args:
        strict: stop at the first row that cannot be taken whole, after storing all rows before it.
    """

    def __init__(self, catalogue: Catalogue, *, strict: bool = False) -> None:
        self.catalogue, self.strict = catalogue, strict
        self.counts = {"added": 0, "updated": 0, "unchanged": 0}
        self.rejections: list[Rejection] = []
        self.incomplete: dict[str, Rejection] = {}  # by id, items that were taken without a part
        self.encoding = Encoding(catalogue)
        self._encoded_by = catalogue.encoded_by
        self._held = 0  # bytes, of this chunk
        self._given: dict[str, Item] = {}  # by id, of this chunk, with all their parts ...
        self._lost: dict[str, list[DataError]] = {}  # ... and what is wrong with parts that they go without

    def run(
        self, rows: Iterable[Item | Rejection], progress: Progress | None = None, accept: Accept | None = None
    ) -> IngestReport:
        """Takes every row in; what a killed run stored stays, and costs nothing the next time."""
        started, ahead = time.perf_counter(), 0
        self.catalogue.mend()
        for chunk in self._chunks(rows):
            taken = self._take(chunk)
            ahead += schema.ahead(row.added_at for row in chunk if isinstance(row, Item) and row.added_at)
            if accept:
                accept(taken)
            if progress:
                progress(len(chunk))
            if self.strict and self.rejections:
                raise _refusal(self.rejections[0])
        if self.counts["added"] or self.counts["updated"]:
            self.catalogue.finish()
        if ahead:
            log.warning("%d items lie in the future (is a clock wrong?): not new before their time", ahead)
        return IngestReport(
            **self.counts, rejected=len(self.rejections), encoder_calls=self.encoding.calls,
            seconds=time.perf_counter() - started, rejections=tuple(self.rejections),
            without_picture=sum(one.field == IMAGE for one in self.incomplete.values()),
            incomplete=tuple(self.incomplete.values()),
        )

    def _chunks(self, rows: Iterable[Item | Rejection]) -> Iterator[list[Item | Rejection]]:
        size, chunk = SMALLEST, []
        for row in rows:
            chunk.append(row)
            if len(chunk) >= size or (self.strict and isinstance(row, Rejection)):
                started, before = time.perf_counter(), self.encoding.seconds
                yield chunk
                seconds, encoding, chunk = time.perf_counter() - started, self.encoding.seconds - before, []
                size = next_size(size, encoding, seconds - encoding)
        if chunk:
            yield chunk

    def _take(self, chunk: Sequence[Item | Rejection]) -> list[str]:
        """Ids of a chunk taken whole; the last row of an id wins, or the one before if that is rejected."""
        waiting: dict[str, list[Item]] = {}
        for row in chunk:
            if isinstance(row, Item):
                waiting.setdefault(row.item_id, []).append(row)
        taken: list[str] = []
        while waiting:
            outcome = self._store([versions[-1] for versions in waiting.values()])
            again: dict[str, list[Item]] = {}
            for item_id, versions in waiting.items():
                what = outcome.get(item_id)  # None, if strict and beyond the row that stops it
                if isinstance(what, Rejection):
                    self.rejections.append(what)
                    again[item_id] = versions[:-1]
                elif what:
                    self.counts[what] += 1
                    self.counts["updated"] += len(versions) - 1  # rows that a later one replaced
                    if lost := self._lost.get(item_id):
                        self.incomplete[item_id] = schema.refused(self._given[item_id], together(lost))
                    else:
                        self.incomplete.pop(item_id, None)
                        taken.append(item_id)
            waiting = {item_id: versions for item_id, versions in again.items() if versions}
        self.rejections += [
            row if isinstance(row, Rejection) else Rejection(
                reason=f"expected an mmrec.Item, got {type(row).__name__}: build Items, see read_items")
            for row in chunk if not isinstance(row, Item)
        ]
        return taken

    def _store(self, items: Sequence[Item]) -> dict[str, str | Rejection]:
        """What became of items with different ids: a count's name, or a rejection."""
        self._held, self._lost, self._given = 0, {}, {item.item_id: item for item in items}
        stored = self.catalogue.lookup(list(self._given))
        columns = self.catalogue.table.schema
        self.encoding.given = given_dims(items, self.catalogue.given, columns)
        types = common_types(items) | schema.attribute_types(columns)
        outcome: dict[str, str | Rejection] = {}
        drafts: list[Draft] = []
        for item in items:
            try:
                draft = self._draft(item, stored.get(item.item_id), types)
            except DataError as error:
                outcome[item.item_id] = schema.refused(item, error)
                if self.strict:
                    break
            else:
                outcome[item.item_id] = "unchanged"
                drafts += [draft] if draft else []
        return outcome | self._write(drafts, types)

    def _draft(self, item: Item, before: Stored | None, types: dict[str, pa.DataType]) -> Draft | None:
        """The item with its digests and what its encoders read; None if it is to stay as it is stored.

        Raises:
            DataError: nothing of it can be used.
        """
        item, wrong = fitting(item, types, self.encoding.given)
        digests = {field: schema.digest(vector.tobytes().hex()) for field, vector in item.vectors.items()}
        inputs: dict[str, Sequence[Any]] = {}
        lost = {
            (field, n): one.reason for field in NOUNS for n, one in enumerate(getattr(item, field))
            if isinstance(one, Refused)
        }
        held = self._held
        for modality in MODALITIES.values():
            if modality is TEXT or modality.name in self.catalogue.encoders:  # else nobody reads it
                for field, values in modality.inputs(item).items():
                    if field in self.encoding.given:
                        continue
                    values, told, size, failures = modality.read(values, HELD - held)
                    held += size
                    lost |= {(field, n): str(error) for n, error in failures.items()}
                    if values:
                        inputs[field], digests[field] = values, schema.digest(told)
        if lost:
            was = json.loads(before.digests) if before else {}
            as_before = digests | {field: was.get(field) for field, _ in lost}
            if before and before.digest == schema.whole_digest(item, schema.record(item), as_before):
                self._lose(item, lost, wrong)
                return None  # the file was sound before: what was made of it stays
        if lost or wrong:
            item = self._lose(item, lost, wrong)
        record = schema.record(item)
        whole = schema.whole_digest(item, record, digests)
        if before and before.digest == whole:
            return None
        self._held = held
        return Draft(item, record, whole, digests, before, inputs)

    def _lose(self, item: Item, files: Mapping[tuple[str, int], str], wrong: Sequence[DataError]) -> Item:
        """The item without some of its files; DataError if nothing else is left, or no part may go."""
        lost = self._lost.setdefault(item.item_id, [])
        lost += [*(DataError(reason, field=field) for (field, _), reason in files.items()), *wrong]
        kept: dict[str, Any] = {
            field: [one for n, one in enumerate(getattr(item, field)) if (field, n) not in files]
            for field in NOUNS
        }
        rest = replace(item, **kept)
        if self.strict or not (rest.text or rest.attributes or rest.images or rest.sounds or rest.vectors):
            raise together(lost)
        return rest

    def _write(self, drafts: Sequence[Draft], types: dict[str, pa.DataType]) -> dict[str, str | Rejection]:
        outcome: dict[str, str | Rejection] = {}
        good, lesser = [], []
        vectors, failures = self.encoding.embed(drafts)
        for draft in drafts:
            item_id = draft.item.item_id
            if item_id not in failures:
                good.append(draft)
                continue
            try:
                less = self._without(draft, failures[item_id], types)
            except DataError as error:
                outcome[item_id] = schema.refused(self._given[item_id], error)
                if self.strict:
                    break
            else:
                outcome[item_id] = "unchanged"
                lesser += [less] if less else []
        more, failures = self.encoding.embed(lesser)
        good += [draft for draft in lesser if draft.item.item_id not in failures]
        fields = schema.draft_fields(good, vectors | more)
        if good and not self.catalogue.write(good, fields, datetime.now(UTC), self._encoded_by):
            self._encoded_by = self.catalogue.encoded_by  # one was adapted meanwhile
            self.encoding.forget()
            return self._write(drafts, types)
        for item_id, failure in failures.items():
            outcome[item_id] = schema.refused(self._given[item_id], failure)
        return outcome | {draft.item.item_id: "updated" if draft.before else "added" for draft in good}

    def _without(self, draft: Draft, error: Exception, types: dict[str, pa.DataType]) -> Draft | None:
        """A draft that failed without its damaged files; DataError if it has none, or nothing else."""
        rest: dict[str, Any] = {f: list(getattr(draft.item, f)) for f in NOUNS if f in draft.inputs}
        for field, files in rest.items():
            for n, file in enumerate(draft.inputs[field]):
                try:
                    self.catalogue.encoders[field].pieces(file)  # a field of files is called as its modality
                except DataError as damage:
                    files[n] = Refused(files[n], str(damage))
        if not any(isinstance(file, Refused) for files in rest.values() for file in files):
            raise error
        return self._draft(replace(draft.item, **rest), draft.before, types)


def next_size(size: int, encoding: float, storing: float) -> int:
    """Items of the next chunk after one of this size: big enough that writing it costs little beside it.

    Args:
        encoding: seconds in the encoders: what an interruption would have cost.
        storing: seconds of all else, most of them fixed costs of a write; they never make chunks smaller.
    """
    if encoding > LONG:
        return max(SMALLEST, size // 2)
    cheap = encoding + storing < BRISK or storing > SHARE * encoding
    return min(LARGEST, 2 * size) if cheap and 2 * encoding < LONG else size


def _refusal(rejection: Rejection) -> DataError:
    where = f"line {rejection.line}: " if rejection.line else ""
    who = f"item {rejection.item_id!r}: " if rejection.item_id else ""
    return DataError(where + who + rejection.reason, field=rejection.field)
