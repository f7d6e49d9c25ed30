"""pgvector in a schema of its own, as rented servers keep it: everything works, on the search_path and off it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from sqlalchemy import select
from sqlalchemy.orm import Session

from imgsearch import Filters, Image, db, nearest, schema, search
from imgsearch.dev import embedded
from imgsearch.dev.testing import embed
from imgsearch.ops import doctor, maintenance, tuning
from imgsearch.settings import Settings, load_settings
from tests.own_server import named, with_database

Connection = psycopg.Connection[Any]
ADD = """INSERT INTO imgsearch.image (tenant_id, product_id, uri, category, attributes)
         SELECT 'acme', n, 'https://x.example/' || n, 'shoes', jsonb_build_object('size', n)
         FROM generate_series(1, 40) n"""


@pytest.fixture(scope="module", params=["public", "public, extensions"], ids=["off the path", "on the path"])
def shop(servers: embedded.Servers, request: pytest.FixtureRequest) -> Iterator[Settings]:
    name = "elsewhere" if request.param == "public" else "elsewhere_on_path"
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {} STRATEGY file_copy").format(Identifier(named(name))))
        admin.execute(SQL("ALTER DATABASE {} SET search_path = {}").format(Identifier(named(name)), SQL(request.param)))
    settings = load_settings({"DATABASE_URL": with_database(servers.database_url, name)}, environ={})
    with db.connect(settings, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA extensions")
        connection.execute("CREATE EXTENSION vector SCHEMA extensions")
    schema.upgrade(settings)
    with db.connect(settings, autocommit=True) as connection:
        connection.execute(ADD)
        assert embed(connection, texts={"red shoe": "3", "hat": "5"}) == 40
    yield settings
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(named(name))))


@pytest.fixture
def connection(shop: Settings) -> Iterator[Connection]:
    with db.connect(shop, autocommit=True) as connected:
        yield connected


def test_searches_in_python_and_sql(connection: Connection) -> None:
    assert search(connection, "red shoe", filters=Filters(category="shoes"))[0].product_id == "3"
    assert connection.execute("SELECT product_id FROM imgsearch.search('hat') LIMIT 1").fetchone() == ("5",)
    vector = [1.0] + [0.0] * 47
    assert len(search(connection, vector)) == 10
    assert connection.execute("SELECT count(*) FROM imgsearch.explain_search('hat')").fetchone() != (0,)


ORDERS = (
    "imgsearch.distance(embedding, 'hat')",
    "imgsearch.distance(embedding, imgsearch.vec('hat'))",
    "embedding OPERATOR(extensions.<=>) imgsearch.vec('hat')",
)


@pytest.mark.parametrize("order", ORDERS)
def test_plain_sql_that_names_its_distance_in_full_is_answered_by_the_index(
    connection: Connection, order: LiteralString
) -> None:
    by = SQL(order)
    found = connection.execute(SQL("SELECT product_id FROM imgsearch.images ORDER BY {} LIMIT 1").format(by)).fetchone()
    assert found == ("5",)
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL enable_seqscan = off")
        connection.execute("SET LOCAL enable_sort = off")
        explained = SQL("EXPLAIN SELECT image_id FROM imgsearch.vectors ORDER BY {} LIMIT 1").format(by)
        plan = "\n".join(line for (line,) in connection.execute(explained))
        assert "_hnsw" in plan, plan


@pytest.mark.parametrize("per", [None, Image.product_id])
@pytest.mark.parametrize("limit", [3, 900])
def test_nearest_of_a_select_of_ones_own(shop: Settings, per: Any, limit: int) -> None:
    engine = db.engine(shop)
    with Session(engine) as session:
        rows = session.execute(nearest(select(Image.product_id), "hat", limit=limit, per=per)).all()
        assert rows[0].product_id == "5"
        rows = session.execute(nearest(select(Image.product_id), [1.0] + [0.0] * 47, limit=limit, per=per)).all()
        assert len(rows) == min(limit, 40)
    engine.dispose()


def test_upkeep(shop: Settings, connection: Connection) -> None:
    assert [f.check_name for f in doctor.examine(connection) if f.check_name == "no HNSW"] == []
    assert maintenance.reindex(shop, everything=True)
    assert maintenance.promote(connection, "size", "number") == "attribute_size"
    assert min(shape.recall for shape in tuning.measure(connection, seconds=5)) > 0.9
    assert "walked" in maintenance.prewarm(connection, seconds=1)
    assert search(connection, "hat", filters=Filters(attributes={"size": 5}))[0].product_id == "5"
    assert schema.upgrade(shop) == schema.head()
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('acme', 'new', 'https://x.example/n')"
    )
    assert embed(connection) == 1
    assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []
