"""The doctor: each trap is set for real and named with its cure, and a healthy database has none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.embedded.postgres import start_postgres, stop_postgres
from imgsearch.dev.testing import FakeEncoder
from imgsearch.ops.doctor import Finding, examine
from imgsearch.settings import Settings, load_settings
from imgsearch.spaces.space import Space, ensure
from tests.crowd import crowd
from tests.shop import database
from tests.test_cli import Run, run  # noqa: F401

Connection = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def healthy(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    """A shop of 1,500 pictures, cared for by a worker; tests undo what they break."""
    with database(servers, template) as made:
        with db.connect(made, autocommit=True) as connection:
            crowd(connection, ensure(connection, FakeEncoder().describe()), 1500)
            connection.execute(
                "INSERT INTO imgsearch.worker (name, lane, host, pid, device, space_id, seen_at) "
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
    rows = connection.execute("SELECT trap, severity, found, costs, cure FROM imgsearch.doctor").fetchall()
    return {
        row[0]: Finding(**dict(zip(("trap", "severity", "found", "costs", "cure"), row, strict=True))) for row in rows
    }


def test_a_healthy_database_has_none(healthy: Settings) -> None:
    with db.connect(healthy, autocommit=True) as connection:
        assert examine(connection) == []


BREAKS = {
    "pgvector too old": "UPDATE pg_extension SET extversion = '0.8.3' WHERE extname = 'vector'",
    "iterative scan off": "SELECT set_config('hnsw.iterative_scan', 'off', true)",
    "generic plans": "SELECT set_config('plan_cache_mode', 'force_generic_plan', true)",
    "planner switched off": "SELECT set_config('enable_sort', 'off', true)",
    "invalid index": "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'imgsearch.embedding_1_hnsw'::regclass",
    "no HNSW": "DROP INDEX imgsearch.embedding_1_hnsw",
    "index of another distance": "CREATE INDEX wrong ON imgsearch.embedding_1 USING hnsw (embedding halfvec_l2_ops)",
    "no statistics": "UPDATE pg_class SET reltuples = -1 WHERE oid = 'imgsearch.image'::regclass; "
    "INSERT INTO imgsearch.image (tenant_id, product_id, uri, attributes) "
    "SELECT 'acme', 'x' || n, 'store:x', jsonb_build_object('t', repeat('x', 900)) FROM generate_series(1, 3000) n",
    "autovacuum off": "ALTER TABLE imgsearch.image SET (autovacuum_enabled = false)",
    "TOASTed vectors": "ALTER TABLE imgsearch.embedding_1 ALTER COLUMN embedding SET STORAGE EXTERNAL",
    "vectors of two spaces": "SELECT imgsearch.create_space('other', '', 'p', 48, '1', "
    "array_fill(0.1::real, ARRAY[48])::halfvec); UPDATE imgsearch.space SET state = 'retired' WHERE space_id = 1; "
    "UPDATE imgsearch.space SET state = 'active' WHERE space_id <> 1",
    "vectors of a retired space": "SELECT imgsearch.create_space('other', '', 'p', 48, '1', "
    "array_fill(0.1::real, ARRAY[48])::halfvec); SELECT imgsearch.activate_space(max(space_id)) FROM imgsearch.space",
    "sample stale": "UPDATE imgsearch.space SET parameters = jsonb_set(parameters, '{sample,pictures}', '300')",
    "tuning stale": 'UPDATE imgsearch.space SET parameters = parameters || \'{"search": {"ef": 100, "pool": 320, '
    '"target": 0.99, "recall": 0.995, "at": "2026-01-01", "fingerprint": {"pictures": 300, '
    '"spread": 1, "shift": 0.1}}}\'',
    "recall below target": 'UPDATE imgsearch.space SET parameters = parameters || \'{"search": {"ef": 100, '
    '"target": 0.99, "recall": 0.9, "at": "2026-01-01"}}\'',
    "promoted attribute without index": "SELECT imgsearch.promote_attribute('size', 'number'); "
    "DROP INDEX imgsearch.image_bits_attribute_size_1",
    "wall bypassed": "SELECT set_config('imgsearch.tenant', 'acme', true)",
    "hole in the wall": "ALTER TABLE imgsearch.image NO FORCE ROW LEVEL SECURITY",
    "no worker seen": "DELETE FROM imgsearch.worker",
    "violations": "DELETE FROM imgsearch.embedding_1 WHERE image_id = (SELECT min(image_id) FROM imgsearch.image)",
}


@pytest.mark.parametrize("trap", BREAKS)
def test_each_trap_is_named_with_its_cure(connection: Connection, trap: str) -> None:
    connection.execute(BREAKS[trap].encode())
    named = found(connection)
    assert trap in named, list(named)
    assert named[trap].found
    assert named[trap].cure
    assert named[trap].severity == ("advice" if trap == "vectors of a retired space" else "problem")


@pytest.mark.parametrize(
    ("make", "cure"),
    [
        ("CREATE ROLE {} LOGIN BYPASSRLS IN ROLE imgsearch_reader", "NOBYPASSRLS"),
        ("CREATE ROLE {} LOGIN SUPERUSER IN ROLE imgsearch_writer", "NOSUPERUSER"),
        ("CREATE ROLE {} LOGIN IN ROLE imgsearch_writer, imgsearch_admin", "REVOKE imgsearch_admin"),
    ],
)
def test_a_role_that_bypasses_the_wall_it_should_be_behind_is_named(
    connection: Connection, make: str, cure: str
) -> None:
    connection.execute(SQL(make).format(Identifier("doctors_patient")))
    assert "doctors_patient" in found(connection)["wall bypassed"].found
    assert cure in found(connection)["wall bypassed"].cure


def test_a_role_behind_the_wall_needs_custom_plans(connection: Connection) -> None:
    connection.execute("CREATE ROLE doctors_patient LOGIN IN ROLE imgsearch_reader")
    finding = found(connection)["generic plans"]
    assert "doctors_patient" in finding.found
    connection.execute(finding.cure.encode())
    assert "generic plans" not in found(connection)


def test_dead_rows_and_unused_indexes_are_counted(healthy: Settings) -> None:
    with db.connect(healthy, autocommit=True) as connection:
        connection.execute("ALTER TABLE imgsearch.image SET (autovacuum_enabled = false)")
        for _ in range(8):  # 1,500 rows each
            connection.execute("UPDATE imgsearch.image SET price = price + 1")
        connection.execute(
            "SELECT count(i.price) FROM generate_series(1, 11000) g JOIN LATERAL "
            "(SELECT price FROM imgsearch.image WHERE image_id = g %% 1500 OFFSET 0) i ON true",
            (),
        )
        connection.execute("SELECT pg_stat_force_next_flush()")
        connection.execute("SELECT 1")
        named = found(connection)
        assert "imgsearch.image has 1" in named["vacuum overdue"].found
        assert "image_bits_price_1" in named["unused index"].found
        assert named["unused index"].severity == "advice"
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
        cure = found(connection)["vacuum held back"].cure
        assert f"pg_terminate_backend({forgotten.info.backend_pid})" in cure


def test_an_hnsw_larger_than_memory_is_named(tmp_path: Path) -> None:
    url = start_postgres(tmp_path, memory_mb=256, durable=False)
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET shared_buffers = '512kB'")
            connection.execute("ALTER SYSTEM SET effective_cache_size = '64kB'")
        stop_postgres(tmp_path)
        settings = load_settings({"DATABASE_URL": start_postgres(tmp_path, memory_mb=256, durable=False)})
        db.upgrade(settings)
        with db.connect(settings, autocommit=True) as connection:
            crowd(connection, ensure(connection, FakeEncoder().describe()), 1500)
            finding = found(connection)["HNSW larger than memory"]
        assert "64 kB of cache" in finding.found.replace("64kB", "64 kB")
        assert "more memory" in finding.cure
    finally:
        stop_postgres(tmp_path)


def test_it_reads_only_and_for_a_bounded_time(healthy: Settings) -> None:
    with db.connect(healthy, autocommit=True) as connection, db.connect(healthy) as other:
        other.execute("LOCK TABLE imgsearch.image IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(psycopg.errors.QueryCanceled):
            examine(connection, seconds=0.2)


def test_the_command_exits_with_1_and_speaks_json(run: Run, connection: Connection, space: Space) -> None:  # noqa: F811
    done = run("doctor", "--json")
    assert done.code == 1
    assert not done.document["healthy"]
    assert {row["trap"] for row in done.document["findings"]} == {"no worker seen"}
    assert "imgsearch worker" in run("doctor").out


def test_a_schema_that_is_behind_is_the_only_finding(settings: Settings, run: Run) -> None:  # noqa: F811
    db.downgrade(settings, "0005")
    done = run("doctor", "--json")
    assert done.code == 1
    assert [row["trap"] for row in done.document["findings"]] == ["schema behind"]
    assert "imgsearch db upgrade" in json.dumps(done.document)
