"""Each trap the doctor knows is set for real; its fix is then run as it stands, and the trap is gone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.ops.doctor import Finding, examine
from imgsearch.settings import Settings
from imgsearch.spaces.space import ensure
from tests.crowd import crowd
from tests.processes import WorkerProcess, eventually
from tests.shop import database
from tests.terminal import Run

pytestmark = pytest.mark.slow  # all of them together

Connection = psycopg.Connection[Any]
Fix = Callable[[str], None]

NEW_SPACE = "SELECT imgsearch.add_space('other', '', 'p', 48, '1', array_fill(0.1::real, ARRAY[48])::halfvec);"
READ_OFTEN = """SELECT count(i.price) FROM generate_series(1, 11000) g
    JOIN LATERAL (SELECT price FROM imgsearch.image WHERE image_id = g % 1500 OFFSET 0) i ON true;
    SELECT pg_stat_force_next_flush();"""
TUNED = """UPDATE imgsearch.space
    SET parameters = parameters || '{"search": {"ef": 100, "pool": 320, "target": 0.95, %s}}';"""
WORKER = "INSERT INTO imgsearch.worker (name, queue, host, pid, device, space_id, seen_at) VALUES "
# A trap may be met in several ways: the name, then the way.
TRAPS = {
    "pgvector too old": "UPDATE pg_extension SET extversion = '0.8.3' WHERE extname = 'vector'",
    "iterative scan off": "ALTER DATABASE {db} SET hnsw.iterative_scan = off",
    "iterative scan off, for a role": "ALTER ROLE postgres IN DATABASE {db} SET hnsw.iterative_scan = off",
    "generic plans": "ALTER DATABASE {db} SET plan_cache_mode = force_generic_plan",
    "generic plans, for a role": "ALTER ROLE postgres IN DATABASE {db} SET plan_cache_mode = force_generic_plan",
    "planner switched off": "ALTER DATABASE {db} SET enable_sort = off; ALTER DATABASE {db} SET enable_nestloop = off",
    "invalid index": "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'imgsearch.embedding_1_hnsw'::regclass",
    "no HNSW": "DROP INDEX imgsearch.embedding_1_hnsw",
    "no graph of a tenant": "INSERT INTO imgsearch.tenant_graph (tenant_id, wanted, by_hand) "
    "VALUES ('acme', true, true)",
    "index of another distance": "CREATE INDEX wrong ON imgsearch.embedding_1 USING hnsw (embedding halfvec_l2_ops)",
    "unused index": "CREATE INDEX mine ON imgsearch.image (uri, sha256) WITH (fillfactor = 10);" + READ_OFTEN,
    "unused index, of an attribute": "SELECT imgsearch.promote_attribute('Größe ''x''');"
    "ALTER INDEX imgsearch.image_bits_attribute_größe_x__1 SET (fillfactor = 10);"
    "REINDEX INDEX imgsearch.image_bits_attribute_größe_x__1;" + READ_OFTEN,
    # Autovacuum must not be quicker than the doctor.
    "no statistics": "ALTER TABLE imgsearch.image SET (autovacuum_analyze_threshold = 1000000);"
    "UPDATE pg_class SET reltuples = -1 WHERE oid = 'imgsearch.image'::regclass;"
    "INSERT INTO imgsearch.image (tenant_id, product_id, uri, attributes) "
    "SELECT 'acme', 'x' || n, 'store:x', jsonb_build_object('t', repeat('x', 900)) FROM generate_series(1, 3000) n",
    "vacuum overdue": 8 * "UPDATE imgsearch.image SET price = price + 1;" + "SELECT pg_stat_force_next_flush()",
    "addresses with other bytes": "UPDATE imgsearch.image SET uri = 'https://x.example/1' WHERE product_id = 'p1';"
    "UPDATE imgsearch.job SET state = 'failed', error_code = 'changed', error = 'other bytes'",
    "table without identity": "ALTER TABLE imgsearch.vocabulary REPLICA IDENTITY DEFAULT;"
    "CREATE PUBLICATION p FOR ALL TABLES",
    "rows not followed": "CREATE TABLE ware (id integer PRIMARY KEY, photo text);"
    "SELECT imgsearch.attach('ware', key => 'id', image => 'photo', prefix => 'w:', base => 'https://x.example');"
    "ALTER TABLE imgsearch.image ADD CONSTRAINT c CHECK (product_id NOT LIKE 'w:%'); INSERT INTO ware VALUES (1, 'a');"
    "ALTER TABLE imgsearch.image DROP CONSTRAINT c",
    "attached table gone": "CREATE TABLE ware (id integer PRIMARY KEY, photo text);"
    "SELECT imgsearch.attach('ware', key => 'id', image => 'photo', prefix => 'w:'); DROP TABLE ware",
    "attached table without index": "CREATE TABLE ware (id integer PRIMARY KEY);"
    "CREATE TABLE ware_photo (ware_id integer, file text); CREATE INDEX ware_photo_of ON ware_photo (ware_id);"
    "SELECT imgsearch.attach('ware', key => 'id', pictures => 'ware_photo', picture_of => 'ware_id', image => 'file',"
    " prefix => 'w:', base => 'https://x.example'); DROP INDEX ware_photo_of",
    "autovacuum off": "ALTER TABLE imgsearch.image SET (autovacuum_enabled = false)",
    "TOASTed vectors": "ALTER TABLE imgsearch.embedding_1 ALTER COLUMN embedding SET STORAGE EXTERNAL",
    "vectors of two spaces": "{new space} UPDATE imgsearch.space SET state = 'standby' WHERE space_id = 1;"
    "UPDATE imgsearch.space SET state = 'active' WHERE space_id <> 1;"
    "UPDATE imgsearch.worker SET space_id = (SELECT space_id FROM imgsearch.space WHERE state = 'active')",
    "space on standby": "{new space} SELECT imgsearch.activate_space('other', true);"
    "UPDATE imgsearch.space SET activated_at = now() - interval '60 days' WHERE space_id = 1;"
    "UPDATE imgsearch.worker SET space_id = 2; DELETE FROM imgsearch.job WHERE space_id = 2;",
    "worker of no space": "UPDATE imgsearch.worker SET space_id = NULL",
    "space without worker": "{new space} INSERT INTO imgsearch.job (tenant_id, image_id, space_id)"
    " SELECT tenant_id, image_id, 2 FROM imgsearch.image LIMIT 1",
    "sample stale": "UPDATE imgsearch.space SET parameters = jsonb_set(parameters, '{sample,pictures}', '300')",
    "sample stale, because there is none": "UPDATE imgsearch.space SET parameters = parameters - 'sample'",
    "tuning stale": TUNED
    % '"recall": 0.995, "at": "2026-01-01", "fingerprint": {"pictures": 300, "spread": 1, "shift": 0.1}',
    "tuning stale, at a time unknown": TUNED % '"fingerprint": {"pictures": 300, "spread": 1, "shift": 0.1}',
    "recall below target": TUNED % '"recall": 0.9, "at": "2026-01-01"',
    "never tuned": "UPDATE pg_class SET reltuples = 60000 WHERE oid = 'imgsearch.embedding_1'::regclass",
    "large tenant": "ALTER DATABASE {db} SET imgsearch.large_tenant = 200; SELECT imgsearch.refresh_sample()",
    "promoted attribute without index": "SELECT imgsearch.promote_attribute('Größe ''x''', 'number');"
    "DROP INDEX imgsearch.image_bits_attribute_größe_x__1",
    "index without products": "SELECT imgsearch.promote_attribute('Größe ''x''');"
    "DROP INDEX imgsearch.image_bits_1, imgsearch.image_bits_category_1, imgsearch.image_bits_attribute_größe_x__1;"
    "CREATE INDEX image_bits_1 ON imgsearch.image (tenant_id, category, price, in_stock, image_id) INCLUDE (bits_1);"
    "CREATE INDEX image_bits_category_1 ON imgsearch.image (category, price, in_stock, image_id) INCLUDE (bits_1);"
    "CREATE INDEX image_bits_attribute_größe_x__1 ON imgsearch.image (attribute_größe_x_, tenant_id, category, price,"
    " in_stock, image_id) INCLUDE (bits_1)",
    "table without row-level security": "ALTER TABLE imgsearch.image DISABLE ROW LEVEL SECURITY",
    "no worker seen": "DELETE FROM imgsearch.worker",
    "no worker seen, for an hour": "UPDATE imgsearch.worker SET seen_at = now() - interval '1 hour'",
    "violations": "DELETE FROM imgsearch.embedding_1 WHERE image_id = (SELECT min(image_id) FROM imgsearch.image)",
    "violations, of other bytes": "UPDATE imgsearch.embedding_1 SET sha256 = 'x' WHERE image_id % 500 = 0",
    "violations, without bits": "UPDATE imgsearch.image SET bits_1 = NULL WHERE image_id % 500 = 0",
    "violations, of a forgotten lease": "INSERT INTO imgsearch.job (tenant_id, image_id, state, lease, token) "
    "SELECT tenant_id, image_id, 'leased', now() - interval '1 hour', gen_random_uuid() FROM imgsearch.image LIMIT 1",
}
HOLES = re.compile(r"  |\bNULL\b|%s|\(\)|\s[,.;:]|:$", re.IGNORECASE)
ADVICE = {
    "addresses with other bytes",
    "unused index",
    "space on standby",
    "never tuned",
    "large tenant",
}


@pytest.fixture(scope="module")
def template(servers: embedded.Servers, template: str) -> Iterator[str]:
    """A shop of 1,500 pictures, cared for by a worker; each test breaks a copy of it."""
    with database(servers, template) as made:
        with db.connect(made, autocommit=True) as connection:
            crowd(connection, ensure(connection, FakeEncoder().describe()), 1500)
            connection.execute(WORKER + "('w', 'both', 'h', 1, 'cpu', 1, now() + interval '1 hour')")
            row = connection.execute("SELECT current_database()").fetchone()
        assert row is not None
        yield row[0]


def examined(settings: Settings) -> dict[str, Finding]:
    """Look as a new session does; a finding's sentences have no holes."""
    with db.connect(settings, autocommit=True) as connection:
        findings = examine(connection)
    for finding in findings:
        for sentence in (finding.check_name, finding.detail, finding.impact, finding.fix):
            assert sentence.strip() == sentence, finding
            assert sentence, finding
        for sentence in (finding.detail, finding.impact):
            assert not HOLES.search(sentence), finding
    return {finding.check_name: finding for finding in findings}


@pytest.fixture
def fix(settings: Settings, environment: dict[str, str], tmp_path: Path, run: Run) -> Iterator[Fix]:
    """Run a fix line by line, as an administrator would: commands by the CLI, everything else as SQL."""
    workers: list[WorkerProcess] = []

    def apply(lines: str) -> None:
        for line in lines.splitlines():
            *variables, words = re.split(r"(?<=\S) (?=imgsearch )", line.split("  --")[0])
            if not words.startswith("imgsearch "):
                with db.connect(settings, autocommit=True) as connection:
                    connection.execute(words.encode())
            elif words.startswith("imgsearch worker"):
                set_here = dict(word.split("=", 1) for word in shlex.split(" ".join(variables)))
                given = shlex.split(words)[2:]
                if given[:1] == ["--space"]:  # of another model than the one these tests can load: it would refuse
                    with db.connect(settings, autocommit=True) as connection:
                        connection.execute(
                            "UPDATE imgsearch.worker SET space_id = imgsearch_internal.space_of(%s)", given[1:]
                        )
                    continue
                workers.append(WorkerProcess(settings, environment | set_here, tmp_path / "worker.log"))
                workers[-1].ready()
            else:
                sure = ["--yes"] if words.startswith("imgsearch space drop") else []  # a person is asked
                done = run(*shlex.split(words)[1:], *sure)
                assert done.code == 0, (line, done.err)

    yield apply
    for worker in workers:
        worker.end()


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_is_named_without_holes_and_its_fix_takes_it_away(settings: Settings, fix: Fix, trap: str) -> None:
    assert examined(settings) == {}
    with db.connect(settings, autocommit=True) as connection:
        name = SQL("{}").format(Identifier(connection.info.dbname)).as_string()
        for statement in TRAPS[trap].replace("{db}", name).replace("{new space}", NEW_SPACE).split(";"):
            connection.execute(statement.encode())
    kind = trap.partition(",")[0]
    named = examined(settings)
    assert kind in named, named
    assert named[kind].severity == ("advice" if kind in ADVICE else "problem")
    fix(named[kind].fix)
    eventually(lambda: kind not in examined(settings), what=f"the end of {named[kind]}")


def test_imgsearchs_own_indexes_are_not_advised_away(settings: Settings) -> None:
    with db.connect(settings, autocommit=True) as connection:
        ours = connection.execute(
            "SELECT indexrelid::regclass::text, amname FROM pg_index JOIN pg_class c ON c.oid = indexrelid "
            "JOIN pg_am a ON a.oid = c.relam WHERE indrelid IN ('imgsearch.image'::regclass, "
            "'imgsearch.embedding_1'::regclass) AND NOT indisunique"
        ).fetchall()
        assert len(ours) >= 8
        connection.execute(
            "INSERT INTO imgsearch.image (tenant_id, product_id, uri, sha256) "
            "SELECT 'acme', 'x' || n, 'store:x', sha256(n::text::bytea) FROM generate_series(1, 4000) n"
        )
        for index, kind in ours:
            if kind == "btree":
                connection.execute(f"ALTER INDEX {index} SET (fillfactor = 10)".encode())
                connection.execute(f"REINDEX INDEX {index}".encode())
        for statement in READ_OFTEN.split(";"):
            connection.execute(statement.encode())
        large = connection.execute(
            "SELECT count(*) FROM pg_stat_all_indexes WHERE schemaname = 'imgsearch' AND idx_scan = 0 "
            "AND pg_relation_size(indexrelid) > 1024 * 1024"
        ).fetchone()
        assert large is not None
        assert large[0] >= 4, "they are large enough and unused: only their names keep them"
    assert "unused index" not in examined(settings)
