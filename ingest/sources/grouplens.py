"""The MovieLens releases as GroupLens packs them, in a folder or still zipped: 100K, 1M, and the CSV ones.

Nothing is unpacked to disk. Source: Harper & Konstan 2015, "The MovieLens Datasets"; the READMEs inside.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from ingest.sources.delimited import split_rows
from ingest.sources.records import Record, lines, reading
from mmrec.errors import DataError, Rejection
from mmrec.types import Interaction

Place = Path | zipfile.Path
LIKED, DISLIKED = 4.0, 2.0  # stars from which a rating is a like, up to which it is a dislike
MAX_UNPACKED = 8 * 2**30  # bytes of a whole release; the largest, 32M, has 0.95 GiB
MAX_RATIO = 100  # of packed and unpacked size; text has about 5
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1  # bit of an entry's flags
_ARTICLES = "The|A|An|La|Le|Les|Il|Lo|El|Los|Las|Der|Die|Das|Un|Une|Den|Det"
_YEAR = re.compile(r"(.+?)\s*\((\d{4})(?:[-–]\d{0,4})?\)\s*")
_TURNED = re.compile(rf"([^()]+), ({_ARTICLES})(?=\s*(?:\(|\)|$))")


@dataclass(frozen=True)
class Release:
    """How one generation of releases is laid out."""

    movies: str
    ratings: str
    separator: str  # of the films
    rating_separator: str
    encoding: str
    header: bool


RELEASES = (
    Release("u.item", "u.data", "|", "\t", "latin-1", header=False),
    Release("movies.dat", "ratings.dat", "::", "::", "latin-1", header=False),
    Release("movies.csv", "ratings.csv", ",", ",", "utf-8-sig", header=True),
)
FILES = frozenset(name for release in RELEASES for name in (release.movies, release.ratings))


def kind_of(rating: float) -> str:
    """What a rating of 0.5 to 5 stars says: like, view or dislike.

    Raises:
        ValueError: it is out of that range.
    """
    if not 0 < rating <= 5:
        raise ValueError(f"a rating is more than 0 and at most 5 stars, got {rating}")
    return "like" if rating >= LIKED else "dislike" if rating <= DISLIKED else "view"


def holds(path: Path, part: str = "movies") -> bool:
    """Whether a folder or zip holds the films ("movies") or the ratings ("ratings") of a release."""
    with _root(path) as root:
        return _find(root, part) is not None


def films(path: Path) -> Iterator[Record]:
    """The films of a release: item_id, title, year, genres.

    Raises:
        DataError: it is no release, or damaged.
    """
    with _part(path, "movies") as (file, place, release):
        genres = _genre_names(place) if release.movies == "u.item" else None
        for number, cells, problem in _rows(file, release):
            yield _film(cells, genres, number, problem)


def ratings(path: Path) -> Iterator[Interaction | Rejection]:
    """The ratings of a release, in the file's order, streamed.

    Raises:
        DataError: it is no release, or damaged.
    """
    with _part(path, "ratings") as (file, _, release):
        for number, line in enumerate(lines(file), start=1):
            if (release.header and number == 1) or not line.strip():
                continue
            try:
                user, item, rating, time = line.strip().split(release.rating_separator)
                yield Interaction(
                    user_id=user, item_id=item, kind=kind_of(float(rating)),
                    time=datetime.fromtimestamp(int(time), UTC), line=number,
                )
            except (ValueError, OverflowError, OSError, DataError) as error:
                yield Rejection(
                    reason=f"expected user, item, rating and Unix time between {release.rating_separator!r},"
                    f" got {line.strip()!r:.200} ({error}): mend the line", line=number,
                )


def split_title(title: str) -> tuple[str, int | None]:
    """ "Matrix, The (1999)" as ("The Matrix", 1999)."""
    found = _YEAR.fullmatch(title)
    name, year = (found[1], int(found[2])) if found else (title, None)
    return _TURNED.sub(r"\2 \1", name).strip(), year


@contextmanager
def _root(path: Path) -> Iterator[Place]:
    if path.is_dir():
        yield path
        return
    if not path.is_file():
        raise DataError(f"{path} is not there: give a MovieLens folder or zip")
    with reading(path), zipfile.ZipFile(path) as archive:
        unpacked = 0
        for entry in archive.infolist():
            unpacked += entry.file_size
            swollen = entry.file_size > max(2**20, MAX_RATIO * entry.compress_size)
            odd = entry.compress_type not in _METHODS or entry.flag_bits & _ENCRYPTED
            if swollen or odd or unpacked > MAX_UNPACKED:
                raise DataError(
                    f"{path}: {entry.filename} is encrypted, packed in a rare way, or unpacks to more than"
                    f" {MAX_RATIO} times its size or {MAX_UNPACKED:,} bytes in all: it is not read, fetch the"
                    " release again"
                )
        yield zipfile.Path(archive)


@contextmanager
def _part(path: Path, part: str) -> Iterator[tuple[TextIO, Place, Release]]:
    """An open file of the release, the folder it is in, and the release."""
    with _root(path) as root:
        found = _find(root, part)
        if found is None:
            expected = ", ".join(getattr(release, part) for release in RELEASES)
            raise DataError(f"{path} holds no {part} of MovieLens: one of {expected} was expected")
        place, release = found
        with reading(path), _opened(place / getattr(release, part), release.encoding) as file:
            yield file, place, release


def _opened(file: Any, encoding: str) -> TextIO:
    return file.open("r", encoding=encoding, errors="surrogateescape", newline="")


def _find(root: Place, part: str) -> tuple[Place, Release] | None:
    for place in (root, *(child for child in root.iterdir() if child.is_dir())):
        for release in RELEASES:
            if (place / getattr(release, part)).is_file():
                return place, release
    return None


def _rows(file: TextIO, release: Release) -> Iterator[tuple[int, list[str], str | None]]:
    if release.separator == ",":
        rows = split_rows(lines(file), ",")
        next(rows, None)  # the header
        yield from rows
    else:
        for number, line in enumerate(lines(file), start=1):
            if line.strip():
                yield number, line.rstrip("\r\n").split(release.separator), None


def _genre_names(place: Place) -> list[str]:
    if not (place / "u.genre").is_file():
        raise DataError(f"{place} has u.item but no u.genre, which names its genres: fetch the release again")
    with _opened(place / "u.genre", "latin-1") as file:
        return [line.split("|")[0].strip() for line in lines(file) if line.strip()]


def _film(cells: Sequence[str], genres: Sequence[str] | None, number: int, problem: str | None) -> Record:
    width = 3 if genres is None else 5 + len(genres)
    if problem or len(cells) != width:
        problem = problem or f"the film has {len(cells)} cells, expected {width}: mend the line"
        return Record({}, number, problem)
    title, year = split_title(cells[1])
    if genres is None:
        named = [name for name in cells[2].strip().split("|") if name != "(no genres listed)"]
    else:
        flagged = zip(genres, cells[5:], strict=True)
        named = [name for name, flag in flagged if flag.strip() == "1" and name != "unknown"]
    return Record({"item_id": cells[0], "title": title, "year": year, "genres": named}, number)
