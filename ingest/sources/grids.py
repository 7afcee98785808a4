"""From rows of cells under a header, as CSV files and workbooks have them, to records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingest.sources.amounts import CODES
from ingest.sources.delimited import Cells
from ingest.sources.names import IDS, plain_name, roles
from ingest.sources.records import Record, Tally

# Whole cells by which databases and spreadsheets say "nothing here".
NULLS = frozenset({
    r"\N", "(null)", "(NULL)", "<null>", "<NULL>", "[NULL]", "#NULL!", "#REF!", "#VALUE!", "#DIV/0!",
    "#NAME?", "#N/A", "#NUM!",
})
_FORMULA = re.compile(r'="(.*)"', re.DOTALL)
_TYPED = re.compile(r":(?:token|float|token_seq|float_seq|string|number|boolean)$")  # RecBole, Meilisearch
_MARKS = "#-+=:\x1a "  # with which what is no row begins; "" is in it, too
_MACHINE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")  # a name that programs use: item_sku
_UNITS = frozenset(map(str.casefold, CODES)) | {
    "", "%", "€", "$", "£", "kg", "g", "mg", "lb", "lbs", "oz", "cm", "mm", "m", "in", "inch", "ft", "l",
    "ml", "cl", "kwh", "w", "v", "a", "gb", "tb", "pcs", "pc", "stk", "st", "stück", "szt", "pz", "ud",
}
_PLAIN_IDS = frozenset(map(plain_name, IDS))


@dataclass(frozen=True)
class Header:
    """The columns of a grid.

    Attributes:
        names: of the columns; None for one that is left out.
        cells: as the file has them.
        notes: what was made of them.
    """

    names: Sequence[str | None]
    cells: Cells
    notes: Sequence[str]


def header_of(rows: Sequence[Cells]) -> Header:
    """What the first row, seen beside some others, says about the columns."""
    first, *others = rows
    notes: list[str] = []
    cells = [cell.strip().strip("\ufeff\u200b").removeprefix("ï»¿") for cell in first]
    if sum(len(row) == len(cells) + 1 and bool(row[-1].strip()) for row in others) > len(others) / 2:
        cells = ["", *cells]  # R names no column for the names of rows
    while len(cells) > 1 and not any("".join(row[len(cells) - 1 :]).strip() for row in (cells, *others)):
        cells.pop()  # a delimiter at the end of every row
    names: list[str | None] = list(cells)
    if len(cells) > 2 and all(map(_TYPED.search, cells)):
        names = [_TYPED.sub("", cell) for cell in cells]
        notes.append(f"names of columns were taken without their types, such as {cells[0]!r}")
    left_out = _left_out(cells, others)
    if any(left_out.values()):
        notes.append("the first column counts the rows: left out")
    for at, name in enumerate(names):
        if at in left_out:
            names[at] = None
        elif name == "":
            names[at] = _free(f"column_{at + 1}", names)
            notes.append(f"column {at + 1} has no name: it is called {names[at]}")
        elif name is not None and name in names[:at]:
            names[at] = _free(name, names)
            notes.append(f"a second column {name!r} is called {names[at]!r}")
    return Header(names, first, notes)


def _left_out(cells: Cells, others: Sequence[Cells]) -> dict[int, bool]:
    """The first columns that say nothing: without name and cells (False), or an index of pandas (True)."""
    found: dict[int, bool] = {}
    known = any(plain_name(cell) in _PLAIN_IDS for cell in cells)
    for at, name in enumerate(cells[:-1]):
        values = [row[at].strip() for row in others if at < len(row) and row[at].strip()]
        unnamed = not name or name.startswith("Unnamed: ") or (known and name in ("index", "level_0"))
        if not unnamed or (values and not _counts(values, known and name not in ("index", "level_0"))):
            break
        found[at] = bool(values)
    return found


def apart(names: Sequence[str], notes: list[str]) -> list[str]:
    """Names of columns, each once; `notes` gets a sentence for each that is changed."""
    found: list[str | None] = list(names)
    for at, name in enumerate(names):
        if name in found[:at]:
            found[at] = _free(name, found)
            notes.append(f"a second column {name!r} is called {found[at]!r}")
    return [name or "" for name in found]


def grid_records(
    rows: Iterator[tuple[int, Cells, str | None]], first: Sequence[Cells], header_line: int, tally: Tally,
    notes: list[str], delimiter: str | None = None,
) -> Iterator[Record]:
    """Rows below the header as records; short ones are filled up, one that is too long has a problem.

    Args:
        rows: (line, cells, problem), those above the header too.
        first: the header and some rows below it.
        header_line: where the header stands.
        tally: counts what was mended.
        notes: gets what was made of the header.
        delimiter: for messages.
    """
    header = header_of(first)
    notes += [note for note in header.notes if note not in notes]
    names, width = header.names, len(header.names)
    kept = None if None not in names else [at for at, name in enumerate(names) if name is not None]
    columns = [name for name in names if name is not None]
    formulas = any(map(_FORMULA.fullmatch, (cell for row in first for cell in row)))
    below, order, again = True, None, frozenset(header.cells)
    for line, cells, problem in rows:
        if line <= header_line:
            continue
        plain = (
            not (problem or below or order or formulas) and len(cells) == width and NULLS.isdisjoint(cells)
            and cells[0][:1] not in _MARKS and cells[0] not in again
        )
        if problem is None and not plain:
            if told := _no_row(cells, width, below=below):
                tally.add(told, line)
                continue
            if len(cells) != width:
                problem = _fitted(cells, width, line, tally, delimiter)
            if cells[0] in again and sorted(cells[:width]) == sorted(header.cells[:width]):
                tally.add("the header stands again inside the file and was left out", line)
                same = cells[:width] == header.cells[:width]
                order = None if same else [cells.index(name) for name in header.cells[:width]]
                continue
            cells = _tidied(cells if order is None else [cells[at] for at in order], line, tally, formulas)
        below = False
        if kept is not None:
            cells = [cells[at] for at in kept if at < len(cells)]
        yield Record(dict(zip(columns, cells, strict=False)), line, problem)


def _no_row(cells: Cells, width: int, *, below: bool) -> str | None:
    """Why cells are no row: blank, a line of dashes, a comment, names of columns again below the header."""
    if not any(cells):
        return "blank rows were left out"
    if below and width > 2 and len(cells) == width and _are_names(cells):
        return "a second line of names below the header was left out (--header-line)"
    if below and not cells[0].strip() and all(cell.strip().casefold() in _UNITS for cell in cells):
        return "a line of units below the header was left out"
    if cells[0][:1] not in _MARKS:
        return None
    filled = [cell for cell in map(str.strip, cells) if cell]
    if "".join(filled) in ("", "\x1a"):
        return "blank rows were left out"
    if all(not cell.strip("-=+:|") and len(cell) > 1 for cell in filled):
        return "lines of dashes were left out"
    comment = len(filled) == 1 < width and filled[0].startswith("#")
    return "lines of comments were left out" if comment else None


def _are_names(cells: Cells) -> bool:
    filled = list(filter(None, cells))
    machine = all(map(_MACHINE.fullmatch, filled)) and sum("_" in cell for cell in filled) > len(filled) / 2
    return machine or all(map(roles, filled))


def _tidied(cells: Cells, line: int, tally: Tally, formulas: bool) -> Cells:
    """Cells without words for NULL, and without the `="..."` that keeps spreadsheets from rounding."""
    if not NULLS.isdisjoint(cells):
        tally.add(r"cells such as \N were taken as empty", line)
        cells = ["" if cell in NULLS else cell for cell in cells]
    if formulas and any(cell.startswith('="') for cell in cells):
        tally.add('cells such as ="0123" were taken as the text in them', line)
        cells = [_FORMULA.sub(r"\1", cell) for cell in cells]
    return cells


def _fitted(cells: Cells, width: int, line: int, tally: Tally, delimiter: str | None) -> str | None:
    """Brings a row to the header's width, in place; or why it cannot be."""
    while len(cells) > width and not cells[-1].strip():
        cells.pop()
    if len(cells) > width:
        wants = f"look for a {delimiter!r} that wants quotes" if delimiter else "give these columns a name"
        beyond = f"{cells[width:]!r:.200}"
        return f"the row has {len(cells)} cells, the header {width}, too many are {beyond}: {wants}"
    if len(cells) == 1 < width:
        return f"the row has 1 cells, the header {width}: is it a footer, or broken by a line break?"
    if len(cells) < width:
        tally.add("short rows were filled up with empty cells", line)
        cells += [""] * (width - len(cells))
    return None


def _counts(values: Sequence[str], known: bool) -> bool:
    """Whether values count from 0 or 1, or, where an id is `known`, only grow, as after a filter."""
    if known and all(map(str.isdigit, values)):
        numbers = list(map(int, values))
        return numbers == sorted(set(numbers))
    return bool(values) and any(
        all(number in (str(at), f"{at}.0") for at, number in enumerate(values, start)) for start in (0, 1)
    )


def _free(name: str, names: Sequence[str | None]) -> str:
    number = 2
    while (candidate := f"{name}_{number}" if name in names else name) in names:
        number += 1
    return candidate
