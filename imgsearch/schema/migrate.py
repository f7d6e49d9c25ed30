"""Bring the schema up to date, on the caller's connection.

Table steps (`tables/`) run once, forward only, and are noted with their digest. Functions, views, triggers and rights
follow whenever their text is not the one that was applied last; what is generated for each space and each attached
table is written anew then. A second upgrade finds nothing to do.

On a connection in autocommit that serves a database set up before it goes part by part, each its own short transaction,
beside searches and writers (`online.py`). Inside a transaction of the caller's, and where a step says that nobody may
work meanwhile, it is one transaction: all of it, or nothing.
"""

from __future__ import annotations

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.db.sqlstate import translated
from imgsearch.errors import SchemaAhead, SchemaBehind
from imgsearch.schema import applied as noted
from imgsearch.schema import extension, objects, online, source, step, turn
from imgsearch.schema.applied import Applied, applied
from imgsearch.schema.brief import PATIENCE, Say
from imgsearch.schema.window import OLDEST_SCHEMA, RELEASE

__all__ = ["Applied", "applied", "check", "current", "goes_online", "head", "refresh", "remove", "upgrade"]

Connection = psycopg.Connection[TupleRow]
_LOCK_TIMEOUT = "4s"  # a shop's queries queue up behind whoever waits for a strong lock


def head() -> str:
    """Return the newest table step this code knows."""
    return source.steps()[-1].name


def current(connection: Connectable) -> str | None:
    """Return the newest table step that was applied here, or None."""
    found = applied(connection)
    return found.step if found else None


def check(connection: Connectable) -> None:
    """Raise what keeps this code from working here: ExtensionMissing, SchemaBehind or SchemaAhead.

    A schema of a newer release is good until that release says otherwise, and one of an older release as long as this
    code says so: processes and schema are upgraded one after the other.
    """
    lent = driver(connection)
    extension.require(lent)
    found = applied(connection)
    if found is None:
        raise SchemaBehind(f"imgsearch is not set up in this database. {_cure(lent)}")
    if found.release > RELEASE:
        _refuse_ahead(found)
    elif found.release < OLDEST_SCHEMA or (found.release == RELEASE and not found.is_complete):
        raise SchemaBehind(
            f"The schema is at {found.step} of imgsearch {found.release}, "
            f"but not as this version ({RELEASE}) needs it. {_cure(lent)}"
        )


def upgrade(connection: Connectable, *, patience: float = PATIENCE, say: Say | None = None) -> str:
    """Bring the schema to this code's version; return its newest step. A schema that is ahead is left as it is.

    connection: a psycopg connection, or a SQLAlchemy or Django one; joins the transaction that is open there.
    patience: for how many seconds a moment is looked for in which strong locks are free.
    Raises DatabaseRights, ExtensionMissing, SchemaAhead, SchemaBusy, DiskFull, DatabaseError.
    """
    lent = driver(connection)
    with translated():
        found = applied(lent)
        if found is not None and found.release <= RELEASE and _alone(lent) and _is_online(found):
            extension.create(lent)
            online.upgrade(lent, patience=patience, say=say)
            return head()
        return _upgrade_at_once(lent, say)


def goes_online(connection: Connectable) -> bool:
    """Whether something is to be done here that is done beside others, where the connection may commit."""
    found = applied(connection)
    return found is not None and found.release <= RELEASE and not found.is_complete and _is_online(found)


def refresh(connection: Connectable) -> None:
    """Upgrade a database in which imgsearch is set up; leave one alone in which it is not."""
    if applied(connection) is not None:
        upgrade(connection)


def remove(connection: Connectable) -> None:
    """Remove everything but roles and extension. Raises UsageError when views of others are built on it."""
    lent = driver(connection)
    with translated(), lent.transaction():
        turn.take(lent)
        lent.execute(source.text("remove").encode())


def _is_online(found: Applied) -> bool:
    return all(step.online for step in found.missing)


def _alone(lent: Connection) -> bool:
    """Whether each statement is a transaction of its own, so that an upgrade may commit where it wants to."""
    return lent.autocommit and lent.info.transaction_status == TransactionStatus.IDLE


def _cure(lent: Connection) -> str:
    if sql.value(lent, "schema", "is_replica"):
        return "Run `imgsearch db upgrade` on the primary, which this replica follows; if that was done, wait for it."
    return "Run `imgsearch db upgrade`."


def _refuse_ahead(found: Applied) -> None:
    if found.oldest_code > RELEASE:
        raise SchemaAhead(
            f"The schema is of imgsearch {found.release} and needs imgsearch {found.oldest_code} or newer; "
            f"this is {RELEASE}. Install the newer version."
        )


def _upgrade_at_once(lent: Connection, say: Say | None) -> str:
    with lent.transaction():
        turn.take(lent, say)
        found = applied(lent)
        if found is not None and found.release > RELEASE:
            _refuse_ahead(found)
            return found.step or head()
        extension.create(lent)
        if found is None or not found.is_complete:
            with noted.settings(lent, lock_timeout=_LOCK_TIMEOUT):
                _apply(lent, found)
    return head()


def _apply(lent: Connection, found: Applied | None) -> None:
    sql.run(lent, "schema", "create_schemas")
    sql.run(lent, "schema", "create_internal")
    sql.run(lent, "schema", "create_version")
    for one in source.steps() if found is None else found.missing:
        done = 0 if found is None else found.parts.get(one.name, 0)
        for text, part in list(zip(one.texts, one.parts, strict=True))[done:]:
            _run_part(lent, text, part)
        noted.stamp(lent, one.name, one.digest)
    objects.replace(lent, first=found is None)
    if found is not None:
        sql.run(lent, "schema", "mend_vocabulary")
        sql.run(lent, "schema", "sweep_engines")
        objects.drop(lent)
    noted.stamp(lent, noted.REPLACEABLE, source.digest())


def _run_part(lent: Connection, text: str, part: step.Part) -> None:
    if part.how == "batches":
        while online.run_batch(lent, text):
            pass
    else:
        objects.run(lent, step.in_transaction(text))
