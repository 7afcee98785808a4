"""Records of XML: Google's product feeds (RSS, Atom) and any other file in which one element repeats."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
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
    """The name of the element that holds one record: of those with parts, the outermost that repeats.

    Raises:
        DataError: it is no XML, or nothing in it is a record.
    """
    depths: dict[str, int] = {}
    counts: Counter[str] = Counter()
    with _parsed(content) as events:
        depth = 0
        for event, element in islice(events, _JUDGED):
            depth += 1 if event == "start" else -1
            if event == "end" and depth and len(element):
                counts[element.tag] += 1
                depths[element.tag] = min(depth, depths.get(element.tag, depth))
    known = [tag for name in KNOWN for tag in counts if _local(tag).casefold() == name]
    several = [tag for tag, count in counts.items() if count > 1]
    if not counts:
        raise DataError(f"{content.origin} is XML in which no element holds a record: give a product feed")
    if known:
        return min(known, key=lambda tag: depths[tag])
    return min(several or counts, key=lambda tag: (depths[tag], -counts[tag]))


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
