"""Rows of Excel and OpenOffice workbooks, their cells as strings: from there on they are read as CSV is."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

from ingest.sources import containers
from ingest.sources.containers import Content
from mmrec.errors import DataError

Numbered = tuple[int, list[str], None]
MAX_UNPACKED = 2 * 2**30  # bytes of a workbook's parts
MAX_WIDTH = 2_000  # columns


def sheet_rows(content: Content, sheet: str | None = None) -> tuple[list[Numbered], list[str]]:
    """Rows (number, cells, None) of a sheet, by default the first with rows, and what is to be told.

    Raises:
        DataError: it is no workbook, damaged or locked, or has no such sheet.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        with content.seekable() as file:
            _check_size(content, file)
            file.seek(0)
            book = CalamineWorkbook.from_filelike(file)
            names = book.sheet_names
            if sheet is not None and sheet not in names:
                raise DataError(f"{content.origin} has no sheet {sheet!r}: its sheets are {', '.join(names)}")
            wanted = [sheet] if sheet else names
            sheets = {name: list(_rows(book.get_sheet_by_name(name))) for name in wanted}
            filled = [name for name, rows in sheets.items() if len(rows) > 1]
            wide = [name for name in filled if max(len(cells) for _, cells, _ in sheets[name]) > 1]
            for name in [*wide, *filled][:1]:  # a cover has words in one column
                told = f"sheet {name!r} of {', '.join(map(repr, names))} (--sheet)"
                return sheets[name], [told] if len(names) > 1 else []
    except (CalamineError, zipfile.BadZipFile, OSError, ValueError) as error:
        raise DataError(
            f"{content.origin} is a workbook that cannot be read, damaged or with a password ({error}): open"
            " it in Excel and save it as .xlsx again, or as CSV UTF-8"
        ) from error
    raise DataError(f"{content.origin} has no rows: its sheets ({', '.join(names)}) hold at most a header")


def _check_size(content: Content, file: Any) -> None:
    if not zipfile.is_zipfile(file):
        return  # the old .xls
    with zipfile.ZipFile(file) as archive:
        sizes = [(entry.file_size, entry.compress_size) for entry in archive.infolist()]
    unpacked, packed = map(sum, zip(*sizes, strict=True)) if sizes else (0, 0)
    if unpacked > min(MAX_UNPACKED, max(containers.ALWAYS, containers.MAX_RATIO * packed)):
        raise DataError(f"{content.origin} unpacks to {unpacked:,} bytes, too many: save it as CSV UTF-8")


def _rows(sheet: Any) -> Iterator[Numbered]:
    first = sheet.start[0] + 1 if sheet.start else 1
    for number, cells in enumerate(sheet.to_python(skip_empty_area=True), start=first):
        texts = [_text(cell) for cell in cells[:MAX_WIDTH]]
        if any(texts):
            yield number, texts, None


def _text(cell: Any) -> str:
    """A cell as CSV would have it."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 2**63 else repr(cell)
    if isinstance(cell, datetime) and cell.time() == time():
        cell = cell.date()
    return cell.isoformat() if isinstance(cell, date | time) else str(cell)
