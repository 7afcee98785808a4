"""Faults of a catalogue: items that are there twice, pictures and texts that say nothing, odd values."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmrec.check import pictures
from mmrec.check.findings import Finding, Row, alone, found, together
from mmrec.data.cleaning import neat, plain_text
from mmrec.search.rows import Rows
from mmrec.search.snapshot import Snapshot
from mmrec.store.schema import AHEAD
from mmrec.types import IMAGE, is_url

CROWD = 10  # items that share a picture from which it is a placeholder
LIGHTEST, MOST_LIGHT = 0.02, 1_000  # share and number of picture files that are small enough to be blank
STOCK, STOCK_SHARE = 20, 0.01  # items, and share of them, from which a text that they share says nothing
TELLING = 0.5  # share of different texts from which a field tells items apart
DEVIATIONS, FACTOR = 5.0, 10.0  # from the median, in logarithms and times, from which a number is odd
RARE = 0.05  # share of zeros and negative numbers among others, up to which they are odd
ORDINARY = 5  # times as many that spell a category otherwise
FILLERS = frozenset({
    "n/a", "na", "nan", "nil", "none", "null", "tbd", "tba", "todo", "test", "testing", "untitled", "unknown",
    "unnamed", "noname", "empty", "title", "description", "product", "item", "article", "name", "xxx", "foo",
    "lorem ipsum", "no title", "no name", "no description", "new product", "test product", "coming soon",
})
_ZEROS, _DECIMALS = re.compile(r"(?<!\d)0+(?=\d)"), re.compile(r"(?<=\d)\.0+$")


class Content(NamedTuple):
    """What n items hold, in the order of a snapshot.

    Attributes:
        pictures: a fingerprint of each item's pictures; empty without any.
        files: the path of each item's first picture; empty where it is none on this machine.
    """

    ids: list[str]
    texts: list[Mapping[str, str]]
    attributes: list[Mapping[str, Any]]
    pictures: list[str]
    files: list[str]

    @classmethod
    def of(cls, snapshot: Snapshot) -> Content:
        """Reads it."""
        rows = snapshot.table.scan(["item_id", "record", "digests"]).sort_by("item_id")
        records = [json.loads(record) for record in rows["record"].to_pylist()]
        images = [[image] if isinstance(image := one.get(IMAGE, []), str) else image for one in records]
        told = [json.loads(digests).get(IMAGE) for digests in rows["digests"].to_pylist()]
        return cls(
            rows["item_id"].to_pylist(), [one.get("text", {}) for one in records],
            [one.get("attributes", {}) for one in records],
            [digest or " ".join(some) for digest, some in zip(told, images, strict=True)],
            [some[0] if some and not is_url(some[0]) else "" for some in images],
        )

    def named(self, groups: Iterable[Sequence[int]]) -> list[list[str]]:
        """The ids of groups of positions."""
        return [[self.ids[position] for position in group] for group in groups]


def check_items(snapshot: Snapshot) -> Iterator[Finding]:
    """All that is found in a catalogue."""
    content = Content.of(snapshot)
    yield from twins(content, snapshot)
    yield from texts(content)
    yield from stock_texts(content)
    yield from numbers(content)
    yield from spellings(content)
    n, added = len(content.ids), snapshot.facts["added_at"].to_pylist()
    ahead = [i for i, time in zip(content.ids, added, strict=True) if time > datetime.now(UTC) + AHEAD]
    yield from found("future-items", alone(ahead), n)
    yield from found("like-ids", together(groups_of(content.ids, id_key(content.ids))), n)


def twins(content: Content, snapshot: Snapshot) -> Iterator[Finding]:
    """Items that are another, or that cannot be told from another by their words or pictures."""
    n = len(content.ids)
    words = [
        _words(text) if any(_says(one, i) for one in text.values()) else ()
        for i, text in zip(content.ids, content.texts, strict=True)
    ]
    rest = [json.dumps(one, sort_keys=True, default=str) for one in content.attributes]
    whole = [
        (word, picture, more) if word or picture else None
        for word, picture, more in zip(words, content.pictures, rest, strict=True)
    ]
    copies = groups_of(range(n), whole)
    shown = _Pictures(content, snapshot, words)
    crowds = {position for crowd in shown.crowds for position in crowd}
    dropped = {position for group in copies for position in group[1:]} | crowds
    copies = [group for group in copies if not crowds.issuperset(group)]
    others = [position for position in range(n) if position not in dropped]
    by_picture = groups_of(others, [content.pictures[position] for position in others])
    by_words = groups_of(others, [words[position] for position in others])
    told_apart = [group for group in by_picture if len({words[position] for position in group}) > 1]
    yield from found("same-item", together(content.named(copies)), n)
    yield from found("same-picture", together(content.named(told_apart)), n)
    yield from found("same-words", together(content.named(by_words)), n)
    yield from found("near-pictures", together(content.named(shown.near(dropped))), n)
    blank = [[position] for position in sorted(shown.blank - crowds)]
    yield from found("placeholder-pictures", together(content.named([*shown.crowds, *blank])), n)
    yield from found("dead-pictures", alone(content.ids[position] for position in shown.gone), n)


class _Pictures:
    """What the pictures of a catalogue have in common.

    Attributes:
        crowds: positions of items that share one picture, or copies of it, of each such picture.
        blank: positions of items whose picture shows nothing.
        gone: positions of items whose picture file is not there, unless none is.
    """

    def __init__(self, content: Content, snapshot: Snapshot, words: Sequence[Hashable]) -> None:
        self.n = len(content.ids)
        positions = [position for position in range(self.n) if content.pictures[position]]
        first = {content.pictures[position]: position for position in reversed(positions)}
        self.first = [first.get(digest, -1) for digest in content.pictures]
        sizes = _sizes(content.files)
        readable = {position for position, size in sizes.items() if size is not None}
        self.gone = sorted(sizes.keys() - readable) if readable else []
        x = snapshot.space(IMAGE) if IMAGE in snapshot.spaces else Rows.of(np.zeros((self.n, 1), np.float32))
        pairs, cosines = pictures.candidates(x, sorted(first.values()))
        light = sorted((size, position) for position, size in sizes.items() if size is not None)
        light = light[: min(MOST_LIGHT, 1 + int(LIGHTEST * len(light)))]
        wanted = {*pairs.ravel().tolist(), *(self.first[position] for _, position in light)} & readable
        seen = pictures.looks({position: content.files[position] for position in sorted(wanted)})
        self.pairs = pictures.show_the_same(pairs, cosines, seen)
        self.blank = {p for p in positions if (look := seen.get(self.first[p])) and look.flat}
        self.crowds = [
            group for group in self._groups(positions)
            if len(group) >= CROWD and len({words[position] for position in group}) > len(group) / 2
        ]

    def _groups(self, members: list[int]) -> list[list[int]]:
        """Members whose pictures are equal, or show the same."""
        edges = [(p, first) for p, first in enumerate(self.first) if first >= 0]
        labels = pictures.joined([*edges, *self.pairs.tolist()], self.n).tolist()
        return groups_of(members, [labels[position] for position in members])

    def near(self, left_out: set[int]) -> list[list[int]]:
        """Groups of items whose pictures are not equal, and show the same."""
        return self._groups([
            p for p, first in enumerate(self.first) if p == first and p not in left_out | self.blank
        ])


def _sizes(files: Sequence[str]) -> dict[int, int | None]:
    """Bytes of each picture's file, by position; None where it is gone."""
    sizes: dict[int, int | None] = {}
    for position, file in enumerate(files):
        if file:
            sizes[position] = None
            with suppress(OSError, ValueError):
                sizes[position] = Path(file).stat().st_size
    return sizes


def texts(content: Content) -> Iterator[Finding]:
    """Texts that say nothing, or that are broken."""
    n = len(content.ids)
    some = sum(map(bool, content.texts))
    empty = [
        i for i, text in zip(content.ids, content.texts, strict=True)
        if not any(_says(words, i) for words in text.values())
    ]
    yield from found("empty-texts", alone(empty if some >= n / 2 else []), n)
    faults: dict[str, list[Row]] = {"markup": [], "encoding": []}
    for item_id, text in zip(content.ids, content.texts, strict=True):
        for fault in {fault for words in text.values() for fault in faults_of(words)}:
            field = next(name for name, words in text.items() if fault in faults_of(words))
            faults[fault].append(Row((item_id,), f"{field}: {text[field][:60]!r}"))
    for name, rows in faults.items():
        yield from found(name, rows, n)


def faults_of(text: str) -> set[str]:
    """What is wrong with a text: markup, encoding."""
    told: list[str] = []
    mended = neat(text, told.append)
    marked = any(mark in text for mark in "<&[") and plain_text(mended).split() != mended.split()
    broken = bool(told) or "\ufffd" in text
    return {name for name, wrong in (("markup", marked), ("encoding", broken)) if wrong}


def _says(text: str, item_id: str) -> bool:
    bare = text.strip().casefold()
    return bare not in FILLERS and bare != item_id.casefold() and sum(map(str.isalnum, bare)) > 1


def stock_texts(content: Content) -> Iterator[Finding]:
    """One text under many items, in a field whose other texts differ."""
    n, rows = len(content.ids), []
    for name in sorted({name for text in content.texts for name in text}):
        held = [(i, text[name]) for i, text in zip(content.ids, content.texts, strict=True) if name in text]
        counts = Counter(text for _, text in held)
        stock = {text for text, count in counts.items() if count >= max(STOCK, STOCK_SHARE * n)}
        others = len(held) - sum(counts[text] for text in stock)
        if others and (len(counts) - len(stock)) / others >= TELLING:
            rows += [
                Row(tuple(i for i, its in held if its == text), f"{name}: {text[:60]!r}") for text in stock
            ]
    yield from found("stock-texts", sorted(rows, key=lambda row: -len(row.ids)), n)


def numbers(content: Content) -> Iterator[Finding]:
    """Numbers far from those of all other items."""
    rows = []
    for name, ids, values in columns(content, lambda value: type(value) in (int, float)):
        x = np.array(values, np.float64)
        rows += [Row((ids[p],), f"{name}: {values[p]:g}") for p in odd(x)]
    yield from found("odd-numbers", rows, len(content.ids))


def odd(x: np.ndarray[Any, np.dtype[np.float64]]) -> list[int]:
    """Positions of odd numbers [n]: of another magnitude, or not positive where others are far from 0."""
    positive = x > 0
    if len(x) < STOCK or positive.mean() < 1 - RARE or len(np.unique(x)) < 3:
        return []
    logs = np.log(np.where(positive, x, 1.0))
    middle, low = np.quantile(logs[positive], [0.5, 0.02])
    spread = 1.4826 * np.median(np.abs(logs[positive] - middle))  # the deviation, if they were normal
    far = positive & (np.abs(logs - middle) > max(DEVIATIONS * spread, np.log(FACTOR)))
    return np.flatnonzero(far | ~positive if middle - low < np.log(FACTOR) else far).tolist()


def spellings(content: Content) -> Iterator[Finding]:
    """Categories that a few items spell otherwise than the others."""
    rows = []
    for name, ids, values in columns(content, lambda value: isinstance(value, str | list)):
        held = defaultdict(list)
        for item_id, value in zip(ids, values, strict=True):
            for label in [value] if isinstance(value, str) else value:
                held[label].append(item_id)
        for group in groups_of(held, ["".join(filter(str.isalnum, label.casefold())) for label in held]):
            usual = max(group, key=lambda label: len(held[label]))
            rows += [
                Row(tuple(held[label]), f"{name}: {label!r}, mostly {usual!r}") for label in group
                if ORDINARY * len(held[label]) <= len(held[usual])
            ]
    yield from found("spellings", rows, len(content.ids))


def columns(
    content: Content, wanted: Callable[[Any], bool]
) -> Iterator[tuple[str, list[str], list[Any]]]:
    """The attributes whose values are of a kind: name, ids, and values."""
    for name in sorted({name for one in content.attributes for name in one}):
        held = [
            (i, one[name]) for i, one in zip(content.ids, content.attributes, strict=True)
            if name in one and wanted(one[name])
        ]
        if held:
            yield name, [i for i, _ in held], [value for _, value in held]


def id_key(ids: Iterable[str]) -> list[str]:
    """Ids without what spreadsheets and systems change: case, zeros in front of numbers, decimals of 0."""
    return [_ZEROS.sub("", _DECIMALS.sub("", one.casefold())) for one in ids]


def groups_of(members: Iterable[Any], keys: Iterable[Hashable]) -> list[list[Any]]:
    """Members whose keys are equal, two or more; an empty key, -1 or None belongs to nobody."""
    groups: dict[Hashable, list[Any]] = defaultdict(list)
    for member, key in zip(members, keys, strict=True):
        if key not in ("", (), None, -1):
            groups[key].append(member)
    return [group for group in groups.values() if len(group) > 1]


def _words(text: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Texts as they are compared: case and white space do not count."""
    return tuple(sorted((name, " ".join(words.casefold().split())) for name, words in text.items()))
