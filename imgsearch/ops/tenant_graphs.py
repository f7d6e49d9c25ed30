"""A large tenant gets an HNSW of its own beside that of all, by rule or by hand, and loses it again.

Its searches walk that one (docs/decisions/0035-tenants.md). All of it runs beside searches and writers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from psycopg import Connection

from imgsearch import db
from imgsearch.db import sql
from imgsearch.db.all_of import all_of
from imgsearch.errors import UsageError
from imgsearch.ops import maintenance
from imgsearch.ops.maintenance import Tick
from imgsearch.settings import Settings


def listed(connection: Connection[Any]) -> list[Mapping[str, Any]]:
    """Return what is said of each tenant in each space, as the view imgsearch.tenant_graphs tells it."""
    return list(sql.rows(connection, "tenant_graph", "listed"))


def keep(settings: Settings, tenant: str, *, memory: str | None = None, tick: Tick | None = None) -> list[str]:
    """Give a tenant a graph of its own in every space that has one, whatever the rule says; return what was built.

    Raises UsageError for a tenant without images and while another session builds, DatabaseRights, DiskFull.
    """
    with db.connect_primary(settings, autocommit=True) as connection:
        if not sql.value(connection, "tenant_graph", "exists", {"tenant": tenant}):
            raise UsageError(f"The tenant {tenant[:80]!r} has no images here; name one that has.")
        sql.run(connection, "tenant_graph", "say", {"tenant": tenant, "wanted": True, "by_hand": True})
    return _build(settings, memory=memory, tick=tick)


def refuse(settings: Settings, tenant: str) -> list[str]:
    """Drop a tenant's graphs and let the rule make none; return their names. Raises UsageError, DatabaseRights."""
    with db.connect_primary(settings, autocommit=True) as connection:
        sql.run(connection, "tenant_graph", "say", {"tenant": tenant, "wanted": False, "by_hand": True})
    return _drop(settings, tenant)


def leave(settings: Settings, tenant: str) -> None:
    """Let the rule decide over a tenant again. Raises DatabaseRights."""
    with db.connect_primary(settings, autocommit=True) as connection:
        sql.run(connection, "tenant_graph", "unsay", {"tenant": tenant})


def due(
    connection: Connection[Any], *, fewest: int | None = None, but: Collection[str] = ()
) -> Mapping[str, Any] | None:
    """Return the next thing that the rule would do, `doing` (make, drop) to `tenant_id`, or None; drops come first.

    None as well while workers have work, and where this role may make no index. Two workers may be told the same: index
    work goes one at a time, and what is done already is not done again.
    """
    rows = sql.rows(connection, "tenant_graph", "due", {"fewest": fewest})
    return next((row for row in rows if row["idle"] and row["tenant_id"] not in but), None)


def sweep(settings: Settings, connection: Connection[Any]) -> list[str]:
    """Drop graphs of tenants that nobody knows any more; return their names. Raises UsageError while another builds."""
    names = [row["name"] for row in sql.rows(connection, "tenant_graph", "orphans")]
    if names:
        maintenance.discard(settings, names)
    return names


def follow(settings: Settings, one: Mapping[str, Any]) -> list[str]:
    """Do what `due` returned, a build with one core; return the indexes that were built or dropped.

    Raises UsageError while another session builds, DiskFull.
    """
    tenant = one["tenant_id"]
    if one["doing"] == "drop":
        dropped = _drop(settings, tenant)
        with db.connect_primary(settings, autocommit=True) as connection:
            sql.run(connection, "tenant_graph", "unsay_rule", {"tenant": tenant})
        return dropped
    with db.connect_primary(settings, autocommit=True) as connection:
        sql.run(connection, "tenant_graph", "say_rule", {"tenant": tenant})
    return _build(settings, one_core=True)


def _build(
    settings: Settings, *, memory: str | None = None, one_core: bool = False, tick: Tick | None = None
) -> list[str]:
    with db.connect_primary(settings, autocommit=True) as connection:
        spaces = [row["space_id"] for row in sql.rows(connection, "tenant_graph", "spaces")]
    built: list[str] = []
    index = partial(maintenance.index_space, settings, memory=memory, one_core=one_core, tick=tick)
    all_of(spaces, lambda space_id: built.extend(index(space_id)))
    return built


def _drop(settings: Settings, tenant: str) -> list[str]:
    with db.connect_primary(settings, autocommit=True) as connection:
        names = [row["name"] for row in sql.rows(connection, "tenant_graph", "names", {"tenant": tenant})]
    if names:
        maintenance.discard(settings, names)
    return names
