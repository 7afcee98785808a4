"""Where paths of pictures and sounds lead: not out of their folders; names may differ a little."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from itertools import product
from pathlib import Path
from stat import S_ISREG
from urllib.parse import unquote

from mmrec.errors import DataError
from mmrec.types import IMAGE, NOUNS, composed, is_url

_SHOWN = 3  # guesses named in a note
_MANY = 32  # pictures looked up in one folder, after which it is listed instead
_MOST = 500_000  # names in memory, beyond which no other folder is listed


class ImagePaths:
    """Where the paths of pictures in a file may lead: not out of its folders, unless the reader allows it.

    Args:
        folders: where pictures may lie, the file's own first (None counts as absent). A relative path begins
            at the first of them from which it leads to something.
        allow_outside: whether pictures may lie anywhere on this machine.

    """

    def __init__(self, *folders: str | Path | None, allow_outside: bool = False) -> None:
        self.folders = [Path(folder).absolute() for folder in folders if folder is not None]
        self.allow_outside = allow_outside
        self._listed: dict[Path, dict[str, list[str]]] = {}
        self._asked: Counter[str] = Counter()
        self._known: dict[str, tuple[str, set[str]]] = {}
        self._room = _MOST
        self._guesses: list[str] = []

    def absolute(self, image: str | Path, field: str = IMAGE) -> str:
        """The absolute path of a picture, or of another field's file; a URL as it is.

        Raises:
            DataError: it is a `file:` URL, or leads out of the folders.
        """
        noun = NOUNS[field]
        if isinstance(image, str) and ":" not in image and (known := self._among_known(image)):
            return known
        if str(image).lower().startswith("file:"):
            raise DataError(f"{noun} {str(image)[:300]!r} is a file: URL: write its path", field=field)
        if is_url(image):
            return str(image)
        paths = [folder / image for folder in self.folders]
        path = next(filter(os.path.exists, paths), None) or self._near(str(image)) or paths[0]
        if not (self.allow_outside or self._holds(path)):
            raise DataError(
                f"{noun} {str(path)[:300]!r} lies outside the folder of its file: move it there, or allow it"
                " by --image-root DIR or --allow-outside (in Python: image_root=, allow_outside=True)",
                field=field,
            )
        return str(path)

    def _among_known(self, image: str) -> str | None:
        """The path of a picture that is a file, not a link, in a folder that does not lead out."""
        name = image.rpartition("/")[2]
        folder = image[: len(image) - len(name)]
        if (known := self._known.get(folder)) is None:
            known = self._known[folder] = self._sound(folder), set[str]()
        path, names = known
        if name in names:
            return path + name
        self._asked[folder] += 1
        with suppress(OSError, ValueError):
            if path and self._asked[folder] == _MANY and self._room > 0:
                names |= {entry.name for entry in os.scandir(path) if entry.is_file(follow_symlinks=False)}
                self._room -= len(names)
            return path + name if path and S_ISREG(os.lstat(path + name).st_mode) else None
        return None

    def _sound(self, folder: str) -> str:
        """A folder's path with its last slash; nothing where it leads out of the first."""
        path = self.folders[0] / folder if self.folders else None
        return str(path / "_")[:-1] if path and (self.allow_outside or self._holds(path)) else ""

    def _near(self, image: str) -> Path | None:
        """The one file whose name differs by case, Unicode form, backslashes, %20 or a query (`?w=200`).

        A path from the root of another machine or of a web server may begin in any folder of it.
        """
        names = near_name(image).split("/")
        starts = range(len(names)) if names[0] == "" or names[0].endswith(":") else (0,)
        for start, folder in product(starts, self.folders):
            path = folder
            for part in names[start:]:
                found = [part] if part in ("", ".", "..") else self._names(path).get(part, [])
                if len(found) != 1:
                    break
                path = path / found[0]
            else:
                self._guesses = [*self._guesses[:_SHOWN], f"{image[:300]!r} is {path.name!r}"]
                return path
        return None

    def _names(self, folder: Path) -> Mapping[str, list[str]]:
        if folder not in self._listed:
            names = self._listed[folder] = {}
            with suppress(OSError):
                for name in os.listdir(folder):  # noqa: PTH208 - names alone, a million perhaps
                    names.setdefault(composed(name).casefold(), []).append(name)
        return self._listed[folder]

    def notes(self) -> list[str]:
        """What was guessed so far: a sentence, or nothing."""
        shown = ", ".join(dict.fromkeys(self._guesses[:_SHOWN]))
        more = " and more" if len(self._guesses) > _SHOWN else ""
        told = f"pictures were found under names a little different from those given: {shown}{more}"
        return [told] if shown else []

    def _holds(self, path: Path) -> bool:
        """Whether a path, its links followed, lies in a folder; one that cannot be followed lies in none."""
        try:
            end = os.path.realpath(path, strict=True)
        except (FileNotFoundError, NotADirectoryError):
            end = os.path.realpath(path)
        except (OSError, ValueError):
            return False
        return any(Path(end).is_relative_to(folder) for folder in self._ends)

    @cached_property
    def _ends(self) -> list[str]:
        return [os.path.realpath(folder) for folder in self.folders]


def near_name(image: str) -> str:
    """A path without what differs between systems: case, Unicode form, backslashes, escapes, a query."""
    path = unquote(re.split(r"\?|#(?=[^/.]*$)", image, maxsplit=1)[0])
    return composed(path.replace("\\", "/").strip()).casefold()
