"""A disk of a few megabytes that a database may write to, really full or not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier, Literal


@dataclass(frozen=True)
class SmallDisk:
    """A tablespace of its own disk; `ballast` is what else lies there."""

    tablespace: str
    place: Path

    @property
    def ballast(self) -> Path:
        return self.place / "ballast"

    def fill(self, *, leave: int) -> None:
        """Leave so many bytes free, or a page more."""
        disk = os.statvfs(self.place)
        with self.ballast.open("ab") as file:
            file.write(b"x" * max(disk.f_bavail * disk.f_frsize - leave, 0))

    def empty(self) -> None:
        """Make room."""
        self.ballast.unlink()


@contextmanager
def small_disk(connection: psycopg.Connection[Any], folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount a disk in memory and make a tablespace on it; where that is not allowed, skip the test."""
    place = folder / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here: that takes an administrator")
    [(data,)] = connection.execute("SELECT current_setting('data_directory')").fetchall()
    owner, data_place = Path(data).stat(), place / "data"
    try:
        data_place.mkdir()
        for one in (place, data_place):
            os.chown(one, owner.st_uid, owner.st_gid)
        name = f"small_{folder.name.strip('_-').replace('-', '_')}"
        made = SQL("CREATE TABLESPACE {} LOCATION {}")
        connection.execute(made.format(Identifier(name), Literal(str(data_place))))
        yield SmallDisk(name, place)
        connection.execute(SQL("DROP TABLESPACE {}").format(Identifier(name)))
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)
