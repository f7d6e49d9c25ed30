"""Models come and go: a space is added, filled beside the searched one, indexed, searched, set back, dropped.

No search and no writer waits for any of it longer than 200 ms (docs/decisions/0021-spaces.md).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.sql import Identifier

from imgsearch import db
from imgsearch.db import sql
from imgsearch.db.held import held
from imgsearch.errors import SpaceBusy, SpaceNotFull, UsageError
from imgsearch.ingest import queue, vectors
from imgsearch.ops import maintenance
from imgsearch.settings import Settings
from imgsearch.spaces import space
from imgsearch.spaces.space import Description

Tick = Callable[[str, int, int], None]  # what is going on, how much is done, of how much
BACKLOG, STEP = 4_000, 2_000  # images that wait in a space at once while it is filled, and how many are queued together
WAIT_SECONDS = 30.0  # for the last images of a space that is kept in step


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a space will cost: images to embed, hours with one worker at `rate` images per second, bytes on disk."""

    pictures: int
    rate: float
    hours: float
    disk: int


@dataclass(frozen=True, kw_only=True)
class Filled:
    """How a fill ended: images that the space holds and that failed, indexes built, whether it is searched."""

    embedded: int
    failed: int
    built: list[str]
    searched: bool


def estimate(connection: Connection[Any], dimension: int, rate: float) -> Estimate:
    """Return what a space of this dimension will cost, at the rate that was measured."""
    pictures = int(sql.value(connection, "space", "pictures"))
    # A vector lies in its table and in the HNSW, its bits in the row of its image and in three indexes.
    each = 2 * (2 * dimension + 220) + 4 * (dimension // 8 + 60)
    return Estimate(pictures=pictures, rate=rate, hours=pictures / rate / 3600, disk=pictures * each)


def listed(connection: Connection[Any]) -> list[Mapping[str, Any]]:
    """Return every space as the view imgsearch.spaces tells of it."""
    return list(sql.rows(connection, "space", "listed"))


def add(connection: Connection[Any], description: Description, *, name: str | None = None) -> str:
    """Make a space for a model, which nobody searches yet; return its name. Raises SpaceTaken, SpaceBusy."""
    return space.named(connection, space.add(connection, description, name=name)).name


def add_given(connection: Connection[Any], name: str, dimension: int) -> str:
    """Make a space whose vectors are brought along, which no worker fills; return its name.

    Raises SpaceTaken, SpaceBusy, UsageError for a dimension that no vector has.
    """
    if not re.fullmatch(r"(?!\d+$|all$)[a-z0-9][a-z0-9._-]{0,62}", name):
        raise UsageError(f"{name[:80]!r} names no space; write small letters, digits and .-_, not digits alone.")
    if not 1 <= dimension <= vectors.MOST:
        raise UsageError(f"The dimension is {dimension}; a vector has 1 to {vectors.MOST} numbers.")
    description = Description(
        model=name,
        revision="",
        fingerprint=f"given:{name}",
        dimension=dimension,
        preprocessing="given",
        mean=[0.0] * dimension,  # not known before there are vectors; fill() measures it
        texts=False,
    )
    small = bool(sql.value(connection, "space", "is_small"))
    made = space.named(connection, space.add(connection, description, name=name, kind="given", indexes=small))
    queue.enqueue_missing(connection)  # what waited for the first space waits for nobody now
    return made.name


def fill(
    settings: Settings,
    name: str,
    *,
    share: float = 1.0,
    memory: str | None = None,
    tick: Tick | None = None,
    say: Callable[[str], None] | None = None,
) -> Filled:
    """Queue every image for a space at the pace of its workers, wait for them, then build its indexes.

    From then on a search may name it, beside the searched one.

    Interrupted, it is taken up where it stopped: what was embedded stays, what was queued is embedded. `share`: the
    part of their time that workers give to it; 0: only while nothing of the searched space waits.
    Where vectors are given nobody is waited for: their mean is measured, and bits and indexes follow.
    Raises UnknownSpace, SpaceBusy while another session fills it, UsageError, DiskFull.
    """
    if not 0 <= share <= 1:
        raise UsageError(f"share is {share}; it is a part of the workers' time, from 0 (idle time only) to 1.")
    with db.connect_direct(settings, autocommit=True) as connection:
        found = space.named(connection, name)
        values = {"space_id": found.space_id, "share": share}

        def refuse(_: object) -> None:
            raise SpaceBusy(f"Space {found.name} is being filled by another session; wait for it, or end it.")

        with held(settings, "space", "alone", values, refuse=refuse):
            state, built = _fill(settings, connection, found, values, memory, tick, say)
    searched = found.state == "active"
    return Filled(embedded=state["embedded"], failed=state["failed"], built=built, searched=searched)


def _fill(
    settings: Settings,
    connection: Connection[Any],
    found: space.Space,
    values: Mapping[str, Any],
    memory: str | None,
    tick: Tick | None,
    say: Callable[[str], None] | None,
) -> tuple[Mapping[str, Any], list[str]]:
    sql.run(connection, "space", "share", values)
    sql.run(connection, "space", "begin_again", values)
    state = _embed(connection, found.space_id, tick, say)
    if found.kind == "given":
        _centre(connection, found.space_id, state["embedded"], tick)
    built = maintenance.index_space(settings, found.space_id, memory=memory, tick=tick)
    sql.run(connection, "space", "say_full", values)
    sql.run(connection, "space", "open", values)
    sql.run(connection, "space", "refresh_sample")
    for table in (f"embedding_{found.space_id}", "image"):
        sql.run(connection, "maintenance", "vacuum", names={"table": Identifier("imgsearch", table)})
    return state, built


def _embed(
    connection: Connection[Any], space_id: int, tick: Tick | None, say: Callable[[str], None] | None
) -> Mapping[str, Any]:
    """Keep some images waiting until all have been embedded or have failed; return how it is then."""
    alone_since: float | None = None
    while True:
        began = time.monotonic()
        state: Mapping[str, Any] = sql.rows(connection, "space", "progress", {"space_id": space_id})[0]
        if state["kind"] != "model" or (state["queued"] and not state["waiting"]):
            return state
        if tick:
            tick("embedding", state["embedded"], state["pictures"])
        if not state["queued"] and state["waiting"] < BACKLOG:
            sql.run(connection, "space", "fill", {"space": str(space_id), "size": STEP})
            continue
        alone_since = None if state["worked"] else alone_since or began
        if say and alone_since and began - alone_since > 10:
            say(f"Nobody embeds for this space; start a worker: imgsearch worker --space {state['name']}")
            alone_since = began + 50
        # Counting costs more, the more there are: a tenth of the time at most.
        time.sleep(max(0.3, 10 * (time.monotonic() - began)))


def _centre(connection: Connection[Any], space_id: int, many: int, tick: Tick | None) -> None:
    """Measure the mean of given vectors and have the bits of all follow, some images in each transaction."""
    sql.run(connection, "space", "measure_mean", {"space_id": space_id})
    after: int | None = 0
    done = 0
    while after is not None:
        if tick:
            tick("comparing with the mean", min(done, many), many)
        values = {"space_id": space_id, "after": after, "size": STEP}
        after = sql.value(connection, "space", "write_bits", values)
        done += STEP


def activate(connection: Connection[Any], name: str, *, force: bool = False, wait: float = WAIT_SECONDS) -> None:
    """Make a space the searched one, in one transaction; the one before stands by and is kept in step.

    The last images of a full space are waited for, for `wait` seconds. `connection` is in autocommit.
    Raises UnknownSpace, SpaceNotFull (unless `force`), SpaceBusy.
    """
    deadline = time.monotonic() + wait
    while True:
        try:
            sql.run(connection, "space", "activate", {"space": name, "force": force})
        except SpaceNotFull:
            found = sql.rows(connection, "space", "progress", {"space_id": space.named(connection, name).space_id})[0]
            # In step, but for what has just been added.
            if not (found["queued"] and found["waiting"] and found["worked"]) or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def rollback(connection: Connection[Any], *, force: bool = False) -> str:
    """Search the space before again; return its name. Raises UnknownSpace where none stands by, SpaceNotFull."""
    return str(sql.value(connection, "space", "rollback", {"force": force}))


def one(connection: Connection[Any], name: str) -> dict[str, Any]:
    """Return what `listed` says of one space, by its name or number. Raises UnknownSpace."""
    space_id = space.named(connection, name).space_id
    return next(dict(row) for row in listed(connection) if row["space_id"] == space_id)


def drop(connection: Connection[Any], name: str) -> None:
    """Forget a space, and what waits for it. Raises UnknownSpace, UsageError for the searched one, SpaceBusy."""
    sql.run(connection, "space", "drop", {"space": name})
    queue.enqueue_missing(connection)
