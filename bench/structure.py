"""Follows the checkout's SQL on a loaded database: loading anew takes minutes, most edits need none of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from imgsearch import db
from imgsearch.db import sql
from imgsearch.settings import load_settings

Say = Callable[[str], None]
_SCRATCH = "bench_scratch"
_LAST = "0002"  # the migration that makes the large tables; later ones are taken back and applied again
_COLUMNS = """
SELECT a.attrelid::regclass::text, a.attname::text,
       concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attstorage, a.attnotnull, a.attidentity, a.attgenerated)
FROM pg_attribute a WHERE a.attrelid = ANY (%(tables)s::regclass[]) AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT c.oid::regclass::text, '', c.reloptions::text FROM pg_class c WHERE c.oid = ANY (%(tables)s::regclass[])
UNION ALL
SELECT i.indrelid::regclass::text, i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
FROM pg_index i WHERE i.indrelid = ANY (%(tables)s::regclass[]) AND i.indisunique
"""
_INDEXES = """
SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
FROM pg_index i WHERE i.indrelid = ANY (%(tables)s::regclass[]) AND NOT i.indisunique AND i.indisvalid
"""


@dataclass(frozen=True)
class Structure:
    """The large tables: columns in their order with type and storage, keys; and the other indexes by name."""

    columns: tuple[tuple[str, ...], ...]
    indexes: Mapping[str, str]

    @classmethod
    def of(cls, connection: psycopg.Connection[Any], space_id: int) -> Structure:
        tables = {"tables": ["imgsearch.image", "imgsearch.space", f"imgsearch.embedding_{space_id}"]}
        columns = connection.execute(_COLUMNS, tables).fetchall()
        return cls(tuple(columns), dict(connection.execute(_INDEXES, tables).fetchall()))


def wanted(url: str, make_space: Callable[[psycopg.Connection[Any]], int]) -> Structure:
    """Answer the structure that this checkout makes, told from a scratch database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(_SCRATCH)))
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(_SCRATCH)))
    try:
        scratch = psycopg.conninfo.make_conninfo(url, dbname=_SCRATCH)
        settings = load_settings({"DATABASE_URL": scratch})
        db.upgrade(settings)
        with psycopg.connect(scratch, autocommit=True) as connection:
            made = make_space(connection)
        db.downgrade(settings, _LAST)
        with psycopg.connect(scratch) as connection:
            return Structure.of(connection, made)
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(_SCRATCH)))


def files() -> dict[str, str]:
    """Answer the text of every SQL file that this checkout's migrations run, by name; the way back is `…_down`."""
    names = sorted(file.name.removesuffix(".sql") for file in resources.files(sql).iterdir() if file.name[0] == "0")
    return {name: sql.text(name) for name in names}


def follow(
    url: str,
    before: Mapping[str, str],
    make_space: Callable[[psycopg.Connection[Any]], int],
    build: Callable[[psycopg.Connection[Any], list[str]], None],
    say: Say,
) -> bool:
    """Bring a loaded database to this checkout; False where it has to be loaded anew, because the tables differ.

    before: the files it was migrated with; what they made later than the large tables is taken back by themselves.
    build: creates the indexes that are missing.
    """
    aim = wanted(url, make_space)
    with psycopg.connect(url, autocommit=True) as connection:
        try:
            _take_back(connection, before)
            row = connection.execute("SELECT space_id FROM imgsearch.space WHERE state = 'active'").fetchone()
            have = Structure.of(connection, row[0] if row else 0)
        except psycopg.Error as error:
            say(f"cannot take the migrations back: {error}")
            return False
        if have.columns != aim.columns:
            say("the large tables look different now")
            return False
        for name in have.indexes.keys() - {
            name for name, made in aim.indexes.items() if have.indexes.get(name) == made
        }:
            connection.execute(SQL("DROP INDEX {}").format(Identifier(*name.split("."))))
        missing = [made for name, made in aim.indexes.items() if have.indexes.get(name) != made]
        say(f"applying the migrations behind the large tables again, and building {len(missing)} indexes")
        build(connection, missing)
        try:
            _replace_functions(connection)
        except psycopg.Error as error:
            say(f"cannot replace the functions of the first migrations: {error}")
            return False
    db.upgrade(load_settings({"DATABASE_URL": url}))
    return True


def _take_back(connection: psycopg.Connection[Any], before: Mapping[str, str]) -> None:
    with connection.transaction():
        for name in sorted(before, reverse=True):
            if name.endswith("_down") and name[:4] > _LAST:
                connection.execute(before[name].encode())
        connection.execute("UPDATE imgsearch.schema_version SET version_num = %s", [_LAST])


def _replace_functions(connection: psycopg.Connection[Any]) -> None:
    """Bring the functions of the first migrations up to date; their tables are the same."""
    for name, text in files().items():
        if name[:4] <= _LAST and not name.endswith("_down"):
            for found in re.finditer(r"^CREATE FUNCTION .*?\$\$;$", text, re.MULTILINE | re.DOTALL):
                connection.execute(found.group().replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1).encode())
    connection.execute("SELECT imgsearch.name_spaces_in_trigger()")
