"""Whether a pooler stands between us and the database, so that a session is nobody's own.

In transaction mode each transaction of a client may run in another session of the server, which other clients use in
between. What belongs to a session (SET, LISTEN, session locks, prepared statements) leaks to them or is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet

import psycopg
from psycopg import AsyncConnection, Connection
from psycopg.pq import ConnStatus, PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row

if TYPE_CHECKING:
    from imgsearch.db.run_blocking import Awaited

Prepared = Literal["auto", "on", "off"]
_LARGEST_PID = 2**22  # of Linux; most poolers make up a number of 32 bits for a client to be cancelled by
_met: dict[tuple[str, int, str], bool] = {}  # whether a pooler answers at an address; a process asks once
_suited: WeakSet[Connection[Any] | AsyncConnection[Any]] = WeakSet()


def is_pooled(connection: Connection[Any] | Awaited) -> bool:
    """Return whether a pooler answers here: the server's process is not the one we were told of.

    Costs one round trip per address and process, none for most poolers. In session mode a pooler counts as well.
    """
    info = connection.info
    address = (info.host, info.port, info.dbname)
    if info.status != ConnStatus.OK:  # lost: its number is 0, and nothing of the address
        return _met.get(address, False)
    if not 0 < info.backend_pid <= _LARGEST_PID:
        _met[address] = True
    elif address not in _met:
        _met[address] = _answering(connection) != info.backend_pid
    return _met[address]


def suit(connection: Connection[Any] | Awaited, wanted: Prepared | None = None) -> None:
    """Have psycopg prepare no statements on a connection through a pooler, or on none (`wanted`).

    Without `wanted` it is this process's setting. A statement that one client prepared is another client's, or
    nobody's, in the next transaction; a connection is looked at once.
    """
    own = connection if isinstance(connection, Connection) else connection.asynchronous
    info = own.info
    if own in _suited or own.prepare_threshold is None or info.pipeline_status != PipelineStatus.OFF:
        return
    if info.transaction_status not in (TransactionStatus.IDLE, TransactionStatus.INTRANS):
        return
    try:
        if wanted == "off" or (wanted != "on" and is_pooled(connection) and (wanted or _of_process()) != "on"):
            own.prepare_threshold = None
    except psycopg.Error:  # whoever wanted to do something here hears of it
        return
    _suited.add(own)


def forget() -> None:
    """Forget which addresses are poolers': for tests."""
    _met.clear()


def _answering(connection: Connection[Any] | Awaited) -> int:
    """Return the process that answers; no transaction is left open where none was."""
    idle = connection.info.transaction_status == TransactionStatus.IDLE and not connection.autocommit
    row = connection.cursor(row_factory=tuple_row).execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    if idle and isinstance(connection, Connection):
        connection.rollback()
    return int(row[0]) if row else 0


def _of_process() -> Prepared:
    from imgsearch.settings import process_settings

    return process_settings().prepared_statements
