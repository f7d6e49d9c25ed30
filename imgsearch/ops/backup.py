"""A backup: the whole database as pg_dump writes it, what no dump holds, and the pictures.

The pictures are copied first, then the database is dumped, then the pictures that came meanwhile are copied. So each
picture that the dump names was there when it was copied: an object is written before its row, and deleted an hour after
it at the earliest. What was deleted in between is in the backup as well, and is swept after a restore.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psycopg

from imgsearch import db
from imgsearch.db import sql
from imgsearch.errors import DiskFull, UsageError
from imgsearch.ops import manifest, postgres_programs
from imgsearch.ops.manifest import Manifest
from imgsearch.schema import migrate
from imgsearch.schema.window import RELEASE
from imgsearch.servers import direct_url
from imgsearch.settings import Settings
from imgsearch.storage import Store, open_store

Pictures = Literal["copied", "listed", "none"]
Tick = Callable[[str, int], None]


def take(
    settings: Settings, folder: Path, *, pictures: Pictures = "copied", tick: Tick = lambda _, __: None
) -> Manifest:
    """Write a backup into a folder; interrupted, it goes on when it is called again.

    pictures: copied into the folder, listed in a file for a store that is backed up by itself, or left out.
    tick: hears what is done, and how many objects were copied.
    Raises UsageError, DatabaseError, DiskFull, StoreError.
    """
    _make(folder)
    with db.connect_direct(settings, autocommit=True) as connection, _room(folder):
        migrate.check(connection)
        about = sql.rows(connection, "backup", "about")[0]
        program = postgres_programs.find("pg_dump", about["server"])
        store = open_store(settings.storage_url) if pictures != "none" else None
        if store and pictures == "copied":
            _copy(store, folder, tick)
        tick("dumping the database", 0)
        _dump(program, direct_url(settings), folder, tick)
        copied = _copy(store, folder, tick) if store and pictures == "copied" else (0, 0)
        if store and pictures == "listed":
            copied = _list(store, folder, tick)
        tick("looking for what is missing", copied[0])
        lacking = _missing(connection, store, folder) if pictures == "copied" else ()
        made = Manifest(
            taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
            release=str(RELEASE),
            server=about["server"],
            pgvector=about["pgvector"],
            images=about["images"],
            pictures=pictures,
            objects=copied[0],
            size=copied[1],
            dump_sha256=manifest.digest(folder / manifest.DUMP),
            settings=about["settings"],
            missing=lacking,
        )
        made.write(folder)
    return made


def _make(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder.")
    if (folder / manifest.NAME).exists():
        raise UsageError(f"There is a backup in {folder} already; name another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # it holds what keys are made of


def _dump(program: Path, url: str, folder: Path, tick: Tick) -> None:
    unfinished = folder / f"{manifest.DUMP}.part"
    arguments = ("--format=custom", "--verbose", f"--file={unfinished}")
    postgres_programs.run(program, *arguments, url=url, say=lambda line: tick(_said(line), 0))
    unfinished.replace(folder / manifest.DUMP)


def _said(line: str) -> str:
    """What a line of --verbose says to somebody who waits."""
    return line if line.startswith("dumping contents of table") else "dumping the database"


def _copy(store: Store, folder: Path, tick: Tick) -> tuple[int, int]:
    (folder / manifest.PICTURES).mkdir(exist_ok=True)
    target = open_store((folder / manifest.PICTURES).absolute().as_uri())
    copied = store.copy_to(target, lambda objects, _: tick("copying pictures", objects))
    total = [one.size for one in target.keys()]  # noqa: SIM118 - a store is no dict
    return len(total), sum(total) if total else copied.size


def _list(store: Store, folder: Path, tick: Tick) -> tuple[int, int]:
    many = size = 0
    with (folder / manifest.LIST).open("w", encoding="utf-8") as file:
        for many, one in enumerate(store.keys(), 1):
            file.write(f"{one.uri}\t{one.size}\n")
            size += one.size
            if many % 1000 == 0:
                tick("listing pictures", many)
    return many, size


def _missing(connection: psycopg.Connection[Any], store: Store | None, folder: Path) -> tuple[str, ...]:
    """Addresses of pictures that rows name and the backup lacks: they were missing from the store, too."""
    held = {one.uri for one in open_store((folder / manifest.PICTURES).absolute().as_uri()).keys()}  # noqa: SIM118
    named = {row["uri"] for row in sql.rows(connection, "backup", "stored")}
    return tuple(sorted(uri for uri in named - held if store is None or not store.exists(uri)))[:1000]


@contextlib.contextmanager
def _room(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == 28:  # ENOSPC
            raise DiskFull(f"No room is left in {folder}; make some, and run it again: it goes on.") from error
        raise
