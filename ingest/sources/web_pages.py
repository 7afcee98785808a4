"""Web pages as tables: the products that they describe in JSON-LD, or the rows of an HTML table.

Shops save "Excel" files that are HTML tables; a page of a product has it as JSON-LD for search engines.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from ingest.sources.json_ld import product_nodes
from ingest.sources.records import Record
from ingest.sources.workbooks import Numbered
from mmrec.errors import DataError

MAX_PAGE = 2**26  # characters
_BEFORE = r"(?:\s|\ufeff|<\?xml[^>]*>|<!--(?:[^-]|-(?!->))*+-->)*+"
_FIRST = r"!doctype\s+html|html|head|body|table|script|style|div|meta"
_PAGE = re.compile(rf"{_BEFORE}<(?:{_FIRST})\b", re.IGNORECASE)
_SCRIPT = re.compile(
    r"<script\b[^>]*\btype\s*=\s*[\"']?application/ld\+json\b[^>]*>(.*?)</script", re.IGNORECASE | re.DOTALL
)
_AROUND = re.compile(r"^\s*(?:<!--|(?://|/\*)?\s*<!\[CDATA\[(?:\*/)?)|(?:-->|(?://|/\*)?\s*\]\]>(?:\*/)?)\s*$")


def is_page(head: str) -> bool:
    """Whether a text begins as a web page does."""
    return _PAGE.match(head) is not None


def product_records(page: str, origin: str) -> Iterator[Record]:
    """The products in the JSON-LD of one page, or of several one after another.

    A block that is no JSON is a record with a problem, if the page has products besides.

    Raises:
        DataError: the page is too long.
    """
    if len(page) > MAX_PAGE:
        raise DataError(f"{origin} is a web page of more than {MAX_PAGE:,} characters: give its parts")
    broken: list[Record] = []
    for found in _SCRIPT.finditer(page):
        line = page.count("\n", 0, found.start()) + 1
        try:
            value = _json(_AROUND.sub("", found[1]))
        except (ValueError, RecursionError) as error:
            broken.append(Record({}, line, f"the page's JSON-LD is no valid JSON: {error}", found[1][:500]))
            continue
        yield from (Record(node, line) for node in product_nodes(value) or ())
    yield from (one for one in broken if "Product" in (one.raw or ""))


def _json(text: str) -> Any:
    """A value that may have line breaks in its strings, or quotes written as entities."""
    try:
        return json.loads(text, strict=False)
    except ValueError:
        return json.loads(html.unescape(text), strict=False)


def table_rows(page: str, origin: str) -> list[Numbered]:
    """The rows of the longest table of a page.

    Raises:
        DataError: it has none.
    """
    reader = _Tables()
    try:
        reader.feed(page)
        reader.close()
    except AssertionError as error:  # of what only looks like markup
        raise DataError(f"{origin} is a damaged web page: {error}. Save it as CSV") from error
    rows = [list(map(str.strip, cells)) for cells in max(reader.tables, key=len, default=[])]
    if len(rows) < 2:
        raise DataError(
            f"{origin} is a web page with neither products in JSON-LD nor a table: give an export of the"
            " shop, as CSV, TSV, Excel, JSON, XML or Parquet"
        )
    return [(number, cells, None) for number, cells in enumerate(rows, start=1) if any(cells)]


class _Tables(HTMLParser):
    """The cells of the tables of a page; a table inside a cell is read by itself.

    Attributes:
        tables: rows of each.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[list[list[str]]] = []
        self._open: list[_Open] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append([])
            self._open.append(_Open(self.tables[-1]))
        elif self._open and tag == "tr":
            self._open[-1].rows.append([])
        elif self._open and tag in ("td", "th"):
            self._open[-1].begin(dict(attrs).get("colspan") or "1")
        elif tag in ("br", "p", "li", "div"):
            self.handle_data("\n")
        elif tag == "img":
            self.handle_data(f" {dict(attrs).get('src') or ''} ")

    def handle_endtag(self, tag: str) -> None:
        if self._open and tag in ("td", "th"):
            self._open[-1].at = None
        elif self._open and tag == "table":
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1].at is not None:
            self._open[-1].rows[-1][self._open[-1].at] += data


@dataclass
class _Open:
    """A table whose end has not come, and the place in its last row of the cell that is read."""

    rows: list[list[str]]
    at: int | None = None

    def begin(self, span: str) -> None:
        """A new cell, with blank ones after it if it spans several columns."""
        if not self.rows:
            self.rows.append([])
        self.at = len(self.rows[-1])
        self.rows[-1] += [""] * max(1, min(int(span) if span.isdecimal() else 1, 100))
