"""What was applied to a database: each step of the tables, and the release and digest of what is applied whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from packaging.version import Version
from psycopg.rows import TupleRow

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import DatabaseError
from imgsearch.schema import source
from imgsearch.schema.step import Step
from imgsearch.schema.window import OLDEST_CODE, RELEASE

Connection = psycopg.Connection[TupleRow]
REPLACEABLE = "functions"  # the row of schema_version that stands for everything applied whole
_PARTS = re.compile(r"^(\d+) parts$")  # in the place of the digest, while a step is under way


@dataclass(frozen=True)
class Applied:
    """What stands in a database: the digest of each step, and the release and digest of what is applied whole.

    parts: of a step that is under way, how many of its parts are done.
    """

    steps: Mapping[str, str]
    release: Version
    oldest_code: Version
    digest: str
    parts: Mapping[str, int]

    @property
    def step(self) -> str | None:
        """The newest step that was applied."""
        return max(self.steps, default=None)

    @property
    def is_complete(self) -> bool:
        """Whether this is what this code brings a database to, noted as of its release: one may change no SQL."""
        return not self.missing and self.digest == source.digest() and self.release >= RELEASE

    @property
    def missing(self) -> tuple[Step, ...]:
        """The steps that were not applied, or not to the end. Raises DatabaseError for one that has another text."""
        for step in source.steps():
            if self.steps.get(step.name, step.digest) != step.digest:
                raise DatabaseError(
                    f"The table step {step.name} was applied here with another text than this version has. "
                    "Steps never change after a release: write a new one. Before a release, write a dump with "
                    "pg_dump, run `imgsearch db remove` and `imgsearch db upgrade`, and add the images again."
                )
        return tuple(step for step in source.steps() if step.name not in self.steps)


def applied(connection: Connectable) -> Applied | None:
    """Return what was applied here, or None when imgsearch was never set up (or not to the end)."""
    lent = driver(connection)
    if not sql.value(lent, "schema", "exists"):
        return None
    rows = {row["step"]: row for row in sql.rows(lent, "schema", "applied")}
    last = rows.pop(REPLACEABLE, None)
    if last is None:
        return None
    digests = {step: row["digest"] for step, row in rows.items()}
    parts = {step: int(under_way[1]) for step, digest in digests.items() if (under_way := _PARTS.match(digest))}
    done = {step: digest for step, digest in digests.items() if step not in parts}
    return Applied(done, Version(last["release"]), Version(last["oldest_code"]), last["digest"], parts)


def stamp(lent: Connection, step: str, digest: str) -> None:
    """Note a step, or what is applied whole, as applied by this release."""
    values = {"step": step, "digest": digest, "release": str(RELEASE), "oldest_code": str(OLDEST_CODE)}
    sql.run(lent, "schema", "stamp", values)


def stamp_parts(lent: Connection, step: Step, done: int) -> None:
    """Note how many parts of a step are done."""
    stamp(lent, step.name, step.digest if done == len(step.parts) else f"{done} parts")


@contextmanager
def settings(lent: Connection, **more: str) -> Iterator[None]:
    """Set what an upgrade needs, and set it back: the transaction may be the caller's."""
    before = sql.rows(lent, "schema", "settings")
    ours = {"search_path": "pg_catalog, pg_temp", "check_function_bodies": "off", "statement_timeout": "0"}
    for name, value in {**ours, **more}.items():
        sql.run(lent, "schema", "set", {"name": name, "value": value})
    yield  # after an error the transaction, or the savepoint, goes back and the settings with it
    for row in before:
        sql.run(lent, "schema", "set", {"name": row["name"], "value": row["setting"]})
