"""A backup: the whole database as pg_dump writes it, what no dump holds, and the pictures.

The pictures are copied first, then the database is dumped, then the pictures that came meanwhile are copied. So each
picture that the dump names was there when it was copied: an object is written before its row, and deleted an hour after
it at the earliest. What was deleted in between is in the backup as well, and is swept after a restore.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psycopg

from imgsearch import db
from imgsearch.db import sql
from imgsearch.errors import DiskFull, UsageError
from imgsearch.ingest import picture_store
from imgsearch.ops import manifest, postgres_programs
from imgsearch.ops.manifest import Manifest
from imgsearch.schema import migrate
from imgsearch.schema.window import RELEASE
from imgsearch.servers import direct_url
from imgsearch.settings import Settings
from imgsearch.storage import Store, open_store
from imgsearch.storage.store import uri_of

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
    with _room(folder), _mine(folder), db.connect_direct(settings, autocommit=True) as connection:
        migrate.check(connection)
        program = postgres_programs.find("pg_dump", connection.info.server_version // 10000)
        store = open_store(settings.storage_url) if pictures != "none" else None
        if store and pictures == "copied":
            _copy(store, folder, tick, lambda digests: picture_store.used_of(connection, digests))
        tick("dumping the database", 0)
        with _snapshot(connection) as snapshot:  # what is said of the database is said of the dump
            about = sql.rows(connection, "backup", "about")[0]
            named = {row["uri"] for row in sql.rows(connection, "backup", "stored")} if store else set()
            _dump(program, direct_url(settings), snapshot, folder, tick)
        copied, lacking = (0, 0), tuple[str, ...]()
        if store and pictures == "copied":
            copied, damaged = _copy(
                store, folder, tick, lambda digests: {one for one in digests if uri_of(one) in named}
            )
            tick("looking for what is missing", copied[0])
            lacking = _missing(named, store, folder, damaged)
        elif store:
            copied = _list(store, named, folder, tick)
        made = Manifest(
            taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
            release=str(RELEASE),
            server=about["server"],
            pgvector=about["pgvector"],
            pgvector_schema=about["pgvector_schema"],
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


@contextlib.contextmanager
def _mine(folder: Path) -> Iterator[None]:
    """Make the folder, or take up the unfinished backup in it, alone. Raises UsageError."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder.")
    if (folder / manifest.NAME).exists():
        raise UsageError(f"There is a backup in {folder} already; name another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    others = sorted(one.name for one in folder.iterdir() if not manifest.is_ours(one.name))
    if others:
        raise UsageError(f"{folder} holds other files ({others[0]}, …); name a folder of the backup's own.")
    folder.chmod(0o700)  # it holds what keys are made of
    opened = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)  # gone with the process, however that ends
        except BlockingIOError:
            raise UsageError(f"Another process writes a backup into {folder}; wait for it, or end it.") from None
        yield
    finally:
        os.close(opened)


@contextlib.contextmanager
def _snapshot(connection: psycopg.Connection[Any]) -> Iterator[str]:
    with connection.transaction():
        sql.run(connection, "backup", "still")
        yield sql.value(connection, "backup", "snapshot")


def _dump(program: Path, url: str, snapshot: str, folder: Path, tick: Tick) -> None:
    unfinished = folder / f"{manifest.DUMP}.part"
    unfinished.unlink(missing_ok=True)  # a pg_dump whose parent was killed may still write to that one
    arguments = ("--format=custom", "--verbose", f"--snapshot={snapshot}", f"--file={unfinished}")
    postgres_programs.run(program, *arguments, url=url, say=lambda line: tick(_said(line), 0))
    unfinished.replace(folder / manifest.DUMP)


def _said(line: str) -> str:
    """What a line of --verbose says to somebody who waits."""
    return line if line.startswith("dumping contents of table") else "dumping the database"


def _copy(
    store: Store, folder: Path, tick: Tick, used: Callable[[list[bytes]], set[bytes]]
) -> tuple[tuple[int, int], tuple[str, ...]]:
    """Copy what this database uses: a store that it shares holds more.

    Return how many objects the backup holds and their bytes, and which of the store have other bytes than names.
    """
    (folder / manifest.PICTURES).mkdir(exist_ok=True)
    target = open_store((folder / manifest.PICTURES).absolute().as_uri())
    copied = store.copy_to(target, lambda objects, _: tick("copying pictures", objects), used=used)
    total = [one.size for one in target.keys()]  # noqa: SIM118 - a store is no dict
    return (len(total), sum(total)), copied.damaged


def _list(store: Store, named: set[str], folder: Path, tick: Tick) -> tuple[int, int]:
    many = size = 0
    with (folder / manifest.LIST).open("w", encoding="utf-8") as file:
        for many, one in enumerate((one for one in store.keys() if one.uri in named), 1):  # noqa: SIM118
            file.write(f"{one.uri}\t{one.size}\n")
            size += one.size
            if many % 1000 == 0:
                tick("listing pictures", many)
    return many, size


def _missing(named: set[str], store: Store, folder: Path, damaged: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses of pictures that rows name and the backup lacks: the store lacks them, too, or holds other bytes."""
    held = {one.uri for one in open_store((folder / manifest.PICTURES).absolute().as_uri()).keys()}  # noqa: SIM118
    torn = {f"store:{key}" for key in damaged}
    return tuple(sorted(uri for uri in named - held if uri in torn or not store.exists(uri)))[:1000]


@contextlib.contextmanager
def _room(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"No room is left in {folder}; make some, and run it again: it goes on.") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UsageError(f"{folder} cannot be written to ({error.strerror}); name another folder.") from error
        raise
