"""MovieLens: GroupLens' own releases, and a form enriched with plots, people and posters.

The enriched form is a folder of `items.jsonl` (item_id, title, year, genres, plot, director, actors,
language, country, runtime_min, image) and `ratings.parquet` (user, item, rating, timestamp, order). Genres
are a text field, for the content, and an attribute too, for filters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ingest.sources import grouplens
from ingest.sources.layout import Layout, known
from ingest.sources.records import Record, Rows
from ingest.sources.tables import parquet_file, table_file
from ingest.sources.values import Kind, readings
from mmrec.data.cleaning import identifier
from mmrec.errors import DataError, Rejection
from mmrec.types import Interaction

ITEMS, RATINGS = "items.jsonl", "ratings.parquet"
KEYS = frozenset({"item_id", "title", "year", "genres", "plot"})  # of the enriched form
FILM_COLUMNS = frozenset({"movieId", "title", "genres"})  # of GroupLens' movies.csv
RATING_COLUMNS = ("user", "item", "rating")
_TEXT = ("title", "genres", "plot", "people")
_KINDS: Mapping[str, Kind] = {
    "year": "number", "runtime_min": "number", "language": "category", "country": "category",
    "genres": "list",
}
_BATCH = 65_536  # ratings at a time
_MAX_SECONDS = 2**35  # of a timestamp, year 3058; one beyond is taken as unknown


def open_movielens(path: Path) -> Rows:
    """The films of a folder, zip or file of MovieLens as a source.

    Raises:
        DataError: it is none, or damaged.
    """
    items = path / ITEMS if path.is_dir() else path
    if items.suffix == ".jsonl" and items.is_file():
        return _source(items, lambda: map(_enriched, table_file(items).records()))
    release = path.parent if path.name in grouplens.FILES else path
    if not grouplens.holds(release):
        expected = ", ".join(layout.movies for layout in grouplens.RELEASES)
        raise DataError(f"{path} is no MovieLens: {ITEMS}, or one of {expected} (also in a zip) was expected")
    return _source(path, lambda: grouplens.films(release))


def open_ratings(path: Path) -> Iterator[Interaction | Rejection]:
    """The ratings of a folder, zip or file of MovieLens: a like from 4 stars, a dislike up to 2, else a view.

    Raises:
        DataError: there are none, or the file is damaged.
    """
    file = path / RATINGS if path.is_dir() else path
    if file.suffix == ".parquet" and file.is_file():
        return _enriched_ratings(file)
    release = path.parent if path.name in grouplens.FILES else path
    if not grouplens.holds(release, "ratings"):
        expected = ", ".join(layout.ratings for layout in grouplens.RELEASES)
        raise DataError(f"{path} holds no ratings: {RATINGS} or one of {expected} (or a zip) was expected")
    return grouplens.ratings(release)


def _source(path: Path, records: Callable[[], Iterator[Record]]) -> Rows:
    layout = Layout(
        id="item_id",
        text={name: name for name in _TEXT},
        attributes={name: name for name in _KINDS},
        readings=readings(_KINDS),
        image=("image",),
    )
    folder = path if path.is_dir() else path.parent
    return known("movielens", folder, layout, records, origin=str(path))


def _enriched(record: Record) -> Record:
    cells = record.cells
    people = [cells[part] for part in ("director", "actors") if isinstance(cells.get(part), str)]
    first = {name: _first(cells.get(name)) for name in ("language", "country")}
    return replace(record, cells={**cells, **first, "people": ", ".join(people)} if cells else {})


def _first(names: Any) -> Any:
    """The first of "English, French"."""
    return names.split(",")[0].strip() if isinstance(names, str) else names


def _enriched_ratings(path: Path) -> Iterator[Interaction | Rejection]:
    with parquet_file(path) as file:
        names = file.schema_arrow.names
        if missing := [name for name in RATING_COLUMNS if name not in names]:
            raise DataError(f"{path} has no column {', '.join(missing)}: its columns are {', '.join(names)}")
        table = file.read([name for name in (*RATING_COLUMNS, "timestamp", "order") if name in names])
    times = rating_times(table)
    for start in range(0, table.num_rows, _BATCH):
        part = table.slice(start, _BATCH)
        moments = times[start : start + _BATCH].tolist()
        cells = zip(*(part[name].to_pylist() for name in RATING_COLUMNS), moments, strict=True)
        for line, (user, item, rating, time) in enumerate(cells, start=start + 1):
            try:
                yield Interaction(
                    user_id=identifier(user), item_id=identifier(item), kind=grouplens.kind_of(rating),
                    time=time, line=line,
                )
            except (TypeError, ValueError, DataError) as error:
                row = {"user": user, "item": item, "rating": rating}
                yield Rejection(reason=f"the rating {row} cannot be used: {error}", line=line, row=row)


def rating_times(table: pa.Table) -> NDArray[np.datetime64]:
    """Times [n] of ratings, in microseconds, strictly in each user's `order`.

    That is the timestamp; where it is unknown that of the user's last rating before which has one, else of
    the first after, else the earliest of all, else 1970; and `order` microseconds more.
    """
    count = table.num_rows
    user = table["user"].combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy()
    order = _numbers(table, "order", 0.0)
    seconds = _numbers(table, "timestamp", np.nan)
    stamp = np.where(np.abs(seconds) <= _MAX_SECONDS, seconds, np.nan)
    ranking = np.lexsort((order, user))  # [n] users together, oldest first
    user, stamp = user[ranking], stamp[ranking]

    place = np.arange(count)
    has = ~np.isnan(stamp)
    before = np.maximum.accumulate(np.where(has, place, 0))
    after = np.minimum.accumulate(np.where(has, place, count - 1)[::-1])[::-1]
    filled = np.full(count, stamp[has].min() if has.any() else 0.0)
    for near in (after, before):  # the last one that knows a time of the same user wins
        usable = has[near] & (user[near] == user)
        filled[usable] = stamp[near][usable]

    times = np.empty(count, "datetime64[us]")
    micro = filled * 1e6 + np.clip(order[ranking], 0, 999_999)
    times[ranking] = micro.astype("int64").astype("datetime64[us]")
    return times


def _numbers(table: pa.Table, name: str, unknown: float) -> NDArray[np.float64]:
    if name not in table.column_names:
        return np.full(table.num_rows, unknown)
    try:
        column = table[name].cast(pa.float64()).combine_chunks()
    except pa.ArrowException as error:
        raise DataError(f"column {name} must hold numbers, got {table[name].type}: convert it") from error
    numbers: NDArray[np.float64] = column.to_numpy(zero_copy_only=False)
    return np.where(np.isfinite(numbers), numbers, unknown)
