"""A folder of pictures, alone or with a table of what they show.

Alone, each picture is an item: its id is its path inside the folder without suffix (`lamps/red-lamp`;
pictures that share one are pictures of one item), its title the words of its file name if there are any, its
attribute `folder` the subfolder it lies in. With a table each row takes the pictures it names, by path or by
file name alone, or else those named like its id. A row without a picture is an item all the same, and so is a
picture that no row takes.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from ingest.sources.columns import Columns
from ingest.sources.records import Row, Rows
from ingest.sources.tables import open_table
from mmrec.data.image_formats import FORMATS
from mmrec.data.image_paths import near_name
from mmrec.errors import DataError, Rejection
from mmrec.types import IMAGE, is_url

_GUESSED = "pictures were found under names a little different from those in the table: by case, accents, \\"
_REFUSED = (".heic", ".heif", ".jp2", ".svg", ".eps")  # become rejections rather than being passed over
SUFFIXES = (*(suffix for kind in FORMATS for suffix in kind.suffixes), *_REFUSED)
_MACHINE_WORDS = frozenset({
    "img", "image", "images", "dsc", "dscn", "dscf", "pic", "pict", "picture", "photo", "scan", "screenshot",
    "untitled", "unnamed", "file", "copy", "pxl", "mvimg", "whatsapp", "main", "front", "back", "thumb",
})


@dataclass(frozen=True)
class PictureFolder:
    """A source of a folder's pictures and, if it has one, the rows of a table.

    Attributes:
        folder: the folder.
        pictures: paths inside it, by item id.
        table: rows that say more.
    """

    folder: Path
    pictures: Mapping[str, Sequence[str]]
    table: Rows | None = None
    format: str = "images"

    @property
    def columns(self) -> Columns | None:
        """The mapping of the table."""
        return self.table.columns if self.table else None

    @cached_property
    def notes(self) -> list[str]:
        """What was guessed and mended, in the table above all; complete once the rows have been read."""
        return self.table.notes if self.table else []

    @cached_property
    def total(self) -> int:
        """Rows to come."""
        return len(self.pictures) if self.table is None else sum(1 for _ in self)

    def __iter__(self) -> Iterator[Row | Rejection]:
        taken: set[str] = set()
        ids: set[str] = set()
        for row in self.table or ():
            yield self._joined(row, taken, ids)
        for item_id, paths in self.pictures.items():
            left = [path for path in paths if path not in taken]
            if left and item_id in ids:
                yield Rejection(
                    reason=f"{left[0]} is named like the row {item_id!r} of the table, which names other"
                    " pictures: name it there too, or rename it", item_id=item_id, field=IMAGE,
                )
            elif left:
                yield self._item(item_id, left)

    def _item(self, item_id: str, paths: Sequence[str]) -> Row:
        title = words_of(PurePosixPath(item_id).name)
        return {
            "item_id": item_id,
            "text": {"title": title} if title else {},
            "image": _lone(paths),
            "attributes": self._place(paths[0]),
            "line": None,
        }

    def _joined(self, row: Row | Rejection, taken: set[str], ids: set[str]) -> Row | Rejection:
        """The row with its pictures, which are noted as taken; a rejected row takes its own too."""
        cells = row.row if isinstance(row, Rejection) else row
        if cells is None or not isinstance(cells["item_id"], str):
            return row
        images = list(self._images_of(cells))
        here = [image for image in images if isinstance(image, str) and image in self._index]
        taken.update(here)
        ids.add(cells["item_id"])
        if isinstance(row, Rejection):
            return replace(row, row={**cells, "image": _lone(images)})
        place = self._place(here[0]) if here else {}
        return row | {"image": _lone(images), "attributes": place | row["attributes"]}

    def _images_of(self, row: Mapping[str, Any]) -> Iterator[Any]:
        """Pictures that the row names, as paths inside the folder if they are there; or those of its id."""
        named = row["image"] if isinstance(row["image"], list) else [row["image"]]
        if named == [None]:
            yield from self._index.get(row["item_id"], ())
            return
        for image in named:
            if not isinstance(image, str) or is_url(image):
                yield image
            else:
                path = PurePosixPath(image)
                exact = self._index.get(str(path), self._index.get(path.name))
                yield from exact or self._guessed(image)

    def _guessed(self, image: str) -> Sequence[str]:
        """The picture whose name differs in case, Unicode form, backslashes or a query; else the name."""
        near = PurePosixPath(near_name(image))
        found = self._near.get(str(near), self._near.get(near.name))
        if found is None:
            return [image]
        if _GUESSED not in self.notes:
            self.notes.append(_GUESSED)
        return found

    @cached_property
    def _near(self) -> dict[str, Sequence[str]]:
        """`_index` by names without such differences, where only one picture has such a name."""
        found: defaultdict[str, list[Sequence[str]]] = defaultdict(list)
        for name, paths in self._index.items():
            found[near_name(name)].append(paths)
        return {name: paths[0] for name, paths in found.items() if len(paths) == 1}

    def _place(self, path: str) -> dict[str, str]:
        parent = str(PurePosixPath(path).parent)
        return {} if parent == "." else {"folder": parent}

    @cached_property
    def _index(self) -> dict[str, Sequence[str]]:
        """Pictures by path, item id, and by file name or last part of the id where only one has it."""
        exact: dict[str, Sequence[str]] = {}
        loose: defaultdict[str, list[Sequence[str]]] = defaultdict(list)
        for item_id, paths in self.pictures.items():
            exact[item_id] = paths
            loose[PurePosixPath(item_id).name].append(paths)
            for path in paths:
                exact[path] = [path]
                loose[PurePosixPath(path).name].append([path])
        return {name: found[0] for name, found in loose.items() if len(found) == 1} | exact


def open_folder(path: Path, *, table: Path | None = None, columns: Columns | None = None) -> PictureFolder:
    """The pictures in a folder and its subfolders as a source, with the rows of a table if one is given.

    Raises:
        DataError: there are none, or the table cannot be used.
    """
    if not path.is_dir():
        raise DataError(f"{path} is {'a file' if path.exists() else 'not there'}: give a folder of pictures")
    pictures: defaultdict[str, list[str]] = defaultdict(list)
    for picture in sorted(walk(path)):
        pictures[str(PurePosixPath(picture).with_suffix(""))].append(picture)
    if not pictures:
        raise DataError(f"{path} holds no pictures: files with one of {', '.join(SUFFIXES)} were expected")
    return PictureFolder(path, dict(pictures), open_table(table, columns) if table else None)


def walk(folder: Path) -> Iterator[str]:
    """Paths of the pictures inside a folder, in no order; hidden files and folders are passed over."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        for name in files:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield (Path(parent) / name).relative_to(folder).as_posix()


def words_of(stem: str) -> str:
    """The words of a file name ("red_lamp-01" gives "red lamp"), "" where a machine named it."""
    if re.fullmatch(r"[0-9a-fA-F-]{12,}", stem):  # a hash or UUID
        return ""
    tokens = [token for token in re.split(r"[\W_]+", stem) if _is_word(token)]
    telling = [token for token in tokens if token.isalpha() and len(token) > 2]
    return " ".join(tokens) if {token.lower() for token in telling} - _MACHINE_WORDS else ""


def _is_word(token: str) -> bool:
    """More letters than digits: not "0042", "DSC0001" or "9f3a77c1"."""
    digits = sum(map(str.isdigit, token))
    return 2 * digits < len(token)


def _lone(images: Sequence[Any]) -> Any:
    return list(images) if len(images) > 1 else images[0] if images else None
