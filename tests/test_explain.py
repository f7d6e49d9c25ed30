"""Explaining a search: every way of answering is named with its reason and its cost, and so is what slows it down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import FilterError, UsageError
from imgsearch.query import ImageId
from imgsearch.retrieval import explain, nearest
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space, ensure
from imgsearch.sqlalchemy.models import Image
from tests.crowd import crowd
from tests.shop import database

Connection = psycopg.Connection[Any]
# Believed to be many, pictures are worth a walk over the graph.
MANY = "UPDATE imgsearch.space SET parameters = jsonb_set(parameters, '{sample,pictures}', '4000000')"


@pytest.fixture(scope="module")
def settings(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    with database(servers, template) as made:
        yield made


@pytest.fixture(scope="module")
def connection(settings: Settings) -> Iterator[Connection]:
    with db.connect(settings, autocommit=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def space(connection: Connection) -> Space:
    made = ensure(connection, FakeEncoder().describe())
    connection.execute('UPDATE imgsearch.space SET parameters = \'{"search": {"ef": 60}}\'')
    crowd(connection, made, 4000)
    return made


@pytest.fixture
def like(connection: Connection, space: Space) -> ImageId:
    row = connection.execute(
        "SELECT image_id FROM imgsearch.images WHERE category = 'shoes' AND tenant_id = 'coop' LIMIT 1"
    ).fetchone()
    assert row is not None
    return ImageId(row[0])


def said(lines: list[str], *wanted: str) -> bool:
    return all(any(w in line for line in lines) for w in wanted)


def figures(
    connection: Connection, like: ImageId, k: int = 10, per: str = "product", **filters: Any
) -> dict[str, dict[str, Any]]:
    """Return what explain_search() tells programs: {subject: figures}."""
    rows = connection.execute(
        "SELECT subject, figures"
        " FROM imgsearch.explain_search(imgsearch.vec_of(%s), imgsearch.filters_of(%s), k => %s,"
        " ranking => imgsearch.ranking_of(%s))",
        (like.image_id, json.dumps(filters), k, json.dumps({"per": per})),
    ).fetchall()
    return dict(rows)


def test_a_walk_over_the_graph_is_told(connection: Connection, like: ImageId) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute(MANY)
        told, lines = figures(connection, like), explain(connection, like)
    assert told["found"]["strategy"] == "hnsw"
    assert (told["found"]["rows"], told["found"]["matches"], told["found"]["more"]) == (10, 10, True)
    assert 60 <= told["way"]["ef"] <= 1000
    assert told["share"]["share"] == 1
    assert "reason" not in told
    assert said(lines, "found by hnsw", "walked the graph to the nearest", "Touched ", "pages of 8 kB"), lines


@pytest.mark.parametrize(
    ("filters", "arm", "reason"),
    [
        ({"tenant": "coop"}, "exact", "few"),
        ({"max_price": 1.0001}, "exact", "few"),
        ({"max_price": 1.0001, "created_before": "2100-01-01T00:00:00Z"}, "exact", "rare"),
        ({"k": 900}, "bits", "deep"),
        ({"category": ["lamps"]}, "exact", "dear"),
    ],
)
def test_each_reason_not_to_walk_is_told(
    connection: Connection, like: ImageId, filters: dict[str, Any], arm: str, reason: str
) -> None:
    told = figures(connection, like, **filters)
    assert told["found"]["strategy"] == arm
    assert told["reason"]["reason"] == reason
    where = {name: value for name, value in filters.items() if name != "k"}
    true = connection.execute(
        "SELECT count(*) FROM imgsearch.images WHERE (%(tenant)s::text IS NULL OR tenant_id = %(tenant)s)"
        " AND (%(max_price)s::float8 IS NULL OR price <= %(max_price)s)"
        " AND (%(category)s::text[] IS NULL OR category = ANY (%(category)s))",
        dict.fromkeys(("tenant", "max_price", "category")) | where,
    ).fetchone()
    assert true is not None
    if not told["found"]["more"]:
        assert told["found"]["matches"] == true[0]
    if reason in {"rare", "dear"}:
        assert told["share"]["share"] == pytest.approx(true[0] / 4000, abs=0.1)
    assert said(explain(connection, like, **filters), "Why not by the HNSW"), filters


def test_a_walk_that_found_too_few_is_told(connection: Connection, like: ImageId) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute(MANY)  # lamps lie nowhere near shoes
        # Of pictures: a walk for products goes on, here past all of 4,000.
        told = figures(connection, like, per="image", category=["lamps"])
    assert (told["found"]["strategy"], told["reason"]["reason"]) == ("exact", "tried")
    assert told["reason"]["ef"] >= 60


def test_an_attribute_that_should_be_a_column_is_named(connection: Connection, like: ImageId) -> None:
    assert figures(connection, like, tenant="coop", attributes={"size": 11})["promote"] == {"attribute": "size"}
    lines = explain(connection, like, tenant="coop", attributes={"size": 11})
    assert said(lines, "imgsearch index promote size"), lines


def test_an_index_that_is_missing_is_named(connection: Connection, like: ImageId) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute("DROP INDEX imgsearch.embedding_1_hnsw")
        told, lines = figures(connection, like), explain(connection, like)
    assert told["reason"]["reason"] == "absent"
    assert told["doctor"] == {"check": "no HNSW"}
    assert said(lines, "imgsearch index build"), lines


def test_sql_explains_a_text(connection: Connection) -> None:
    with pytest.raises(psycopg.Error, match="a word"):
        connection.execute("SELECT * FROM imgsearch.explain_search('a word', imgsearch.filters_of('{}'))")


def test_explaining_what_cannot_be_searched_is_refused(connection: Connection, like: ImageId) -> None:
    with pytest.raises(FilterError):
        explain(connection, like, k=0)


def test_a_reader_behind_the_wall_may_ask(settings: Settings, like: ImageId) -> None:
    with db.connect(settings) as reader:
        reader.execute("SET ROLE imgsearch_reader")
        reader.execute("SELECT set_config('imgsearch.tenant', 'coop', true)")
        assert said(explain(reader, like, tenant="coop"), "found by")


def test_a_select_of_ones_own_is_explained_from_its_plan(
    settings: Settings, connection: Connection, like: ImageId
) -> None:
    engine = db.engine(settings)
    with Session(engine) as session:
        lines = explain(session, nearest(select(Image), like, limit=5))
        assert said(lines, "5 rows in", "Touched "), lines
        others = select(Image).where(Image.tenant_id == "coop", Image.category == "lamps")
        assert said(explain(session, nearest(others, like, limit=5)), "The HNSW was not walked", "bits: ranked"), others
        plain = select(Image.image_id).order_by(Image.price).limit(3)
        assert said(explain(session, plain), "3 rows in", "The HNSW was not walked", "Read image"), plain
        with pytest.raises(UsageError, match="own filters"):
            explain(session, nearest(select(Image), like), tenant="acme")
    engine.dispose()
