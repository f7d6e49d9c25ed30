"""A space beside the active one is searched by the same search."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import sql as names

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import FilterError, ImgsearchError, QueryError
from imgsearch.query import ImageId
from imgsearch.retrieval import search
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space, ensure, vector_literal
from tests.processes import eventually
from tests.shop import Row, database, embed, fill

Connection = psycopg.Connection[Any]
MANY, OTHER = 400, 32  # pictures; dimensions of the other space


@pytest.fixture(scope="module")
def shop(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    """200 products of two pictures in two spaces that have nothing to do with each other."""
    with database(servers, template) as settings:
        with db.connect(settings, autocommit=True) as connection:
            first = ensure(connection, FakeEncoder().describe())
            rows = [
                Row(vector=v, product=f"p{n // 2}", category=("shoes", "hats")[n // 2 % 2], price=float(n % 50))
                for n, v in enumerate(drawn(FakeEncoder.dimension))
            ]
            ids = fill(connection, first, rows)
            other = make(connection, "dino")
            shas = dict(connection.execute("SELECT image_id, sha256 FROM imgsearch.image").fetchall())
            with connection.cursor() as cursor:
                embed(cursor, other, [("acme", i, shas[i], v) for i, v in zip(ids, drawn(OTHER), strict=True)])
            connection.execute("SELECT imgsearch.refresh_sample()")
            connection.execute("SELECT imgsearch_internal.write_engines()")
        yield settings


@pytest.fixture
def connection(shop: Settings) -> Iterator[Connection]:
    with db.connect(shop, autocommit=True) as connected:
        yield connected


def drawn(dimension: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(dimension).normal(size=(MANY, dimension)).astype(np.float32)


def make(connection: Connection, name: str) -> Space:
    values = (name, name[0] * 64, OTHER, vector_literal([0.0] * OTHER), name)
    row = connection.execute(
        "SELECT imgsearch.add_space(%s, '', %s, %s, 'x', %s, name => %s, indexes => true)", values
    ).fetchone()
    assert row is not None
    first = ensure(connection, FakeEncoder().describe())
    return Space(**{**vars(first), "space_id": row[0], "dimension": OTHER, "name": name})


def by_hand(connection: Connection, space_id: int, query: Any, **where: Any) -> list[tuple[str, float]]:
    """Return (product, distance), nearest first, of what matches."""
    rows = connection.execute(
        names.SQL(
            "SELECT i.product_id, min(e.embedding <=> %s::halfvec) AS d FROM {} e JOIN imgsearch.image i "
            "USING (tenant_id, image_id) WHERE i.category = coalesce(%s, i.category) "
            "AND i.price <= coalesce(%s, i.price) GROUP BY 1 ORDER BY 2"
        ).format(names.Identifier("imgsearch", f"embedding_{space_id}")),
        (vector_literal(query), where.get("category"), where.get("max_price")),
    )
    return [(row[0], row[1]) for row in rows.fetchall()]


@pytest.mark.parametrize("filters", [{}, {"category": "shoes"}, {"category": "hats", "max_price": 10.0}])
def test_another_space_answers_what_its_vectors_say(connection: Connection, filters: dict[str, Any]) -> None:
    for n in (3, 40, 101):
        found = search(connection, ImageId(ids(connection)[n]), space="dino", k=15, **filters)
        wanted = by_hand(connection, 2, drawn(OTHER)[n], **filters)[:15]
        assert [hit.product_id for hit in found] == [name for name, _ in wanted]
        assert [hit.distance for hit in found] == pytest.approx([d for _, d in wanted], abs=2e-3)
        assert found[0].pictures == 2


def ids(connection: Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT image_id FROM imgsearch.image ORDER BY 1").fetchall()]


def test_pages_of_another_space_follow_one_another(connection: Connection) -> None:
    asked = ImageId(ids(connection)[9])
    wanted = [name for name, _ in by_hand(connection, 2, drawn(OTHER)[9])]
    seen: list[Any] = []
    after = None
    while page := search(connection, asked, space="dino", k=37, after=after):
        seen += page
        after = page.after
    assert sorted(hit.product_id for hit in seen) == sorted(wanted)
    assert [hit.distance for hit in seen] == sorted(hit.distance for hit in seen)
    with pytest.raises(FilterError, match="another question"):
        search(connection, asked, k=5, after=search(connection, asked, space="dino", k=5).after)


def test_the_active_space_by_its_name_is_the_active_space(connection: Connection) -> None:
    row = connection.execute("SELECT name FROM imgsearch.space WHERE state = 'active'").fetchone()
    assert row is not None
    asked = ImageId(ids(connection)[5])
    named, plain = search(connection, asked, space=row[0]), search(connection, asked)
    assert [(h.image_id, h.distance) for h in named] == [(h.image_id, h.distance) for h in plain]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"space": "nine"}, "no space 'nine'"),
        ({"space": "1,dino"}, "no space '1,dino'"),
        ({"space": ""}, "no space ''"),
    ],
)
def test_what_makes_no_sense_is_refused(connection: Connection, named: dict[str, Any], said: str) -> None:
    with pytest.raises(ImgsearchError, match=said):
        search(connection, ImageId(ids(connection)[0]), **named)


def test_a_vector_belongs_to_one_space(connection: Connection) -> None:
    vector = vector_literal(drawn(OTHER)[4])
    rows = connection.execute(
        "SELECT product_id FROM imgsearch.search(%s::halfvec, space => 'dino', k => 5)", (vector,)
    ).fetchall()
    assert [row[0] for row in rows] == [name for name, _ in by_hand(connection, 2, drawn(OTHER)[4])[:5]]


def test_a_text_is_asked_of_each_model(connection: Connection) -> None:
    with pytest.raises(psycopg.Error, match="no embedding is cached for the text"):
        connection.execute("SELECT * FROM imgsearch.search('red shoe', space => 'dino')")
    for space, dimension in ((1, FakeEncoder.dimension), (2, OTHER)):
        connection.execute(
            "INSERT INTO imgsearch.query_vector (tenant_id, space_id, kind, key, embedding, answered_at) "
            "VALUES ('', %s, 'text', sha256('red shoe'), %s, now())",
            (space, vector_literal(drawn(dimension)[7])),
        )
    rows = connection.execute("SELECT product_id FROM imgsearch.search('red shoe', space => 'dino', k => 4)").fetchall()
    assert [row[0] for row in rows] == [name for name, _ in by_hand(connection, 2, drawn(OTHER)[7])[:4]]


def test_it_is_explained(connection: Connection) -> None:
    rows = connection.execute(
        "SELECT subject, figures FROM imgsearch.explain_search(imgsearch.vec_of(%s, NULL, 'dino'), "
        'imgsearch.filters_of(\'{"category": "shoes"}\'), ranking => imgsearch.ranking_of(\'{"space": "dino"}\'))',
        (ids(connection)[3],),
    ).fetchall()
    assert dict(rows)["found"]["rows"] == 10


def test_walls_stand_in_every_space(shop: Settings, connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL ROLE imgsearch_reader")
        connection.execute("SELECT set_config('imgsearch.tenant', 'nobody', true)")
        assert connection.execute("SELECT count(*) FROM imgsearch_space_2.vectors").fetchone() == (0,)
        found = connection.execute(
            "SELECT count(*) FROM imgsearch.search(%s::halfvec, space => 'dino')", (vector_literal(drawn(OTHER)[4]),)
        ).fetchone()
        assert found == (0,)
        connection.execute("SELECT set_config('imgsearch.tenant', 'acme', true)")
        found = connection.execute(
            "SELECT count(*) FROM imgsearch.search(%s::halfvec, space => 'dino')", (vector_literal(drawn(OTHER)[4]),)
        ).fetchone()
        assert found == (10,)


def test_a_space_that_is_not_full_is_not_searched(connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        make(connection, "empty")
        connection.execute("SELECT imgsearch_internal.write_engines()")
        with pytest.raises(ImgsearchError, match="'empty' cannot be searched yet"), connection.transaction():
            search(connection, [1.0] * OTHER, space="empty")
        # nobody is waited for: its query worker may not even run
        refused = pytest.raises(ImgsearchError, match=r"'empty' cannot be searched yet.*space fill empty")
        with refused, connection.transaction():
            search(connection, "red shoe", space="empty")


def test_it_survives_activation_rollback_and_an_upgrade(connection: Connection, shop: Settings) -> None:
    from imgsearch import schema

    asked = ImageId(ids(connection)[3])
    both = {one: [h.product_id for h in search(connection, asked, space=one)] for one in ("1", "dino")}
    written = connection.execute("SELECT to_regclass('imgsearch_space_2.vectors')::oid").fetchone()
    connection.execute("SELECT imgsearch.activate_space('dino')")
    assert [h.product_id for h in search(connection, asked)] == both["dino"]
    unchanged = connection.execute("SELECT to_regclass('imgsearch_space_2.vectors')::oid").fetchone()
    assert unchanged == written, "nobody who searches there is in the way of an activation"
    assert [h.product_id for h in search(connection, asked, space="1")] == both["1"]
    connection.execute("SELECT imgsearch.rollback_space()")
    connection.execute("UPDATE imgsearch.schema_version SET digest = 'of another day' WHERE step = 'functions'")
    schema.upgrade(shop)
    assert {one: [h.product_id for h in search(connection, asked, space=one)] for one in ("1", "dino")} == both
    assert json.dumps(both)
    with pytest.raises(QueryError):
        search(connection, "")


def test_a_space_with_a_vector_of_other_bytes_takes_nothing_over(connection: Connection) -> None:
    """Such a picture would be found by what it was once."""
    with connection.transaction(force_rollback=True):
        connection.execute("UPDATE imgsearch.embedding_2 SET sha256 = '\\x00' WHERE image_id = 7")
        with pytest.raises(psycopg.Error, match="is not full: 1 images") as refused:
            connection.execute("SELECT imgsearch.activate_space('dino')")
        assert refused.value.sqlstate == "IM025"


def test_what_is_lost_while_an_activation_waits_refuses_it(shop: Settings, connection: Connection) -> None:
    """Whoever delivers holds the searched space's row; what he did is looked at when he has ended."""
    put = "INSERT INTO imgsearch.embedding_2 (image_id, tenant_id, sha256, embedding) VALUES (%s, %s, %s, %s::halfvec)"
    gone = "DELETE FROM imgsearch.embedding_2 WHERE image_id = 9 RETURNING image_id, tenant_id, sha256, embedding::text"
    looks = db.connect(shop, autocommit=True)
    with db.connect(shop) as writer, looks, ThreadPoolExecutor(1) as thread:
        writer.execute("SELECT 1 FROM imgsearch.space WHERE state = 'active' FOR KEY SHARE")
        [row] = writer.execute(gone).fetchall()
        activated = thread.submit(connection.execute, "SELECT imgsearch.activate_space('dino')")
        waits = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
        eventually(lambda: looks.execute(waits, (connection.info.backend_pid,)).fetchone() == (True,), seconds=20)
        writer.commit()
        try:
            with pytest.raises(psycopg.Error, match="is not full: 1 images"):
                activated.result(20)
        finally:
            writer.execute(put, row)
    assert connection.execute("SELECT name FROM imgsearch.space WHERE state = 'active'").fetchone() != ("dino",)
