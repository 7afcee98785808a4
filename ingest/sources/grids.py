"""From rows of cells under a header, as CSV files and workbooks have them, to records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingest.sources.delimited import Cells
from ingest.sources.records import Record, Tally

# Whole cells by which databases and spreadsheets say "nothing here".
NULLS = frozenset({
    r"\N", "(null)", "(NULL)", "<null>", "<NULL>", "[NULL]", "#NULL!", "#REF!", "#VALUE!", "#DIV/0!",
    "#NAME?", "#N/A", "#NUM!",
})


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
    cells = [cell.strip().strip("\ufeff") for cell in first]
    if sum(len(row) == len(cells) + 1 and bool(row[-1].strip()) for row in others) > len(others) / 2:
        cells = ["", *cells]  # R names no column for the names of rows
    while len(cells) > 1 and not any("".join(row[len(cells) - 1 :]).strip() for row in (cells, *others)):
        cells.pop()  # a delimiter at the end of every row
    names: list[str | None] = list(cells)
    if len(cells) > 1 and (not cells[0] or cells[0].startswith("Unnamed: 0")) and _counts(others):
        names[0] = None
        notes.append("the first column counts the rows: left out")
    for at, name in enumerate(names):
        if name == "":
            names[at] = _free(f"column_{at + 1}", names)
            notes.append(f"column {at + 1} has no name: it is called {names[at]}")
        elif name is not None and name in names[:at]:
            names[at] = _free(name, names)
            notes.append(f"a second column {name!r} is called {names[at]!r}")
    return Header(names, first, notes)


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
    for line, cells, problem in rows:
        if line <= header_line:
            continue
        if problem is None:
            if not any(cells):
                tally.add("blank rows were left out", line)
                continue
            if len(cells) != width:
                problem = _fitted(cells, width, line, tally, delimiter)
            if cells[0] == header.cells[0] and cells[:width] == header.cells[:width]:
                tally.add("the header stands again inside the file and was left out", line)
                continue
            if not NULLS.isdisjoint(cells):
                tally.add(r"cells such as \N were taken as empty", line)
                cells = ["" if cell in NULLS else cell for cell in cells]
        if kept is not None:
            cells = [cells[at] for at in kept if at < len(cells)]
        yield Record(dict(zip(columns, cells, strict=False)), line, problem)


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


def _counts(rows: Sequence[Cells]) -> bool:
    """Whether the first cells count from 0 or 1."""
    numbers = [row[0].strip() for row in rows if row and row[0].strip()]
    return bool(numbers) and any(
        all(number in (str(at), f"{at}.0") for at, number in enumerate(numbers, start)) for start in (0, 1)
    )


def _free(name: str, names: Sequence[str | None]) -> str:
    number = 2
    while (candidate := f"{name}_{number}" if name in names else name) in names:
        number += 1
    return candidate
