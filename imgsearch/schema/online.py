"""An upgrade beside searches and writers: part by part, each its own transaction; the next one goes on from there.

Expand, migrate, contract: the tables grow first, then functions and views follow in one transaction, and last what is
made no longer goes, when those who may be in it have ended. Killed anywhere it is taken up by the next one, and two at
once take turns: each looks, behind the lock, what is left to do.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from functools import partial

import psycopg
from psycopg.rows import TupleRow
from psycopg.sql import Identifier

from imgsearch.db import sql
from imgsearch.db.pooler import is_pooled
from imgsearch.errors import SchemaBusy
from imgsearch.schema import applied as noted
from imgsearch.schema import objects, source
from imgsearch.schema.applied import applied
from imgsearch.schema.brief import CALM, Say, briefly, busy
from imgsearch.schema.step import Part, Step, index_of

Connection = psycopg.Connection[TupleRow]
_OTHERS_SECONDS = 5.0  # for statements that began before functions changed; what they call is dropped behind them
_LOOK_SECONDS = 0.2
_STRONG = ("SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE")  # readers or writers wait for them


def upgrade(lent: Connection, *, patience: float, say: Say | None) -> None:
    """Do what is left to do. Raises SchemaBusy, DiskFull, DatabaseError."""
    found = applied(lent)
    if found is None or found.is_complete:
        return
    for step in found.missing:
        for number in range(len(step.parts)):
            began = time.monotonic()
            if _do_part(lent, step, number, patience, say) and say:
                say(f"{_called(step, number)}: {time.monotonic() - began:.2f} s")
    _do_rest(lent, patience, say)


def run_batch(lent: Connection, text: str) -> int:
    """Run a batch once; return how many rows it changed."""
    return lent.execute(text.encode()).rowcount


def _do_rest(lent: Connection, patience: float, say: Say | None) -> None:
    """Functions, views, triggers and rights; then what follows from them; then what is made no longer goes."""
    began = time.monotonic()

    def prepare() -> bool:
        return _unless_done(lent, partial(objects.prepare, lent))

    def replace() -> bool:
        return _unless_done(lent, lambda: objects.replace(lent, first=False))

    briefly(lent, "The upgrade of the tables of each space", prepare, patience=patience, say=say)
    if briefly(
        lent, "The upgrade of functions and views", replace, tables=_triggered(lent), patience=patience, say=say
    ):
        if say:
            say(f"functions, views, triggers, rights: {time.monotonic() - began:.2f} s")
        _outlive_others(lent)

    def finish() -> bool:
        return _unless_done(lent, partial(_finish, lent))

    briefly(lent, "The end of the upgrade", finish, patience=patience, say=say)


def _finish(lent: Connection) -> None:
    sql.run(lent, "schema", "mend_vocabulary")
    sql.run(lent, "schema", "sweep_engines")
    objects.drop(lent)
    noted.stamp(lent, noted.REPLACEABLE, source.digest())


def _triggered(lent: Connection) -> list[str]:
    """The tables whose triggers change: locked calmly first, so that an autovacuum gives way."""
    with lent.transaction(), noted.settings(lent):
        changed = [one for one in objects.changed(lent) if one.kind == "TRIGGER"]
    return sorted({one.name.split(" ON ")[1] for one in changed})


def _unless_done(lent: Connection, work: Callable[[], None]) -> bool:
    """Work, unless another upgrade has done it while this one waited; return whether it was done here."""
    found = applied(lent)
    if found is not None and found.is_complete:
        return False
    with noted.settings(lent):
        work()
    return True


def _outlive_others(lent: Connection) -> None:
    """Wait for whoever may be inside a function of before; not for ever."""
    until = time.monotonic() + _OTHERS_SECONDS
    before = {row["one"] for row in sql.rows(lent, "schema", "running")}
    while before and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
        before &= {row["one"] for row in sql.rows(lent, "schema", "running")}


def _do_part(lent: Connection, step: Step, number: int, patience: float, say: Say | None) -> bool:
    part, text, what = step.parts[number], step.texts[number], _called(step, number)
    if part.how == "index":
        return _build(lent, step, number, patience, say)
    if part.how == "batches":
        while _once(lent, step, number, partial(_batch, lent, step, number, text), what, part, patience, say):
            pass
        return True
    return bool(_once(lent, step, number, partial(_run, lent, step, number, text), what, part, patience, say))


def _once(
    lent: Connection,
    step: Step,
    number: int,
    work: Callable[[], bool],
    what: str,
    part: Part,
    patience: float,
    say: Say | None,
) -> bool:
    """Work on a part that nobody has done, with its locks asked for briefly; return whether there may be more."""

    def unless_done() -> bool:
        if _is_done(lent, step, number):
            return False
        timeout = {"lock_timeout": CALM} if part.how in ("validate", "batches") else {}
        with noted.settings(lent, **timeout):
            return work()

    strong = [table for table, mode in (part.locks or {}).items() if mode in _STRONG]
    return briefly(lent, what, unless_done, tables=strong, patience=patience, say=say)


def _is_done(lent: Connection, step: Step, number: int) -> bool:
    found = applied(lent)
    return found is None or step.name in found.steps or found.parts.get(step.name, 0) > number


def _run(lent: Connection, step: Step, number: int, text: str) -> bool:
    objects.run(lent, text)
    noted.stamp_parts(lent, step, number + 1)
    return True


def _batch(lent: Connection, step: Step, number: int, text: str) -> bool:
    if run_batch(lent, text):
        return True
    noted.stamp_parts(lent, step, number + 1)
    return False


def _build(lent: Connection, step: Step, number: int, patience: float, say: Say | None) -> bool:
    """Build an index beside writers; one that another session builds is waited for, what was interrupted goes first."""
    text, what = step.texts[number], _called(step, number)
    index, table = index_of(text)
    name = f"imgsearch.{index}"
    while not _is_done(lent, step, number):
        state = sql.value(lent, "schema", "index_state", {"index": name, "table": table})
        if state == "building":
            time.sleep(_LOOK_SECONDS)
        elif state == "valid":
            briefly(lent, what, lambda: _note(lent, step, number), patience=patience, say=say)
        else:
            with _long_patience(lent, patience):
                try:
                    if state == "invalid":
                        _drop(lent, index)
                    objects.run(lent, text)
                except psycopg.Error as error:
                    if isinstance(error, psycopg.errors.DeadlockDetected):  # two began in the same moment
                        time.sleep(random.random())
                        continue
                    _clean_up(lent, index, table)
                    if isinstance(error, psycopg.errors.LockNotAvailable):
                        raise busy(lent, what, f"waited for {patience:g} s") from error
                    raise
    return True


def _note(lent: Connection, step: Step, number: int) -> None:
    if not _is_done(lent, step, number):
        noted.stamp_parts(lent, step, number + 1)


@contextlib.contextmanager
def _long_patience(lent: Connection, patience: float) -> Iterator[None]:
    """For a statement that no transaction may surround: settings of the session, set back behind it.

    Through a pooler the session is not ours to set: the statement waits as long as the server has it wait.
    """
    if is_pooled(lent):
        yield
        return
    [before] = sql.rows(lent, "schema", "patience")
    sql.run(lent, "schema", "patience_begins", {"patience": f"{int(patience * 1000)}ms"})
    try:
        yield
    finally:
        with contextlib.suppress(psycopg.OperationalError):
            sql.run(lent, "schema", "patience_ends", before)


def _clean_up(lent: Connection, index: str, table: str) -> None:
    """What a build that failed leaves is written to by everybody and read by nobody."""
    with contextlib.suppress(psycopg.Error, SchemaBusy):
        values = {"index": f"imgsearch.{index}", "table": table}
        if sql.value(lent, "schema", "index_state", values) == "invalid":
            _drop(lent, index)


def _drop(lent: Connection, index: str) -> None:
    sql.run(lent, "schema", "drop_index", names={"index": Identifier("imgsearch", index)})


def _called(step: Step, number: int) -> str:
    return f"{step.name}, part {number + 1} of {len(step.parts)}"
