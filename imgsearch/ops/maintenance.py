"""Keep searches fast: build and rebuild the index beside running searches, warm caches, vacuum, promote attributes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Identifier

from imgsearch import db
from imgsearch.db import sql
from imgsearch.db.all_of import all_of
from imgsearch.db.held import held
from imgsearch.db.pooler import is_pooled
from imgsearch.errors import UsageError
from imgsearch.schema import extension
from imgsearch.settings import Settings
from imgsearch.spaces import space

Tick = Callable[[str, int, int], None]  # what is going on, how much is done, of how much
LOOK_SECONDS = 0.3
LOCK_SECONDS = 5.0  # what a cancelled session may need to end, also on a busy server
TYPES = ("text", "number", "boolean")


def build(settings: Settings, *, memory: str | None = None, tick: Tick | None = None) -> bool:
    """Build the indexes that the searched space lacks, the HNSW among them; return whether any was built.

    `memory` is a maintenance_work_mem for it (a build that outgrows it becomes many times slower). Raises NoSpace,
    UsageError while another session builds or drops one, ExtensionMissing where this pgvector may have no HNSW.
    """
    with _alone(settings, memory) as connection:
        clean(connection)
        if _complete(settings, connection, space.require(connection).space_id, tick):
            return True
        extension.require_graph(connection)
        return False


def index_space(
    settings: Settings, space_id: int, *, memory: str | None = None, one_core: bool = False, tick: Tick | None = None
) -> list[str]:
    """Build every index of a space that it lacks, beside searches and writers; return their names.

    one_core: without helpers, as beside other work. What an interrupted build left is dropped first. Raises UsageError
    while another session builds, DiskFull.
    """
    with _alone(settings, memory) as connection:
        if one_core and not is_pooled(connection):
            sql.run(connection, "maintenance", "one_core")
        return _complete(settings, connection, space_id, tick)


def discard(settings: Settings, names: Sequence[str]) -> None:
    """Drop these indexes of imgsearch, where they are there, beside searches and writers. Raises UsageError."""
    with _alone(settings, None) as connection:
        all_of(names, lambda name: _drop(connection, name))


def _complete(settings: Settings, connection: psycopg.Connection[Any], space_id: int, tick: Tick | None) -> list[str]:
    built: list[str] = []

    def complete(row: Mapping[str, Any]) -> None:
        if row["state"] == "invalid":
            _drop(connection, row["name"])
        names: dict[str, Composable] = {"index": Identifier(row["name"]), "how": SQL(row["how"])}
        names["relation"] = Identifier("imgsearch", row["relation"])
        try:
            _watched(settings, connection, "create_one", "building", tick, names)
        except BaseException:
            _drop(connection, row["name"])  # what an interrupted build leaves behind is written to and never read
            raise
        built.append(row["name"])

    rows = sql.rows(connection, "maintenance", "indexes", {"space_id": space_id})
    all_of((row for row in rows if row["state"] != "valid"), complete)
    return built


def drop(settings: Settings) -> bool:
    """Drop every HNSW of the searched space before a bulk load; return whether there was that of all.

    Searches stay correct: they compare bits or everything, and say so. Raises NoSpace, UsageError.
    """
    with _alone(settings, None) as connection:
        space_id = space.require(connection).space_id
        had = bool(sql.value(connection, "maintenance", "state", {"space_id": space_id}) != "none")
        for row in sql.rows(connection, "maintenance", "graphs", {"space_id": space_id}):
            _drop(connection, row["name"])
        return had


def reindex(
    settings: Settings, *, everything: bool = False, memory: str | None = None, tick: Tick | None = None
) -> list[str]:
    """Clean up after interrupted builds and make every index whole; return what was done, in words.

    everything: rebuild the HNSW though it is valid, as after many deletions. Raises NoSpace, UsageError.
    """
    with _alone(settings, memory) as connection:
        done = [f"dropped {index}, left over by an interrupted build" for index in clean(connection)]
        space_id = space.require(connection).space_id
        built = _complete(settings, connection, space_id, tick)
        done += [f"built {name}" for name in built]
        due = [row["index"] for row in sql.rows(connection, "maintenance", "invalid")]
        if everything:
            graphs = sql.rows(connection, "maintenance", "graphs", {"space_id": space_id})
            due = [*(row["name"] for row in graphs if row["name"] not in built), *due]
        all_of(due, lambda index: done.append(_rebuild(settings, connection, index, tick)))
        return done


def clean(connection: psycopg.Connection[Any]) -> list[str]:
    """Drop what interrupted rebuilds left beside the real indexes; return their names."""
    left_over = [row["index"] for row in sql.rows(connection, "maintenance", "invalid") if row["left_over"]]
    for index in left_over:
        _drop(connection, index)
    return left_over


def vacuum(settings: Settings, *, tick: Tick | None = None) -> list[str]:
    """Vacuum and analyse the tables of a search; return their names."""
    tables = ["image", "job", "query_vector"]
    with db.connect_direct(settings, autocommit=True) as connection:
        _unhurried(connection)
        if active := space.active(connection):
            tables += [f"embedding_{active.space_id}", f"region_{active.space_id}"]
        names = [{"table": Identifier("imgsearch", table)} for table in tables]
        all_of(names, partial(_watched, settings, connection, "vacuum", "vacuuming", tick))
    return tables


def prewarm(connection: psycopg.Connection[Any], *, seconds: float = 60, tick: Tick | None = None) -> str:
    """Read what searches read into memory; return in words how. `connection` is in autocommit. Raises NoSpace.

    With the extension pg_prewarm whole relations; without it the vectors, and the graph by walking it from sampled
    images for at most `seconds`.
    """
    space_id = space.require(connection).space_id
    deadline = time.monotonic() + seconds
    if sql.value(connection, "maintenance", "has_prewarm"):
        relations = sql.rows(connection, "maintenance", "relations", {"space_id": space_id})
        for number, relation in enumerate(relations, 1):
            sql.run(connection, "maintenance", "prewarm", {"relation": relation["name"]})
            if tick:
                tick(relation["name"], number, len(relations))
        return f"read {len(relations)} tables and indexes, {sum(r['size'] for r in relations) / 2**20:,.0f} MB"
    sql.run(connection, "maintenance", "read", space_id=space_id)
    starts = sql.rows(connection, "maintenance", "starts")
    walked = 0
    for start in starts:
        if walked and time.monotonic() > deadline:
            break
        with connection.transaction():
            sql.run(connection, "maintenance", "wide")
            sql.run(connection, "maintenance", "walk", start, space_id=space_id)
        walked += 1
        if tick:
            tick("walks", walked, len(starts))
    return f"read all vectors and walked the graph from {walked} images (CREATE EXTENSION pg_prewarm reads all of it)"


def promote(connection: psycopg.Connection[Any], name: str, kind: str) -> str:
    """Give an attribute a typed, indexed column, under a lock; return its name. Raises UsageError, DatabaseRights."""
    return str(sql.value(connection, "maintenance", "promote", {"name": name, "type": kind}))


def demote(connection: psycopg.Connection[Any], name: str) -> bool:
    """Take a promoted attribute's column away; return whether there was one."""
    return bool(sql.value(connection, "maintenance", "demote", {"name": name}))


@contextmanager
def _alone(settings: Settings, memory: str | None) -> Iterator[psycopg.Connection[Any]]:
    """Lend a connection for index work, of which nobody else does any meanwhile."""
    refuse = partial(_refuse, until=time.monotonic() + LOCK_SECONDS)
    with (
        db.connect_direct(settings, autocommit=True) as connection,
        held(settings, "maintenance", "alone", refuse=refuse),
    ):
        _unhurried(connection)
        if memory:
            _give(connection, memory)
        yield connection


def _refuse(keeper: psycopg.Connection[Any], until: float) -> None:
    """Wait a little for who is at it, until a moment; the server must first notice that a cancelled client has gone."""
    if time.monotonic() > until:
        holders = sql.rows(keeper, "maintenance", "holder")
        who = holders[0]["who"] if holders else "a session that has just ended"
        raise UsageError(
            f"Another index is being built or dropped here, by {who}. Wait until it is done, or end it with "
            "SELECT pg_terminate_backend(process)."
        )
    time.sleep(LOCK_SECONDS / 50)


def _unhurried(connection: psycopg.Connection[Any]) -> None:
    """Lift the bounds of the database on statements; through a pooler they stay, the session is the next client's."""
    if not is_pooled(connection):
        sql.run(connection, "maintenance", "unhurried")


def _give(connection: psycopg.Connection[Any], memory: str) -> None:
    if is_pooled(connection):  # a build runs outside of transactions, and the session is the next client's
        raise UsageError("Memory cannot be set through a pooler; set IMGSEARCH_DIRECT_URL, or leave --memory out.")
    try:
        sql.run(connection, "maintenance", "memory", {"memory": memory})
    except UsageError as error:
        raise UsageError(f"{memory!r} is not an amount of memory; write for example 2GB.") from error


def _drop(connection: psycopg.Connection[Any], index: str) -> None:
    sql.run(connection, "maintenance", "drop", names={"index": Identifier("imgsearch", index)})


def _rebuild(settings: Settings, connection: psycopg.Connection[Any], index: str, tick: Tick | None) -> str:
    try:
        _watched(settings, connection, "rebuild", "building", tick, {"index": Identifier("imgsearch", index)})
    except BaseException:
        clean(connection)
        raise
    return f"rebuilt {index}"


def _watched(
    settings: Settings,
    connection: psycopg.Connection[Any],
    name: str,
    progress: str,
    tick: Tick | None,
    names: Mapping[str, Composable],
    space_id: int | None = None,
) -> None:
    """Run a long statement while another connection tells how far it is; interrupted, cancel it."""
    failure: list[BaseException] = []

    def work() -> None:
        try:
            sql.run(connection, "maintenance", name, space_id=space_id, names=names)
        except BaseException as error:  # noqa: BLE001  # raised again below, in the caller's thread
            failure.append(error)

    pid = None if is_pooled(connection) else connection.info.backend_pid
    thread = threading.Thread(target=work, name=f"imgsearch {name}")
    thread.start()
    try:
        with db.connect_direct(settings, autocommit=True) as watch:
            while thread.is_alive():
                for row in sql.rows(watch, "maintenance", progress, {"pid": pid}):
                    if tick:
                        tick(row["phase"], row["done"], row["total"])
                thread.join(LOOK_SECONDS)
    except BaseException:
        connection.cancel_safe()
        raise
    finally:
        thread.join()
    if failure:
        raise failure[0]
