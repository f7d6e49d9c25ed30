"""Whatever defaults a database has, everything works there, or one sentence says why not."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from PIL import Image
from psycopg.sql import SQL, Identifier, Literal

from imgsearch import add, db, schema, search
from imgsearch.dev import embedded
from imgsearch.errors import DatabaseError
from imgsearch.flask import create_app
from imgsearch.ops import doctor
from imgsearch.schema import mend, turn
from imgsearch.settings import Settings
from tests.own_server import named, with_database
from tests.processes import WorkerProcess, eventually

Connection = psycopg.Connection[Any]

HOSTILE = {
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "search_path": '"$user", nowhere',
    "datestyle": "SQL, DMY",
    "intervalstyle": "sql_standard",
    "timezone": "Asia/Kathmandu",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "client_encoding": "LATIN1",
    "extra_float_digits": "-15",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "row_security": "off",
    "jit": "on",
    "enable_indexscan": "off",
    "plan_cache_mode": "force_custom_plan",
    "check_function_bodies": "off",
    "client_min_messages": "error",
    "lock_timeout": "1min",
    "idle_in_transaction_session_timeout": "1min",
}


def jpeg(colour: tuple[int, int, int]) -> bytes:
    out = io.BytesIO()
    image = Image.new("RGB", (200, 200), colour)
    image.paste((255, 255, 255), (100, 0, 200, 200))
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def test_everything_works_over_hostile_defaults(
    settings: Settings, environment: dict[str, str], tmp_path: Path, servers: embedded.Servers
) -> None:
    with psycopg.connect(settings.database_url, autocommit=True) as admin:
        row = admin.execute("SELECT current_database()").fetchone()
        assert row is not None
        for name, value in HOSTILE.items():
            statement = SQL("ALTER DATABASE {} SET {} = {}")
            setting = SQL(value) if name == "search_path" else Literal(value)
            admin.execute(statement.format(Identifier(row[0]), Identifier(name), setting))
    schema.upgrade(settings)
    with WorkerProcess(settings, environment, tmp_path / "worker.log"), db.connect(settings, autocommit=True) as lent:
        values = {"size": 4.5, "name": "Größe\\ ☃"}
        for name, colour in {"red": (250, 10, 10), "blue": (10, 10, 250)}.items():
            filters = {"price": 9.95, "category": "Schuhe", "attributes": values}
            add(lent, jpeg(colour), product_id=name, settings=settings, **filters)
        eventually(lambda: lent.execute("SELECT ready FROM imgsearch.status").fetchone() == (2,), what="two pictures")
        hits = search(lent, jpeg((250, 10, 10)), attributes=values, category="Schuhe", max_price=9.95)
        assert [hit.product_id for hit in hits] == ["red", "blue"]
        now = datetime.now(UTC)
        assert len(search(lent, jpeg((250, 10, 10)), created_before=now.replace(year=now.year + 1))) == 2
        assert not search(lent, jpeg((250, 10, 10)), created_before=now.replace(year=2000))
        app = create_app(settings.environment(), allow_anonymous=True)
        answer = app.test_client().post("/v1/search", json={"text": "red Größe ☃", "attributes": values})
        assert answer.status_code == 200, answer.text
        assert len(answer.get_json()["rows"]) == 2
        app.extensions["imgsearch"].close()
        assert lent.execute("SELECT * FROM imgsearch.violations").fetchall() == []
        assert not [one for one in doctor.examine(lent) if one.check_name == "check fails"]


@pytest.fixture
def latin(servers: embedded.Servers, settings: Settings) -> Iterator[str]:
    name = named("latin")
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        made = SQL("CREATE DATABASE {} ENCODING {} LOCALE 'C' TEMPLATE template0")
        admin.execute(made.format(Identifier(name), Literal("LATIN1")))
        yield with_database(servers.database_url, "latin")
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.mark.parametrize("command", [["db", "upgrade"], ["db", "check"], ["doctor"]])
def test_a_database_without_room_for_all_letters_is_refused(
    command: list[str], latin: str, environment: dict[str, str]
) -> None:
    environ = environment | {"IMGSEARCH_DATABASE_URL": latin}
    done = subprocess.run(
        [sys.executable, "-m", "imgsearch", *command], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0, done
    assert "keeps texts in LATIN1" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    with psycopg.connect(latin) as connection:
        assert connection.execute("SELECT to_regnamespace('imgsearch')").fetchone() == (None,)


def test_it_is_refused_on_a_connection_of_ones_own(latin: str) -> None:
    with psycopg.connect(latin, autocommit=True) as connection, pytest.raises(DatabaseError, match="LATIN1"):
        schema.migrate.upgrade(connection)


@pytest.mark.parametrize("work", ["upgrade", "remove", "mend"])
def test_who_waits_for_another_upgrade_is_told_whose(
    work: str, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(turn, "SILENCE", 0.2)
    heard: list[str] = []
    with psycopg.connect(settings.database_url, application_name="a dead terminal") as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtext('imgsearch.migrations'))")
        row = other.execute("SELECT pg_backend_pid()").fetchone()
        assert row is not None

        def wait() -> None:
            with db.connect(settings, autocommit=True) as connection:
                if work == "upgrade":
                    connection.execute("UPDATE imgsearch.schema_version SET digest = 'x' WHERE step = 'functions'")
                    schema.migrate.upgrade(connection, say=heard.append)
                elif work == "mend":
                    mend.mend(connection)
                else:
                    schema.migrate.remove(connection)

        waiting = threading.Thread(target=wait)
        waiting.start()
        lines = eventually(lambda: [*heard, *(record.getMessage() for record in caplog.records)], 30, "a line")
        assert f"process {row[0]} (a dead terminal" in lines[0]
        time.sleep(0.5)
        assert len([line for line in (*heard, *caplog.messages) if "waiting" in line]) == 1, "not again and again"
    waiting.join(60)
    assert not waiting.is_alive()
