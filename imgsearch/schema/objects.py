"""Types, functions, triggers and views: make those anew whose text changed, where they stand, and drop what went.

A session that is at work keeps what it began with: a function is replaced in place, and one that is made no longer
stays until those who may be in it have ended, unless calls could not tell it from the new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from imgsearch.db import sql
from imgsearch.schema import pgvector, source
from imgsearch.schema.source import Object

Connection = psycopg.Connection[TupleRow]
_ROUTINES, _STRONG = ("TYPE", "FUNCTION", "FUNCTIONS"), ("TRIGGER", "VIEW")
_COMPARED = "imgsearch_internal.compared"
_ANEW = (
    psycopg.errors.InvalidFunctionDefinition,  # another result: it must be dropped before
    psycopg.errors.InvalidTableDefinition,  # a column of a view that went or is another one
    psycopg.errors.DependentObjectsStillExist,
    psycopg.errors.DuplicateObject,  # a type cannot be replaced
)


def run(lent: Connection, text: str) -> None:
    """Run a whole file, with what is pgvector's named in full."""
    # Straight to the driver: no parameters, so that the file may hold many statements and percent signs.
    lent.execute(pgvector.in_full(text, sql.value(lent, "schema", "extension_schema")).encode())


def replace(lent: Connection, *, first: bool) -> None:
    """Make everything as this code has it, inside the transaction that is open; leftovers of use stay.

    first: nothing is there yet. Where something cannot be replaced in place everything is dropped and made anew.
    """
    others = sql.rows(lent, "schema", "rights_of_others")
    if first:
        _make_all(lent)
    else:
        try:
            with lent.transaction():
                _make_changed(lent, changed(lent))
        except _ANEW:
            run(lent, source.text("clear"))
            _make_all(lent)
    for right in others:
        if sql.value(lent, "schema", "is_there", {"kind": right["kind"], "object": right["object"]}):
            run(lent, right["statement"])


def changed(lent: Connection) -> tuple[Object, ...]:
    """Return what is not as this code has it: another text, or something that was changed in the database."""
    types = [one for one in source.objects() if one.kind == "TYPE"]
    found = state(lent, types)
    if any(found[one.key]["oid"] is None for one in types):
        return tuple(source.objects())  # PostgreSQL 15 cannot be asked for a function of a type that is not there
    found |= state(lent, [one for one in source.objects() if one.kind != "TYPE"])
    return tuple(one for one in source.objects() if not _is_as_made(one, found[one.key]))


def state(lent: Connection, listed: Iterable[Object]) -> dict[str, dict[str, Any]]:
    """Return what the catalogue has and what was noted, by kind and name."""
    wanted = list(listed)
    values = {"kinds": [one.kind for one in wanted], "names": [one.name for one in wanted]}
    return {f"{row['kind']} {row['name']}": dict(row) for row in sql.rows(lent, "schema", "state", values)}


def leftovers(lent: Connection) -> list[dict[str, Any]]:
    """Return what is made no longer: how it is called in DROP, and whether it must not stay beside what is new."""
    oids = [row["oid"] for row in state(lent, source.objects()).values()]
    values = {"oids": [oid for oid in oids if oid], "written": sorted(source.written())}
    return [dict(row) for row in sql.rows(lent, "schema", "leftovers", values)]


def drop(lent: Connection, *, at_once: bool = False) -> int:
    """Drop what is made no longer, or only what cannot stay beside what is new; return how much stays.

    What others built on stays, whatever it is: nothing is dropped by CASCADE.
    """
    while True:
        there = [row for row in leftovers(lent) if row["at_once"] or not at_once]
        dropped = 0
        for row in there:
            try:
                with lent.transaction():
                    run(lent, f"DROP {row['called']}")  # a name that the catalogue gave, quoted by it
                dropped += 1
            except psycopg.errors.DependentObjectsStillExist:
                continue
        if dropped == len(there) or not dropped:
            return len(there) - dropped


def _is_as_made(one: Object, found: dict[str, Any]) -> bool:
    return found["oid"] is not None and (found["digest"], found["found"]) == (one.digest, found["looks"])


def _make_all(lent: Connection) -> None:
    for text in source.functions():
        run(lent, text)
    sql.run(lent, "schema", "pin_paths")
    sql.run(lent, "schema", "rebuild_generated")
    for text in (*source.views(), source.text("grants")):
        run(lent, text)
    _note(lent, *_ROUTINES, *_STRONG)
    sql.run(lent, "schema", "forget_objects", {"objects": [one.key for one in source.objects()]})
    drop(lent, at_once=True)


def prepare(lent: Connection) -> None:
    """Make what is new and nobody calls yet: functions, and the tables that they make for each space."""
    types = [one for one in source.objects() if one.kind == "TYPE"]
    if any(row["oid"] is None for row in state(lent, types).values()):
        return
    routines = [one for one in source.objects() if one.kind == "FUNCTION"]
    there = state(lent, routines)
    for one in routines:
        if there[one.key]["oid"] is None and not _of_name(lent, one):
            _make(lent, one)
    sql.run(lent, "schema", "pin_paths")
    sql.run(lent, "schema", "make_tables")


def _make_changed(lent: Connection, todo: tuple[Object, ...]) -> None:
    """Make these anew. Strong locks come last, together, and none for what reads as it did."""
    for one in todo:
        if one.kind in _ROUTINES:
            _make(lent, one)
    sql.run(lent, "schema", "pin_paths")
    sql.run(lent, "schema", "rebuild_spaces")
    rights = [one for one in todo if one.name == "imgsearch_internal.rights"]
    for one in rights:
        run(lent, one.text)
    run(lent, source.rest("grants"))
    views = [one for one in todo if one.kind == "VIEW" and one not in rights]
    new = [one.name for one in views if state(lent, [one])[one.key]["oid"] is None]
    calm = "".join(_told(one) for one in views if one.name not in new and _reads_the_same(lent, one))
    strong = [one for one in todo if one.kind == "TRIGGER"]
    strong += [one for one in views if _told(one) not in calm]
    _note(lent, *_ROUTINES)
    sql.run(lent, "schema", "forget_objects", {"objects": [one.key for one in source.objects()]})
    drop(lent, at_once=True)
    run(lent, calm)
    run(lent, "".join(one.text for one in strong))
    for name in new:
        sql.run(lent, "schema", "grant_one", {"relation": name})
    sql.run(lent, "schema", "rebuild_attached")
    _note(lent, *_STRONG)


def _reads_the_same(lent: Connection, one: Object) -> bool:
    """Whether a view that was made from another text, or by an older release, reads what this one does."""
    made = one.text.removesuffix(_told(one)).replace(f"VIEW {one.name} ", f"VIEW {_COMPARED} ")
    try:
        with lent.transaction():
            run(lent, made)
    except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable):  # another view changes with it
        return False
    same = [sql.value(lent, "schema", "view_reads", {"view": name}) for name in (one.name, _COMPARED)]
    run(lent, f"DROP VIEW {_COMPARED}")
    return bool(same[0] == same[1])


def _told(one: Object) -> str:
    return one.text[one.text.rindex("COMMENT ON ") :]


def _make(lent: Connection, one: Object) -> None:
    if one.kind == "TYPE":
        _make_type(lent, one)
    elif one.kind == "FUNCTIONS":
        _make_all_of_name(lent, one)
    else:
        _make_function(lent, one)


def _make_function(lent: Connection, one: Object) -> None:
    made, told = one.text.removesuffix(_told(one)), _told(one)
    try:
        with lent.transaction():
            run(lent, made)
    except psycopg.errors.InvalidFunctionDefinition:
        run(lent, f"DROP ROUTINE {_newest(lent, one)}")
        run(lent, made)
    if "(" not in one.name:  # ambiguous while one of another signature is there
        told = told.replace(one.name, _newest(lent, one), 1)
    run(lent, told)


def _newest(lent: Connection, one: Object) -> str:
    """Return how a function is called in full; where its comment says the name alone, the newest."""
    return one.name if "(" in one.name else str(_of_name(lent, one)[0]["called"])


def _make_all_of_name(lent: Connection, one: Object) -> None:
    """Make what one block writes: all functions of a name. Those of a signature that it does not write go at once."""
    before = _of_name(lent, one)
    try:
        with lent.transaction():
            run(lent, one.text)
    except psycopg.errors.InvalidFunctionDefinition:
        for row in before:
            run(lent, f"DROP ROUTINE {row['called']}")
        run(lent, one.text)
        return
    after = {row["oid"]: row["version"] for row in _of_name(lent, one)}
    for row in before:
        if after[row["oid"]] == row["version"]:
            run(lent, f"DROP ROUTINE {row['called']}")


def _of_name(lent: Connection, one: Object) -> Sequence[dict[str, Any]]:
    return sql.rows(lent, "schema", "of_name", {"name": one.name})


def _make_type(lent: Connection, one: Object) -> None:
    """Make a type, or give the one that is there the attributes it lacks at its end. Raises DuplicateObject else."""
    before = sql.rows(lent, "schema", "attributes", {"type": one.name})
    if not before:
        run(lent, one.text)
        return
    run(lent, one.text.replace(f"TYPE {one.name} ", f"TYPE {_COMPARED} "))
    after = sql.rows(lent, "schema", "attributes", {"type": _COMPARED})
    run(lent, f"DROP TYPE {_COMPARED}")
    if after[: len(before)] != before:
        raise psycopg.errors.DuplicateObject(f"type {one.name} is another one")
    for row in after[len(before) :]:
        run(lent, f"ALTER TYPE {one.name} ADD ATTRIBUTE {row['attribute']}")
    run(lent, _told(one))


def _note(lent: Connection, *kinds: str) -> None:
    """Note of which text what is there now was made, of these kinds."""
    sql.run(lent, "schema", "pin_paths")
    made = [one for one in source.objects() if one.kind in kinds]
    found = state(lent, made)
    missing = [key for key, row in found.items() if row["oid"] is None]
    assert not missing, f"made, and not found by the name its comment gives: {missing}"
    new = [one for one in made if not _is_as_made(one, found[one.key])]
    values = {
        "objects": [one.key for one in new],
        "digests": [one.digest for one in new],
        "found": [found[one.key]["looks"] for one in new],
    }
    sql.run(lent, "schema", "note_objects", values)
