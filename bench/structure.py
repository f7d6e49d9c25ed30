"""What the two large tables look like in this checkout, told from a scratch database: loading anew takes minutes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from imgsearch import config, db

_SCRATCH = "bench_scratch"
LAST = "0002"  # the migration that makes the large tables; later ones are taken back and applied again
_LOOK = """
SELECT 'column', a.attrelid::regclass::text, a.attname::text,
       concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attstorage, a.attnotnull, a.attidentity, a.attgenerated)
FROM pg_attribute a WHERE a.attrelid = ANY (%(tables)s::regclass[]) AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'index', i.indrelid::regclass::text, i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
FROM pg_index i WHERE i.indrelid = ANY (%(tables)s::regclass[])
UNION ALL
SELECT 'options', c.oid::regclass::text, '', c.reloptions::text
FROM pg_class c WHERE c.oid = ANY (%(tables)s::regclass[])
ORDER BY 1, 2, 3
"""


def structure(url: str, make_space: Callable[[psycopg.Connection[Any]], int]) -> str:
    """Answer a digest of the large tables' columns, storage and indexes as this checkout makes them."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(_SCRATCH)))
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(_SCRATCH)))
    try:
        scratch = psycopg.conninfo.make_conninfo(url, dbname=_SCRATCH)
        settings = config.load({"DATABASE_URL": scratch})
        db.upgrade(settings)
        with psycopg.connect(scratch, autocommit=True) as connection:
            made = make_space(connection)
        db.downgrade(settings, LAST)
        with psycopg.connect(scratch) as connection:
            found = connection.execute(_LOOK, {"tables": ["imgsearch.image", f"imgsearch.embedding_{made}"]}).fetchall()
        return hashlib.sha256(repr(found).encode()).hexdigest()
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(_SCRATCH)))
