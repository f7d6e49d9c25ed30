"""The SQL console: the example runs, comments help, plans use the index, a reader reads and no more."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from imgsearch.dev.testing import FakeEncoder
from imgsearch.query import cache
from imgsearch.spaces.space import Space
from tests.shop import Row, fill

ROOT = Path(__file__).parent.parent
CONSOLE = ROOT / "examples/console.sql"
Connection = psycopg.Connection[Any]
TYPED = ["search", "vec", "vec_of", "embed", "distance", "attach", "detach", "backfill", "drift", "repair", "requeue"]


@pytest.fixture
def shop(connection: Connection, space: Space) -> Connection:
    """Two hundred pictures, and a text that was asked."""
    vectors = FakeEncoder().embed_texts([f"thing {n}" for n in range(200)])
    fill(connection, space, [Row(vector=list(v), price=float(n % 100)) for n, v in enumerate(vectors)])
    cache.ask(connection, cache.of_text("red canvas shoe"))
    [asked] = cache.claim(connection, space.space_id, 1)
    cache.answer(connection, space.space_id, asked, FakeEncoder().embed_texts(["red canvas shoe"])[0])
    connection.execute("ANALYZE imgsearch.image, imgsearch.embedding_1")
    return connection


def statements() -> list[str]:
    text = re.sub(r"^--.*$", "", CONSOLE.read_text(), flags=re.MULTILINE)
    return [part.strip() for part in text.split(";\n") if part.strip()]


def test_the_example_runs_through_any_driver(shop: Connection) -> None:
    found = [shop.execute(part.encode()) for part in statements()]
    sizes = [cursor.rowcount for cursor in found]
    assert sizes[1:5] == [5, 5, 5, 5]
    for cursor in found:  # a vector of 768 numbers on the screen helps nobody
        assert not [column.name for column in cursor.description or () if column.name == "embedding"]


def test_the_example_runs_in_psql(shop: Connection, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "imgsearch", "psql", "-X", "-v", "ON_ERROR_STOP=1", "-f", str(CONSOLE)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(5 rows)") == 4


@pytest.mark.parametrize(
    "order", ["imgsearch.distance(embedding, 'red canvas shoe')", "embedding <=> imgsearch.vec('red canvas shoe')"]
)
def test_plain_sql_is_answered_by_the_index(shop: Connection, order: str) -> None:
    shop.execute("SET enable_seqscan = off")
    statement = f"EXPLAIN SELECT image_id FROM imgsearch.images WHERE price < 50 ORDER BY {order} LIMIT 5"  # noqa: S608
    plan = shop.execute(statement.encode())
    assert "embedding_1_hnsw" in str(plan.fetchall())


def test_every_function_people_type_is_explained_with_an_example(shop: Connection) -> None:
    rows = shop.execute(
        "SELECT p.proname, obj_description(p.oid, 'pg_proc') FROM pg_proc p"
        " WHERE p.pronamespace = 'imgsearch'::regnamespace AND p.proname = ANY (%s)",
        (TYPED,),
    ).fetchall()
    assert {name for name, _ in rows} == set(TYPED)
    assert [name for name, said in rows if not re.search(rf"imgsearch\.{name}\(", said)] == []


def test_a_reader_searches_and_uploads_nothing(shop: Connection) -> None:
    with shop.transaction(force_rollback=True):
        shop.execute("UPDATE imgsearch.query_vector SET tenant_id = 'acme'")  # each tenant asks for itself
        shop.execute("SET LOCAL ROLE imgsearch_reader")
        shop.execute("SELECT set_config('imgsearch.tenant', 'acme', true)")
        assert shop.execute("SELECT * FROM imgsearch.search('red canvas shoe', k => 3)").rowcount == 3
        with pytest.raises(psycopg.errors.InsufficientPrivilege), shop.transaction():
            shop.execute("INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('acme', 'x', 'https://x/1')")
