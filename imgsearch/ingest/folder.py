"""Which files of a folder are pictures that somebody put there, and which files a catalogue may name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imgsearch import values
from imgsearch.errors import CatalogueError
from imgsearch.picture.formats import SUFFIXES

# What macOS, Windows, NAS and photo programs keep beside pictures; hidden names (.x, ._x) are passed over as well.
_COMPANIONS = frozenset(
    {
        *("__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
    }
)


class Below:
    """The folders that pictures of one source may lie in: its own, and those that the operator allows."""

    def __init__(self, folder: Path, allowed: Sequence[Path] = ()) -> None:
        self._folder = folder
        self._roots = [root.resolve() for root in (folder, *allowed)]

    def resolved(self, path: Path) -> Path:
        """Return the file behind a path of the source; links are followed first and judged by where they end.

        Raises CatalogueError for one that lies elsewhere.
        """
        try:
            real = Path(os.path.realpath(self._folder / path))
        except (OSError, ValueError) as error:  # a null character, a loop of links
            raise CatalogueError(f"the path {ascii(str(path))[:200]} is none ({error}); check it.") from error
        if not any(real.is_relative_to(root) for root in self._roots):
            raise CatalogueError(
                f"{values.printable(str(path))[:200]} does not lie below {self._folder}; put the picture there, "
                "or allow its folder with --allow-folder."
            )
        return real


@dataclass
class Walked:
    """What a folder holds: pictures in order, folders that cannot be read, and how many companions are passed over."""

    pictures: list[Path] = field(default_factory=list)
    unreadable: list[OSError] = field(default_factory=list)
    skipped: int = 0


def walked(folder: Path) -> Walked:
    """Look through a folder and those in it; hidden and companion files and folders are counted, not looked at."""
    result = Walked()
    for place, folders, files in os.walk(folder, onerror=result.unreadable.append):
        shown = [name for name in folders if not _is_companion(name)]
        kept = [name for name in files if not _is_companion(name)]
        result.skipped += len(folders) + len(files) - len(shown) - len(kept)
        folders[:] = shown
        paths = (Path(place, name) for name in kept)
        result.pictures += [path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file()]
    result.pictures.sort()
    return result


def _is_companion(name: str) -> bool:
    return name.startswith((".", "~$")) or name.lower() in _COMPANIONS
