"""What stands in the catalogue of a database about imgsearch, to compare two ways that lead to the same schema."""

from __future__ import annotations

from typing import Any

import psycopg

CATALOGUE = {
    "relations": """
        SELECT relnamespace::regnamespace::text, relname, relkind, reloptions, relrowsecurity, relforcerowsecurity,
            relacl::text, obj_description(oid)
        FROM pg_class WHERE relnamespace::regnamespace::text ~ '^imgsearch'""",
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attstorage,
            pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum), a.attacl::text
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace::regnamespace::text ~ '^imgsearch'""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace::regnamespace::text ~ '^imgsearch'""",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname ~ '^imgsearch'",
    "functions": """
        SELECT oid::regprocedure::text, pg_get_functiondef(oid), obj_description(oid, 'pg_proc'), proacl::text
        FROM pg_proc WHERE pronamespace::regnamespace::text ~ '^imgsearch' AND prokind IN ('f', 'p')""",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname ~ '^imgsearch'",
    "triggers": """
        SELECT pg_get_triggerdef(oid), obj_description(oid, 'pg_trigger') FROM pg_trigger WHERE NOT tgisinternal""",
    "policies": """
        SELECT tablename, policyname, roles::text, qual, with_check FROM pg_policies WHERE schemaname ~ '^imgsearch'""",
    "version": "SELECT step, digest, release, oldest_code FROM imgsearch.schema_version",
    "settings": """
        SELECT setconfig FROM pg_db_role_setting s
        JOIN pg_database d ON d.oid = s.setdatabase AND d.datname = current_database()""",
}


def catalogue(connection: psycopg.Connection[Any]) -> dict[str, list[Any]]:
    """Return each part of the catalogue, sorted."""
    return {name: sorted(connection.execute(query).fetchall(), key=repr) for name, query in CATALOGUE.items()}
