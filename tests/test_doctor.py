"""The doctor: a healthy database has no trap, and those that need a server, a role or statistics are named.

The others, and every fix: test_doctor_fixes.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.dev.embedded.postgres import start_postgres, stop_postgres
from imgsearch.dev.testing import FakeEncoder
from imgsearch.ops.doctor import Finding, examine
from imgsearch.settings import Settings, load_settings
from imgsearch.spaces.space import Space, ensure
from tests.conftest import behind
from tests.crowd import crowd
from tests.processes import eventually
from tests.shop import database
from tests.terminal import Run

Connection = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def healthy(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    """A shop of 1,500 pictures, cared for by a worker; tests undo what they break."""
    with database(servers, template) as made:
        with db.connect(made, autocommit=True) as connection:
            crowd(connection, ensure(connection, FakeEncoder().describe()), 1500)
            connection.execute(
                "INSERT INTO imgsearch.worker (name, queue, host, pid, device, space_id, seen_at) "
                "VALUES ('w', 'both', 'h', 1, 'cpu', 1, now() + interval '1 hour')"
            )
        yield made


@pytest.fixture
def connection(healthy: Settings) -> Iterator[Connection]:
    """A transaction that is undone."""
    with db.connect(healthy) as opened:
        yield opened
        opened.rollback()


def found(connection: Connection) -> dict[str, Finding]:
    """By name; of several with one name, the last."""
    connection.execute("SELECT '[1]'::vector")
    columns = "check_name", "severity", "detail", "impact", "fix"
    rows = connection.execute("SELECT check_name, severity, detail, impact, fix FROM imgsearch.doctor").fetchall()
    return {row[0]: Finding(**dict(zip(columns, row, strict=True))) for row in rows}


def test_a_healthy_database_has_none(healthy: Settings) -> None:
    with db.connect(healthy, autocommit=True) as connection:
        assert examine(connection) == []


def test_a_given_space_that_lacks_vectors_is_named(connection: Connection) -> None:
    connection.execute(
        "SELECT imgsearch.add_space('mine', '', 'm', 48, '', array_fill(0.1::real, ARRAY[48])::halfvec,"
        " name => 'mine', kind => 'given')"
    )
    finding = found(connection)["given vectors missing"]
    assert finding.detail == "space mine has vectors of 0 of 1500 images"
    assert len(connection.execute(finding.fix.partition(";")[0].encode()).fetchall()) == 1500


def test_vectors_outside_the_graph_are_told_where_nobody_moves_them(connection: Connection) -> None:
    connection.execute("UPDATE imgsearch.worker SET seen_at = now() - interval '1 hour'")
    connection.execute("""WITH gone AS (DELETE FROM ONLY imgsearch.embedding_1 RETURNING *)
        INSERT INTO imgsearch.embedding_1_tail SELECT * FROM gone""")
    assert "vectors outside the graph" not in found(connection), "1,500 are few"
    many = "UPDATE imgsearch.embedding_1_tail SET sha256 = sha256"  # each leaves a dead row, which searches read too
    for _ in range(4):
        connection.execute(many)
    assert found(connection)["vectors outside the graph"].fix.startswith("imgsearch worker")


@pytest.mark.parametrize(
    ("make", "fix"),
    [
        ("CREATE ROLE {} LOGIN BYPASSRLS IN ROLE imgsearch_reader", "NOBYPASSRLS"),
        ("CREATE ROLE {} LOGIN SUPERUSER IN ROLE imgsearch_writer", "NOSUPERUSER"),
        (
            "CREATE ROLE {} LOGIN IN ROLE imgsearch_writer, imgsearch_admin",
            "REVOKE imgsearch_admin FROM doctors_patient",
        ),
    ],
)
def test_a_role_that_bypasses_the_wall_it_should_be_behind_is_named(
    connection: Connection, make: str, fix: str
) -> None:
    connection.execute(SQL(make).format(Identifier("doctors_patient")))
    finding = found(connection)["row-level security bypassed"]
    assert "doctors_patient" in finding.detail
    assert fix in finding.fix
    connection.execute(finding.fix.encode())
    assert "row-level security bypassed" not in found(connection)


def test_a_role_behind_the_wall_needs_custom_plans(connection: Connection) -> None:
    connection.execute("CREATE ROLE doctors_patient LOGIN IN ROLE imgsearch_reader")
    finding = found(connection)["generic plans"]
    assert "doctors_patient" in finding.detail
    connection.execute(finding.fix.encode())
    assert "generic plans" not in found(connection)


def test_dead_rows_are_counted(healthy: Settings) -> None:
    with db.connect(healthy, autocommit=True) as connection:
        connection.execute("ALTER TABLE imgsearch.image SET (autovacuum_enabled = false)")
        for _ in range(8):  # 1,500 rows each
            connection.execute("UPDATE imgsearch.image SET price = price + 1")
        connection.execute("SELECT pg_stat_force_next_flush()")
        connection.execute("SELECT 1")
        named = found(connection)
        assert "imgsearch.image has 1" in named["vacuum overdue"].detail
        connection.execute("ALTER TABLE imgsearch.image RESET (autovacuum_enabled)")
        connection.execute("VACUUM ANALYZE imgsearch.image")
        connection.execute("SELECT pg_stat_force_next_flush()")
        assert "vacuum overdue" not in found(connection)


def test_a_transaction_that_holds_vacuum_back_is_named(healthy: Settings, connection: Connection) -> None:
    with db.connect(healthy) as forgotten:
        forgotten.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        forgotten.execute("SELECT count(*) FROM imgsearch.image")
        assert "vacuum held back" not in found(connection), "it is open for less than an hour"
        connection.execute("SELECT set_config('imgsearch.patience', '0 s', true)")
        fix = found(connection)["vacuum held back"].fix
        assert f"pg_terminate_backend({forgotten.info.backend_pid})" in fix


def test_an_hnsw_larger_than_memory_is_named(folder: Path) -> None:
    url = start_postgres(folder, memory_mb=256, durable=False)
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET shared_buffers = '512kB'")
            connection.execute("ALTER SYSTEM SET effective_cache_size = '64kB'")
        stop_postgres(folder)
        settings = load_settings({"DATABASE_URL": start_postgres(folder, memory_mb=256, durable=False)})
        schema.upgrade(settings)
        with db.connect(settings, autocommit=True) as connection:
            crowd(connection, ensure(connection, FakeEncoder().describe()), 1500)
            finding = found(connection)["HNSW larger than memory"]
            for line in finding.fix.splitlines():
                connection.execute(line.encode())

        def gone() -> bool:  # a new session each time: one that starts during the reload may miss it
            with db.connect(settings, autocommit=True) as connection:
                return "HNSW larger than memory" not in found(connection)

        eventually(gone)
        assert "64 kB of cache" in finding.detail.replace("64kB", "64 kB")
        assert "more memory" in finding.fix
    finally:
        stop_postgres(folder)


def test_it_reads_only_and_for_a_bounded_time(healthy: Settings) -> None:
    with db.connect(healthy, autocommit=True) as connection, db.connect(healthy) as other:
        other.execute("LOCK TABLE imgsearch.image IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(psycopg.errors.QueryCanceled):
            examine(connection, seconds=0.2)


def test_the_command_exits_with_1_and_speaks_json(run: Run, connection: Connection, space: Space) -> None:
    done = run("doctor", "--json")
    assert done.code == 1
    assert not done.document["healthy"]
    assert {row["check_name"] for row in done.document["findings"]} == {"no worker seen"}
    assert "imgsearch worker" in run("doctor").out


def test_a_schema_that_is_behind_is_the_only_finding(settings: Settings, run: Run) -> None:
    behind(settings)
    done = run("doctor", "--json")
    assert done.code == 1
    assert [row["check_name"] for row in done.document["findings"]] == ["schema behind"]
    assert "imgsearch db upgrade" in json.dumps(done.document)
