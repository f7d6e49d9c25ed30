"""Bring the schema up to date, on the caller's connection and in one transaction: all of it, or nothing.

Table steps (`tables/`) run once, forward only, and are noted with their digest. Functions, views, triggers and rights
are applied whole whenever their text is not the one that was applied last; what is generated for each space and each
attached table is written anew then. A second upgrade finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from packaging.version import Version
from psycopg.rows import TupleRow

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.db.sqlstate import translated
from imgsearch.errors import DatabaseError, SchemaAhead, SchemaBehind
from imgsearch.schema import extension, source
from imgsearch.schema.window import OLDEST_CODE, OLDEST_SCHEMA, RELEASE

Connection = psycopg.Connection[TupleRow]
_REPLACEABLE = "functions"  # the row of schema_version that stands for everything applied whole
_PATIENCE = "4s"  # a shop's queries queue up behind whoever waits for a strong lock


@dataclass(frozen=True)
class Applied:
    """What stands in a database: the digest of each step, and the release and digest of what is applied whole."""

    steps: Mapping[str, str]
    release: Version
    oldest_code: Version
    digest: str

    @property
    def step(self) -> str | None:
        """The newest step that was applied."""
        return max(self.steps, default=None)


def head() -> str:
    """Return the newest table step this code knows."""
    return source.steps()[-1].name


def applied(connection: Connectable) -> Applied | None:
    """Return what was applied here, or None when imgsearch was never set up (or not to the end)."""
    lent = driver(connection)
    if not sql.value(lent, "schema", "exists"):
        return None
    rows = {row["step"]: row for row in sql.rows(lent, "schema", "applied")}
    last = rows.pop(_REPLACEABLE, None)
    if last is None:
        return None
    digests = {step: row["digest"] for step, row in rows.items()}
    return Applied(digests, Version(last["release"]), Version(last["oldest_code"]), last["digest"])


def current(connection: Connectable) -> str | None:
    """Return the newest table step that was applied here, or None."""
    found = applied(connection)
    return found.step if found else None


def check(connection: Connectable) -> None:
    """Raise what keeps this code from working here: ExtensionMissing, SchemaBehind or SchemaAhead.

    A schema of a newer release is good until that release says otherwise, and one of an older release as long as this
    code says so: processes and schema are upgraded one after the other.
    """
    extension.require(driver(connection))
    found = applied(connection)
    if found is None:
        raise SchemaBehind("imgsearch is not set up in this database. Run `imgsearch db upgrade`.")
    if found.release > RELEASE:
        _refuse_ahead(found)
    elif found.release < OLDEST_SCHEMA or (found.release == RELEASE and not _is_complete(found)):
        raise SchemaBehind(
            f"The schema is at {found.step} of imgsearch {found.release}, "
            f"but not as this version ({RELEASE}) needs it. Run `imgsearch db upgrade`."
        )


def upgrade(connection: Connectable) -> str:
    """Bring the schema to this code's version; return its newest step. A schema that is ahead is left as it is.

    connection: a psycopg connection, or a SQLAlchemy or Django one; joins the transaction that is open there.
    Raises DatabaseRights, ExtensionMissing, SchemaAhead, DatabaseError.
    """
    lent = driver(connection)
    with translated(), lent.transaction():
        sql.run(lent, "schema", "lock")
        found = applied(lent)
        if found is not None and found.release > RELEASE:
            _refuse_ahead(found)
            return found.step or head()
        extension.create(lent)
        if found is None or not _is_complete(found):
            with _settings(lent):
                _apply(lent, found)
    return head()


def refresh(connection: Connectable) -> None:
    """Upgrade a database in which imgsearch is set up; leave one alone in which it is not."""
    if applied(connection) is not None:
        upgrade(connection)


def remove(connection: Connectable) -> None:
    """Remove everything but roles and extension. Raises UsageError when views of others are built on it."""
    lent = driver(connection)
    with translated(), lent.transaction():
        sql.run(lent, "schema", "lock")
        lent.execute(source.text("remove").encode())


def _is_complete(found: Applied) -> bool:
    return found.digest == source.digest() and {s.name: s.digest for s in source.steps()}.items() <= found.steps.items()


def _refuse_ahead(found: Applied) -> None:
    if found.oldest_code > RELEASE:
        raise SchemaAhead(
            f"The schema is of imgsearch {found.release} and needs imgsearch {found.oldest_code} or newer; "
            f"this is {RELEASE}. Install the newer version."
        )


def _apply(lent: Connection, found: Applied | None) -> None:
    sql.run(lent, "schema", "create_schemas")
    sql.run(lent, "schema", "create_internal")
    sql.run(lent, "schema", "create_version")
    there = found.steps if found else {}
    for step in source.steps():
        if step.name not in there:
            _run(lent, step.text)
            _stamp(lent, step.name, step.digest)
        elif there[step.name] != step.digest:
            raise DatabaseError(
                f"The table step {step.name} was applied here with another text than this version has. "
                "Steps never change after a release: write a new one; before a release, start again: "
                "`imgsearch db remove`."
            )
    _replace(lent)
    _stamp(lent, _REPLACEABLE, source.digest())


def _replace(lent: Connection) -> None:
    """Apply everything that is applied whole, and give others back what they had been granted on it."""
    others = sql.rows(lent, "schema", "rights_of_others")
    _run(lent, source.text("clear"))
    for text in source.functions():
        _run(lent, text)
    _run(lent, "SELECT imgsearch_internal.rebuild_generated()")
    for text in (*source.views(), source.text("grants")):
        _run(lent, text)
    for right in others:
        if sql.value(lent, "schema", "is_there", {"kind": right["kind"], "object": right["object"]}):
            _run(lent, right["statement"])


def _run(lent: Connection, text: str) -> None:
    """Run a whole file; `@extschema:vector@` is where pgvector is, as in the scripts of extensions."""
    # Straight to the driver: no parameters, so that the file may hold many statements and percent signs.
    lent.execute(text.replace("@extschema:vector@", sql.value(lent, "schema", "extension_schema")).encode())


def _stamp(lent: Connection, step: str, digest: str) -> None:
    values = {"step": step, "digest": digest, "release": str(RELEASE), "oldest_code": str(OLDEST_CODE)}
    sql.run(lent, "schema", "stamp", values)


@contextmanager
def _settings(lent: Connection) -> Iterator[None]:
    """Set what an upgrade needs, and set it back: the transaction may be the caller's."""
    before = sql.rows(lent, "schema", "settings")
    path = f"pg_catalog, {sql.value(lent, 'schema', 'extension_schema')}, pg_temp"
    for name, value in {"search_path": path, "lock_timeout": _PATIENCE, "check_function_bodies": "off"}.items():
        sql.run(lent, "schema", "set", {"name": name, "value": value})
    yield  # after an error the transaction, or the savepoint, goes back and the settings with it
    for row in before:
        sql.run(lent, "schema", "set", {"name": row["name"], "value": row["setting"]})
