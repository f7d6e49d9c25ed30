"""Old code on a newer schema, new code on an older one: what works goes on, what cannot says which way to go."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from packaging.version import Version

import imgsearch
from imgsearch import db
from imgsearch.db import sql
from imgsearch.errors import SchemaAhead, SchemaBehind
from imgsearch.flask import create_app
from imgsearch.schema import migrate, window
from imgsearch.settings import Settings
from tests.processes import eventually

Connection = psycopg.Connection[Any]


def made_by(connection: Connection, release: str, oldest_code: str = "0.0.1") -> None:
    connection.execute(
        "UPDATE imgsearch.schema_version SET release = %s, oldest_code = %s, digest = 'other' WHERE step = 'functions'",
        (release, oldest_code),
    )


def test_old_processes_go_on_after_an_upgrade_until_a_declared_break(connection: Connection) -> None:
    made_by(connection, "99.1")
    migrate.check(connection)
    assert migrate.upgrade(connection) == migrate.head(), "and older code does not put its functions back"
    assert connection.execute("SELECT release FROM imgsearch.schema_version WHERE step = 'functions'").fetchone() == (
        "99.1",
    )
    made_by(connection, "99.1", oldest_code="98.0")
    with pytest.raises(SchemaAhead, match=r"needs imgsearch 98.0 or newer; this is .* Install the newer"):
        migrate.check(connection)
    with pytest.raises(SchemaAhead):
        migrate.upgrade(connection)


def test_new_processes_work_on_an_older_schema_as_far_as_they_say(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_by(connection, "0.0.9")
    with pytest.raises(SchemaBehind, match="imgsearch db upgrade"):
        migrate.check(connection)
    monkeypatch.setattr(migrate, "OLDEST_SCHEMA", Version("0.0.9"))
    migrate.check(connection)
    migrate.upgrade(connection)
    assert connection.execute("SELECT release FROM imgsearch.schema_version WHERE step = 'functions'").fetchone() == (
        str(window.RELEASE),
    )


def test_a_release_that_changes_no_sql_is_noted_all_the_same(connection: Connection) -> None:
    connection.execute("UPDATE imgsearch.schema_version SET release = '0.0.9' WHERE step = 'functions'")
    with pytest.raises(SchemaBehind, match="imgsearch db upgrade"):
        migrate.check(connection)
    migrate.upgrade(connection)
    migrate.check(connection)


def test_a_web_process_stays_ready_while_the_schema_is_ahead(settings: Settings, connection: Connection) -> None:
    app = create_app(settings.environment(), allow_anonymous=True)
    try:
        made_by(connection, "99.1")
        assert app.test_client().get("/readyz").get_json()["schema"] is True
        made_by(connection, "99.1", oldest_code="98.0")
        eventually(lambda: app.test_client().get("/readyz").get_json()["schema"] is False)  # seen within a second
    finally:
        app.extensions["imgsearch"].close()


def answered(statement: str) -> list[str]:
    """What stands between SELECT and FROM, or behind RETURNING, outside of all parentheses."""
    text = re.sub(r"--[^\n]*|'[^']*'", "", statement)
    while (flat := re.sub(r"\([^()]*\)", "", text)) != text:
        text = flat
    return re.findall(r"\bSELECT\b(.*?)(?:\bFROM\b|$)|\bRETURNING\b(.*)", text, re.DOTALL)


def test_what_a_statement_answers_is_named_so_that_a_column_more_breaks_no_process_of_before(
    settings: Settings, connection: Connection
) -> None:
    """A statement that a process has prepared fails for ever once `*` means something else."""
    files = [path.name.removesuffix(".sql") for path in Path(sql.__file__).parent.glob("*.sql")]
    assert "space" in files
    stars = [
        f"{file}: {name}"
        for file in files
        for name, statement in sql.statements(file).items()
        if not re.search(r"^INSERT", statement, re.MULTILINE)
        and any(re.search(r"(^|,|\.)\s*\*", part) for found in answered(statement) for part in found)
    ]
    assert stars == []
    with db.connect(settings, autocommit=True) as process:
        for _ in range(8):
            sql.rows(process, "space", "listed")
        [(text,)] = connection.execute("SELECT pg_get_viewdef('imgsearch.spaces'::regclass)").fetchall()
        wider = f"SELECT s.*, 1 AS more FROM ({text.strip().removesuffix(';')}) s"  # noqa: S608 - what the catalogue has
        connection.execute(f"CREATE OR REPLACE VIEW imgsearch.spaces AS {wider}".encode())
        sql.rows(process, "space", "listed")


def test_this_release_is_inside_its_own_window() -> None:
    assert Version(imgsearch.__version__) == window.RELEASE
    assert window.OLDEST_SCHEMA <= window.RELEASE
    assert window.OLDEST_CODE <= window.RELEASE
