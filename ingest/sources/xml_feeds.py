"""Records of XML: Google's product feeds (RSS, Atom) and any other file in which one element repeats."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO
from xml.etree.ElementTree import Element, ParseError

from ingest.sources.containers import Content
from ingest.sources.objects import pair
from ingest.sources.records import Record
from mmrec.errors import DataError

GOOGLE = "http://base.google.com/ns/1.0"
KNOWN = ("item", "entry", "product", "offer", "article", "artikel", "record", "row", "shopitem", "book")
_JUDGED = 100_000  # first elements by which the repeated one is found


def repeated_element(content: Content) -> str:
    """The name of the element that holds one record: the outermost that repeats, or is called like one.

    A record has parts, `<product><name>Lamp</name></product>`, or attributes, `<product id="1" name="Mug"/>`:
    these lie in the root, or in an element of it that holds nothing else. The root may be the only record.

    Raises:
        DataError: it is no XML, or nothing in it is a record.
    """
    with _parsed(content) as events:
        root = next(events)[1]
        deque(islice(events, _JUDGED), maxlen=0)
    again = Counter(one.tag for one in root)
    lists = [one for one in root if again[one.tag] == 1 and _holds_rows(one)]
    parts = _Counted(one for one in _below(root) if len(one[0]) and one[0] not in lists)
    rows = _Counted((row, one is not root) for one in (root, *lists) for row in one if _is_row(row))
    alone = root.tag if _local(root.tag).casefold() in KNOWN and (len(root) or _is_row(root)) else None
    found = (
        parts.known() or rows.known() or alone or parts.several() or rows.several() or parts.any()
        or rows.any()
    )
    if found is None:
        raise DataError(f"{content.origin} is XML in which no element holds a record: give a product feed")
    return found


class _Counted:
    """How many elements of each name hold a record, perhaps, and how far outside the first of them does."""

    def __init__(self, elements: Iterable[tuple[Element, int]]) -> None:
        self._depths: dict[str, int] = {}
        self._counts: Counter[str] = Counter()
        for element, depth in elements:
            self._counts[element.tag] += 1
            self._depths.setdefault(element.tag, depth)

    def known(self) -> str | None:
        """The outermost that is called like a record."""
        return self._outermost(tag for tag in self._counts if _local(tag).casefold() in KNOWN)

    def several(self) -> str | None:
        """The outermost that repeats."""
        return self._outermost(tag for tag, count in self._counts.items() if count > 1)

    def any(self) -> str | None:
        """The outermost."""
        return self._outermost(self._counts)

    def _outermost(self, tags: Iterable[str]) -> str | None:
        return min(tags, key=lambda tag: (self._depths[tag], -self._counts[tag]), default=None)


def _below(root: Element) -> Iterator[tuple[Element, int]]:
    """The elements below the root and their depths, the outer ones first."""
    level, depth = list(root), 1
    while level:
        yield from ((one, depth) for one in level)
        level, depth = [part for one in level for part in one], depth + 1


def _is_row(element: Element) -> bool:
    """Whether an element may be a record by its attributes alone: it has several, and no parts."""
    return not len(element) and len(element.attrib) > 1


def _holds_rows(element: Element) -> bool:
    """Whether an element is nothing but a list of records."""
    return len(element.attrib) < 2 and len({one.tag for one in element}) == 1 and all(map(_is_row, element))


def xml_records(content: Content, tag: str) -> Iterator[Record]:
    """The elements of one name as records: a column for each part, attributes among them."""
    number = depth = 0
    with _parsed(content) as events:
        path: list[Element] = []
        for event, element in events:
            if event == "start":
                path.append(element)
                depth += element.tag == tag
                continue
            path.pop()
            depth -= element.tag == tag
            if element.tag == tag and not depth:
                number += 1
                yield Record(_cells(element), number)
            if not depth:  # what has been read is let go
                element.clear()
                if path:
                    path[-1].remove(element)


@contextmanager
def _parsed(content: Content) -> Iterator[Iterator[tuple[str, Element]]]:
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    try:
        with content.opened() as file:
            yield iterparse(_Lean(file), events=("start", "end"))
    except ParseError as error:
        raise DataError(f"{content.origin} is no well-formed XML: {error}. Export it again") from error
    except DefusedXmlException as error:
        raise DataError(f"{content.origin} defines entities of its own and is not read: {error}") from error


class _Lean:
    """A file without what stands before the XML: some feeds begin with blank lines."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._begun = file, False

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        if not self._begun:
            self._begun = True
            return data.lstrip(b" \t\r\n")
        return data


def _cells(element: Element) -> dict[str, Any]:
    """Cells by column; Google's come first where a name stands twice, and repeated ones become a list."""
    found: dict[str, list[Any]] = {name: [text] for name, text in _attributes(element)}
    if not len(element) and (text := (element.text or "").strip()):
        found[_local(element.tag)] = [text]
    google = {_local(part.tag) for part in element if part.tag.startswith(f"{{{GOOGLE}}}") and _has(part)}
    for part in element:
        name = _local(part.tag)
        if name in google and not part.tag.startswith(f"{{{GOOGLE}}}"):
            continue
        for column, cell in _columns(name, part):
            found.setdefault(column, []).append(cell)
    return {name: _joined(cells) for name, cells in found.items()}


def _columns(name: str, part: Element) -> Iterator[tuple[str, Any]]:
    """What one part says: its text, its attributes, the parts inside it."""
    attributes = dict(_attributes(part))
    if not len(part):
        if set(attributes) == {"name"}:  # <param name="Colour">red</param>
            name = attributes.pop("name")
        text = (part.text or "").strip()
        text = text or _link(part)
        if text or not attributes:
            yield name, text
        yield from ((f"{name}_{attribute}", cell) for attribute, cell in attributes.items() if cell != text)
        return
    inner = [_local(one.tag) for one in part]
    flat = not any(len(one) for one in part)
    if flat and (said := pair({_local(one.tag): (one.text or "").strip() for one in part})):
        yield f"{name}.{said[0]}", said[1]
        return
    if flat and all(not (one.text or "").strip() and _link(one) for one in part):
        yield name, [_link(one) for one in part]  # <imgs><main url="..."/><i url="..."/></imgs>
    elif len(set(inner)) == 1 and flat:  # <images><image>...</image></images>
        named = [_columns(inner[0], one) for one in part]
        for column, cell in (pair for pairs in named for pair in pairs):
            yield (name if column == inner[0] else column), cell
    elif any(inner.count(one) > 1 for one in inner):
        yield name, [_cells(one) if len(one) else (one.text or "").strip() for one in part]
    else:
        for one in part:
            yield from ((f"{name}_{column}", cell) for column, cell in _columns(_local(one.tag), one))


def _link(part: Element) -> str:
    attributes = dict(_attributes(part))
    return attributes.get("href") or attributes.get("url") or attributes.get("src") or ""


def _joined(cells: list[Any]) -> Any:
    """One cell of several; lists of strings as JSON, which is how cells of files without types hold them."""
    flat = [one for cell in cells for one in (cell if isinstance(cell, list) else [cell])]
    texts = [one for one in flat if isinstance(one, str) and one]
    if len(texts) < 2 and all(isinstance(one, str) for one in flat):
        return texts[0] if texts else ""
    return json.dumps([one for one in flat if one], ensure_ascii=False)


def _attributes(element: Element) -> Iterator[tuple[str, str]]:
    return ((_local(name), text.strip()) for name, text in element.attrib.items())


def _has(part: Element) -> bool:
    return bool(len(part) or (part.text or "").strip())


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
