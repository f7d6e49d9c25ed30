"""What lies at the edge of filters and pages: nulls, foreign ids, tiny numbers, times without a zone, empty pages."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
import psycopg
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from imgsearch import Filters, Image, db, explain, nearest, search
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import FilterError, UsageError
from imgsearch.retrieval.filters import merged
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space, ensure
from tests.processes import eventually
from tests.shop import Row, database, digest, embed, fill

Connection = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def settings(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    with database(servers, template) as made:
        yield made


@pytest.fixture(scope="module")
def space(settings: Settings) -> Space:
    with db.connect(settings, autocommit=True) as connection:
        made = ensure(connection, FakeEncoder().describe())
        rng = np.random.default_rng(3)
        rows = [
            Row(
                vector=rng.normal(size=made.dimension).tolist(),
                tenant="acme" if n < 700 else "beta",
                price=float(n % 100),
                attributes={"colour": ["red", "blue"][n % 2]},
            )
            for n in range(800)
        ]
        fill(connection, made, rows)
        connection.execute("SELECT imgsearch.refresh_sample()")
        return made


@pytest.fixture
def connection(settings: Settings, space: Space) -> Iterator[Connection]:
    with db.connect(settings, autocommit=True) as opened:
        yield opened


def vector(connection: Connection, image_id: int) -> list[float]:
    row = connection.execute("SELECT imgsearch.vec_of(%s)::text", (image_id,)).fetchone()
    assert row is not None
    return [float(number) for number in json.loads(row[0])]


def test_nobody_behind_the_wall_chooses_an_id(settings: Settings, connection: Connection) -> None:
    with db.connect(settings) as writer:
        writer.execute("SET ROLE imgsearch_writer")
        writer.execute("SELECT set_config('imgsearch.tenant', 'beta', true)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            writer.execute(
                "INSERT INTO imgsearch.image (tenant_id, image_id, product_id, uri) OVERRIDING SYSTEM VALUE"
                " VALUES ('beta', 1, 'intruder', 'store:x')"
            )
        writer.rollback()
        writer.execute("SET ROLE imgsearch_writer")
        writer.execute("SELECT set_config('imgsearch.tenant', 'beta', true)")
        made = writer.execute(
            "INSERT INTO imgsearch.image (tenant_id, product_id, uri)"
            " VALUES ('beta', 'own', 'store:x') RETURNING image_id"
        ).fetchone()
        assert made is not None
        writer.rollback()


def test_an_image_of_the_same_id_elsewhere_is_in_nobody_elses_answer(connection: Connection, space: Space) -> None:
    with connection.transaction(force_rollback=True):
        near = vector(connection, 1)
        connection.execute(
            "INSERT INTO imgsearch.image (tenant_id, image_id, product_id, uri, price, sha256) OVERRIDING SYSTEM VALUE"
            " VALUES ('beta', 1, 'intruder', 'store:x', 999, %s)",
            (digest(5000),),
        )
        with connection.cursor() as cursor:
            embed(cursor, space, [("beta", 1, digest(5000), near)])
        hits = search(connection, near, tenant="acme", max_price=50, k=5)
        assert {hit.tenant_id for hit in hits} == {"acme"}
        assert len(hits) == 5


@pytest.mark.parametrize("filters", [{"exclude_product_ids": ["p1", None]}, {"exclude_image_ids": [1, None]}])
def test_a_null_in_a_list_of_exclusions_is_refused(connection: Connection, filters: dict[str, Any]) -> None:
    with pytest.raises(FilterError, match="null"):
        search(connection, vector(connection, 1), filters=Filters(**filters))


def test_a_promoted_number_may_be_tiny_huge_or_no_number(connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute("SELECT imgsearch.promote_attribute('weight', 'number')")
        for weight in ("1e-400", "1e400", "0", "-3", "null", '"heavy"'):
            connection.execute(
                "INSERT INTO imgsearch.image (tenant_id, product_id, uri, attributes)"
                " VALUES ('acme', %s, 'store:x', %s)",
                (f"w{weight}", f'{{"weight": {weight}}}'),
            )
            connection.execute(
                "SELECT * FROM imgsearch.search(imgsearch.vec_of(1), attributes => %s)", (f'{{"weight": {weight}}}',)
            )
        with pytest.raises(psycopg.Error, match="promoted as number already"), connection.transaction():
            connection.execute("SELECT imgsearch.promote_attribute('weight', 'text')")
        with pytest.raises(psycopg.Error, match="cannot be promoted"), connection.transaction():
            connection.execute("SELECT imgsearch.promote_attribute('size', NULL)")


def test_a_session_without_a_search_path_can_search(settings: Settings, connection: Connection) -> None:
    near = vector(connection, 1)
    with db.connect(settings, autocommit=True) as bare:
        bare.execute("SET search_path = ''")
        found = bare.execute("SELECT image_id FROM imgsearch.search(imgsearch.vec_of(1), k => 3)").fetchall()
        assert [row[0] for row in found] == [hit.image_id for hit in search(connection, near, k=3)]
        assert bare.execute("SELECT imgsearch.refresh_sample()").fetchone() == (True,)


def test_matches_are_counted_also_where_the_page_is_empty(connection: Connection) -> None:
    near = vector(connection, 1)
    assert search(connection, near, tenant="beta", skip=200).matches == 100
    assert search(connection, near, tenant="beta", max_distance=-1.0).matches == 100
    assert search(connection, near, skip=1001).matches == 800


def test_a_deep_page_is_explained_without_holes(connection: Connection) -> None:
    lines = explain(connection, vector(connection, 1), k=5, skip=1001)
    assert any("0 of 800" in line for line in lines), lines
    assert not any("  " in line for line in lines), lines


@pytest.mark.parametrize("after", ["1e999,5", "0.1e-400,5", "x", "0.5", "0.5,99999999999999999999"])
def test_an_after_that_no_page_gave_is_refused(connection: Connection, after: str) -> None:
    with pytest.raises(FilterError, match="after"):
        search(connection, vector(connection, 1), after=after)


def test_numbers_too_large_are_refused_by_name(connection: Connection) -> None:
    with pytest.raises(psycopg.Error, match="price max 1"):
        connection.execute(
            """SELECT * FROM imgsearch.search(imgsearch.vec_of(1), condition => '{"price": {"max": 1e400}}')"""
        )
    with pytest.raises(UsageError, match="offset"):
        nearest(select(Image), "red", offset=2**31)


def test_python_values_mean_what_they_say(connection: Connection) -> None:
    assert json.loads(Filters(exclude_image_ids=[np.int64(2)]).as_json()) == {"exclude_image_ids": [2]}  # type: ignore[list-item]
    assert merged(Filters(tenant="acme"), {"tenant": None}).tenant == "acme"
    assert merged(Filters(tenant="acme"), {"tenant": "beta"}).tenant == "beta"
    with pytest.raises(FilterError, match="time zone"):
        Filters(created_after=datetime(2026, 1, 1)).as_json()  # noqa: DTZ001
    for filters in ({"created_after": "2026-01-31"}, {"condition": {"created_at": {"above": "2026-01-31T00:00"}}}):
        with pytest.raises(psycopg.Error, match="time zone"):
            connection.execute(
                "SELECT * FROM imgsearch.browse_products(imgsearch.filters_of(%s))", (json.dumps(filters),)
            )


def test_attributes_of_few_are_counted_all_however_large_the_table_is(connection: Connection) -> None:
    rows = connection.execute(
        """SELECT value, count, approximate FROM imgsearch.facets(imgsearch.filters_of('{"tenant": "beta"}'), 40)
           WHERE facet = 'attribute' ORDER BY value"""
    ).fetchall()
    assert rows == [("blue", 50, False), ("red", 50, False)]


def test_nearest_and_search_agree_on_an_empty_page(settings: Settings, connection: Connection) -> None:
    with Session(db.engine(settings)) as session:
        near = vector(connection, 1)
        assert session.execute(nearest(select(Image.image_id), near, offset=900)).all() == []
        assert list(search(connection, near, skip=900)) == []


def test_a_sample_drawn_beside_a_change_of_model_is_of_the_new_space(
    settings: Settings, connection: Connection
) -> None:
    """refresh_sample() waits for an activation that is under way, and never leaves bits of the space before."""
    other = connection.execute(
        "SELECT imgsearch.add_space('other', '', 'f', 64, '1',"
        " (SELECT array_agg(0.1)::halfvec FROM generate_series(1, 64)))"
    ).fetchone()
    assert other is not None
    drawn: list[Any] = []

    def draw() -> None:
        with db.connect(settings, autocommit=True) as drawing:
            drawn.append(drawing.execute("SELECT imgsearch.refresh_sample()").fetchone())

    before = connection.execute("SELECT space_id FROM imgsearch.space WHERE state = 'active'").fetchone()
    assert before is not None
    thread = threading.Thread(target=draw)
    try:
        with db.connect(settings) as changing:
            changing.execute("SELECT imgsearch.activate_space(%s::text, true)", (other[0],))
            thread.start()
            eventually(
                lambda: connection.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%refresh_sample%'"
                ).fetchone()
            )
            changing.commit()
        thread.join()
        wrong = connection.execute("SELECT count(*) FROM imgsearch.image_sample WHERE length(bits) <> 64").fetchone()
        assert wrong == (0,)
    finally:
        thread.join()
        connection.execute("SELECT imgsearch.activate_space(%s::text, true)", before)
        connection.execute("SELECT imgsearch.refresh_sample()")


def test_a_large_first_page_is_ranked_by_bits_however_many_images_there_are(connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute(
            "UPDATE imgsearch.space SET parameters = jsonb_set(parameters, '{sample,pictures}', '50000000')"
            " WHERE state = 'active'"
        )
        found = connection.execute(
            "SELECT (c).pool FROM imgsearch_internal.search_context(imgsearch.vec_of(1), 1000, NULL, NULL) c"
        ).fetchone()
    assert found == (20_000,)
