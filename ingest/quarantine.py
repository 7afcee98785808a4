"""The rows of a store that were not taken, or not whole, in a JSON lines file that people mend.

One line is one row::

    {"item_id": "B07", "field": "price", "reason": "...", "source": "shop.csv", "folder": "/data",
     "line": 12, "part": false, "row": {...}}

`part` is true where the item itself was taken and only its `field` was not, such as a picture or a price that
cannot be used.
`row` is the row in canonical shape (`mmrec.data.files`): mend it there and run `mmrec ingest STORE --retry`.
Its pictures have absolute paths, so that it can be taken in from anywhere. They must lie in `folder`, the one
of their source, as they had to when it was read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from ingest.clean import clean, item_id_of
from ingest.sources.several import Given, Line, hive
from mmrec.data.files import replacing
from mmrec.data.formats import dump_row, parse_row
from mmrec.data.image_paths import ImagePaths
from mmrec.errors import DataError, Rejection
from mmrec.types import Item

NAME, LOCK = "quarantine.jsonl", "quarantine.lock"  # in the store's folder
DOWNLOADS = "images"  # beside them: pictures that were downloaded
Content = Mapping[str, Any]
# in which like reasons differ
_DETAIL = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\w+://\S+|\d+""")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the file.

    Attributes:
        text: the line itself, as it stands there.
        position: its number in the file (1-based).
        content: what it says, None if it is damaged.
        damage: why it cannot be read, if it cannot.
    """

    text: bytes
    position: int
    content: Content | None = None
    damage: str | None = None

    @property
    def item_id(self) -> str | None:
        """The id of the row as it is mended now, else the one it was rejected with."""
        return None if self.content is None else _item_id(self.content)

    @property
    def key(self) -> Hashable:
        """Entries with the same key are the same row."""
        return self.position if self.content is None else _key(self.content)

    def is_mended(self, accepted_ids: Collection[str], read: Collection[Hashable]) -> bool:
        """Whether its item has been taken, or it has no id and the place it came from was read anew."""
        if self.item_id is not None:
            return self.item_id in accepted_ids
        return self.content is not None and _place_of(self.content) in read

    def retry(self, folders: Sequence[Path], allow_outside: bool) -> Item | Rejection:
        """The row, cleaned again.

        Args:
            folders: where its pictures may lie besides the folder of its source.
            allow_outside: whether they may lie anywhere.
        """
        if self.content is None:
            return Rejection(reason=f"line {self.position} of the quarantine is damaged: {self.damage}")
        row, line = self.content.get("row"), self.content.get("line")
        line = line if isinstance(line, int) else None
        if not isinstance(row, Mapping):
            reason = "the quarantine does not hold this row: mend it in its source and ingest that again"
            return Rejection(reason=reason, item_id=self.item_id, line=line)
        own = self.content.get("folder")
        paths = ImagePaths(own if isinstance(own, str) else None, *folders, allow_outside=allow_outside)
        return clean(row, line=line, paths=paths)


class Quarantine:
    """The file of rejected rows of one store; it is there only while there are any."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def entries(self) -> Iterator[Entry]:
        """All lines, damaged ones too.

        Raises:
            DataError: the file cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                for position, line in enumerate(file, 1):
                    if line.strip():
                        yield _entry(line.strip(), position)
        except FileNotFoundError:
            return
        except OSError as error:
            raise DataError(f"cannot read {self.path}: {error}. Check its rights") from error

    def ids(self) -> frozenset[str]:
        """Ids that wait in the file."""
        return frozenset(entry.item_id for entry in self.entries() if entry.item_id is not None)

    def merge(
        self,
        rejections: Iterable[Rejection],
        accepted_ids: Collection[str],
        source: str | None,
        folder: Path | None = None,
        *,
        incomplete: Iterable[Rejection] = (),
        whole: bool | Sequence[Given] = False,
    ) -> int:
        """Drop what has been accepted, then add what was rejected; returns the number of entries.

        Other threads and processes that merge at the same time wait.

        Args:
            rejections: the new ones; of those with the same id, or without id of the same line of the
                same source, the newest stays.
            accepted_ids: of the items taken since.
            source: name of the file the rows came from, of several each `Line` says which; None if they came
                from this quarantine, whose entries keep their sources, and stay as they are if they still
                have no id.
            folder: of the source, in which its pictures lie.
            incomplete: of items that were taken without a part.
            whole: whether the source was read to its end, or which of several were: their lines without an id
                that are not rejected any more have been mended there.

        Raises:
            DataError: the file cannot be read or written.
        """
        with self._locked():
            entries = list(self.entries())
            read = [] if isinstance(whole, bool) else [_place(one.name, one.folder) for one in whole]
            read += [_place(source, folder)] if whole is True and source is not None else []
            stay = [entry for entry in entries if not entry.is_mended(accepted_ids, read)]
            lines = {entry.key: entry.text + b"\n" for entry in stay}
            new = [*_new(rejections, source, folder), *_new(incomplete, source, folder, part=True)]
            if source is None:
                new = list(_again(new, entries))
            for content in new:
                lines.pop(_key(content), None)  # the newest goes to the end
                lines[_key(content)] = dump_row(content)
            self._write(lines.values())
        return len(lines)

    def summary(self) -> list[tuple[int, str, Entry]]:
        """How many entries wait for each reason, the commonest first: count, reason and an example.

        Reasons that differ in names and numbers alone are one.

        Raises:
            DataError: the file cannot be read.
        """
        groups: dict[Hashable, list[Entry]] = {}
        for entry in self.entries():
            content = entry.content or {}
            alike = _DETAIL.sub("", str(content.get("reason")))
            key = content.get("part") is True, str(content.get("field")), alike
            groups.setdefault(key, []).append(entry)
        ordered = sorted(groups.values(), key=len, reverse=True)
        return [(len(group), _reason(group[0]), group[0]) for group in ordered]

    def retry_rows(
        self, *, image_root: Path | None = None, allow_outside: bool = False
    ) -> Iterator[Item | Rejection]:
        """Every row, cleaned again; what is damaged or still wrong is a Rejection.

        Args:
            image_root: a folder in which pictures may lie besides those of their sources and of what was
                downloaded.
            allow_outside: whether pictures may lie anywhere on this machine.

        Raises:
            DataError: the file cannot be read.
        """
        downloads = self.path.with_name(DOWNLOADS)
        folders = [folder.absolute() for folder in (downloads, image_root) if folder is not None]
        return (entry.retry(folders, allow_outside) for entry in list(self.entries()))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FileLock(self.path.with_name(LOCK))
        try:
            lock.acquire()
        except OSError as error:
            raise DataError(f"cannot lock {self.path}: {error}. Check the folder and its rights") from error
        try:
            yield
        finally:
            lock.release()

    def _write(self, lines: Collection[bytes]) -> None:
        if not lines:
            self.path.unlink(missing_ok=True)
            return
        with replacing(self.path) as file:
            file.writelines(lines)


def _entry(line: bytes, position: int) -> Entry:
    try:
        return Entry(line, position, parse_row(line))
    except DataError as error:
        return Entry(line, position, damage=str(error))


def _reason(entry: Entry) -> str:
    return f"damaged line: {entry.damage}" if entry.content is None else str(entry.content.get("reason"))


def _item_id(content: Content) -> str | None:
    row = content.get("row")
    mended = item_id_of(row) if isinstance(row, Mapping) else None
    return mended or item_id_of(content)


def _key(content: Content) -> Hashable:
    item_id, line = _item_id(content), content.get("line")
    if item_id is not None:
        return item_id
    where = line if isinstance(line, int) else dump_row({"row": content.get("row")})
    return _place_of(content), where


def _place_of(content: Content) -> Hashable:
    source, folder = content.get("source"), content.get("folder")
    return _place(str(source), Path(folder) if isinstance(folder, str) else None)


def _place(source: str, folder: Path | None) -> Hashable:
    """A source, however the path to it is written."""
    if folder is None:
        return source, None
    path = Path(source).absolute()
    return path.relative_to(hive(path)[1]).as_posix(), os.path.realpath(folder)


def _new(
    rejections: Iterable[Rejection], source: str | None, folder: Path | None, *, part: bool = False
) -> Iterator[Content]:
    for one in rejections:
        given = one.line.given if isinstance(one.line, Line) else None
        name, place = (given.name, given.folder) if given else (source, folder)
        yield {
            "item_id": one.item_id, "field": one.field, "reason": one.reason, "source": name,
            "folder": None if place is None else str(place.absolute()),
            "line": int(one.line) if one.line else None, "part": part, "row": one.row,
        }


def _again(still: Iterable[Content], entries: Iterable[Entry]) -> Iterator[Content]:
    """What is still wrong after a retry, with its old source; what has no id or row stands as it is."""
    old = {entry.item_id: entry.content for entry in entries if entry.content is not None}
    for content in still:
        item_id = _item_id(content)
        if item_id is not None and content["row"] is not None:
            yield {**content, **{name: old.get(item_id, {}).get(name) for name in ("source", "folder")}}
