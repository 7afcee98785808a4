"""Where the paths of pictures in a file may lead: not out of its folder, unless the reader allows it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from mmrec.errors import DataError
from mmrec.types import IMAGE, is_url


@dataclass(frozen=True)
class ImagePaths:
    """How the paths of pictures in one file are read.

    Attributes:
        folders: where pictures may lie, as absolute paths, the file's own first. A relative path begins at
            the first of them from which it leads to something.
        allow_outside: whether pictures may lie anywhere on this machine.
    """

    folders: tuple[Path, ...]
    allow_outside: bool = False

    @classmethod
    def of(cls, folder: Path, image_root: str | Path | None, allow_outside: bool) -> ImagePaths:
        """The paths of a file in `folder`, with one more folder of pictures if it is given."""
        folders = (folder,) if image_root is None else (folder, Path(image_root))
        return cls(tuple(folder.absolute() for folder in folders), allow_outside)

    def unchecked(self) -> ImagePaths:
        """The same folders, for paths that are written down and not followed."""
        return replace(self, allow_outside=True)

    def absolute(self, image: str | Path) -> str:
        """A picture's path, absolute; a URL as it is.

        Raises:
            DataError: it is a `file:` URL, or leads out of the folders.
        """
        if str(image).lower().startswith("file:"):
            raise DataError(f"picture {str(image)[:300]!r} is a file: URL: write its path", field=IMAGE)
        if is_url(image):
            return str(image)
        paths = [folder / image for folder in self.folders]
        path = next(filter(os.path.exists, paths), paths[0])
        if not (self.allow_outside or self._holds(path)):
            raise DataError(
                f"picture {str(path)[:300]!r} lies outside the folder of its file: move it there, or allow it"
                " by --image-root DIR or --allow-outside (in Python: image_root=, allow_outside=True)",
                field=IMAGE,
            )
        return str(path)

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
