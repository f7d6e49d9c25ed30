"""Folders for what tests write."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # folders in it have names of their own
ROOM = 4 << 30  # bytes; a server of tests takes 300 MB, a container's own /dev/shm is 64


def fast_place() -> str | None:
    """Return where files lie in memory and there is room, else None: the usual place for temporary files."""
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK | os.X_OK):
        return None
    found = os.statvfs(MEMORY)
    return str(MEMORY) if found.f_frsize * found.f_bavail > ROOM else None


def made_folder(prefix: str) -> Path:
    """Make an empty folder with a short path that other users can pass, as Postgres's own has to."""
    made = Path(tempfile.mkdtemp(prefix=prefix, dir=fast_place()))
    made.chmod(0o755)
    return made
