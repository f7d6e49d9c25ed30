"""What a session of ours needs, whatever defaults a database or a role has."""

from __future__ import annotations

from typing import Any

from psycopg import Connection, IsolationLevel
from psycopg.pq import TransactionStatus

from imgsearch.db import sql
from imgsearch.db.pooler import is_pooled


def settle(connection: Connection[Any]) -> None:
    """Have a connection of ours read times, intervals and texts as they are written, in READ COMMITTED.

    One round trip. Through a pooler the session is somebody else's in the next transaction: there only the isolation
    of transactions is said, with each BEGIN.
    """
    if is_pooled(connection):
        connection.isolation_level = IsolationLevel.READ_COMMITTED
        return
    begins = connection.info.transaction_status == TransactionStatus.IDLE and not connection.autocommit
    sql.run(connection, "session", "settle")
    if begins:
        connection.commit()
