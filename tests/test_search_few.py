"""Where few match, they are read out of one index: nothing is guessed, nothing planned, nothing is missed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from imgsearch import db
from imgsearch.settings import Settings
from tests import test_search_plans
from tests.test_search_plans import PICTURES, QUERY, believe

Connection = psycopg.Connection[Any]
planned = test_search_plans.settings  # 6,000 pictures: 60 of each whole price, 286 of a category of a tenant
FEWEST = 320  # so many an index may hold

NEAREST = """SELECT s.image_id FROM imgsearch.search(%(q)s::halfvec, tenant => %(tenant)s, category => %(category)s,
    min_price => %(low)s, max_price => %(high)s, in_stock => %(stock)s, per => %(per)s, after => %(after)s) s"""
EXACT = """SELECT d.image_id FROM (
    SELECT i.image_id, i.product_id, (i.embedding <=> %(q)s::halfvec) + 0 AS d FROM imgsearch.images i
    WHERE (%(tenant)s::text IS NULL OR i.tenant_id = %(tenant)s)
      AND (%(category)s::text IS NULL OR i.category = %(category)s OR %(category)s = ANY (i.categories))
      AND (%(low)s::float8 IS NULL OR i.price >= %(low)s) AND (%(high)s::float8 IS NULL OR i.price <= %(high)s)
      AND (%(stock)s::boolean IS NULL OR i.in_stock = %(stock)s)) d ORDER BY d.d, d.image_id"""
NOTHING = dict.fromkeys(("tenant", "category", "low", "high", "stock", "per", "after")) | {"q": str(QUERY)}


@pytest.fixture(scope="module")
def settings(planned: Settings) -> Settings:
    with db.connect(planned, autocommit=True) as owner:
        owner.execute("UPDATE imgsearch.image SET in_stock = image_id % 2 = 0")
        owner.execute("VACUUM ANALYZE imgsearch.image")
    return planned


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    believe(settings, PICTURES)
    with db.connect(settings, autocommit=True) as opened:
        yield opened


def rows_read(connection: Connection, table: str) -> int:
    """Return how many rows of a table this session has read and not yet told the statistics of."""
    row = connection.execute(
        """SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)
           FROM pg_stat_xact_user_tables WHERE schemaname = 'imgsearch' AND relname = %s""",
        [table],
    ).fetchone()
    return int(row[0]) if row else 0


def guessed(connection: Connection, **wanted: Any) -> bool:
    """Return whether a search reads the sample: whether it guesses how many match."""
    with connection.transaction():
        before = rows_read(connection, "image_sample")
        connection.execute(NEAREST.encode(), NOTHING | {"per": "image"} | wanted).fetchall()
        return rows_read(connection, "image_sample") > before


@pytest.mark.parametrize("per", ["image", "product"])
@pytest.mark.parametrize(
    ("wanted", "few"),
    [
        ({"low": 10, "high": 14}, True),  # 300
        ({"low": 10, "high": 15}, False),  # 360
        ({"low": 95}, True),
        ({"high": 4}, True),
        ({"high": 90}, False),
        ({"tenant": "tenant1", "category": "category3"}, True),  # 286
        ({"tenant": "tenant1", "category": "category3", "high": 50, "stock": True}, True),
        ({"low": 95, "stock": False}, True),
        ({"tenant": "tenant1", "high": 3}, True),  # 240 of all, a third of them this tenant's
        ({"category": "category3"}, False),  # 857
        ({"category": "category3", "high": 20}, False),  # read by its category
        ({"category": "nothing"}, True),
        ({"stock": True}, False),
    ],
)
def test_few_are_read_out_of_one_index_and_many_are_guessed(
    connection: Connection, wanted: dict[str, Any], few: bool, per: str
) -> None:
    assert guessed(connection, per=per, **wanted) is not few
    told = NEAREST.replace("s.image_id FROM", "s.image_id, s.matches FROM")
    found = connection.execute(told.encode(), NOTHING | {"per": per} | wanted).fetchall()
    exact = connection.execute(EXACT.encode(), NOTHING | wanted).fetchall()
    if few:  # a product has one picture here
        assert found == [(image, len(exact)) for (image,) in exact[:10]]


def test_several_categories_are_all_sought(connection: Connection) -> None:
    found = connection.execute(
        """SELECT DISTINCT i.category FROM imgsearch.image i
           JOIN imgsearch.search(%s::halfvec, tenant => 'tenant1', categories => '{category1,category2}', k => 100) s
           USING (image_id)""",
        [str(QUERY)],
    ).fetchall()
    assert sorted(found) == [("category1",), ("category2",)]


@pytest.mark.parametrize("more", [0, 1])
def test_exactly_so_many_are_few(connection: Connection, settings: Settings, more: int) -> None:
    with db.connect(settings, autocommit=True) as owner:
        owner.execute("UPDATE imgsearch.image SET price = 1000.5 WHERE image_id <= %s", [FEWEST + more])
    try:
        assert guessed(connection, low=1000) is bool(more)
    finally:
        with db.connect(settings, autocommit=True) as owner:
            owner.execute(
                "UPDATE imgsearch.image SET price = product_id::int %% 100 WHERE image_id <= %s", [FEWEST + more]
            )


def test_a_session_that_asked_for_few_reads_no_more_of_many(connection: Connection) -> None:
    """Planned for a range that it does not know, it stops at the limit: of 5,460 it reads 321."""
    keys = """SELECT cardinality((imgsearch_internal.few_keys(c.ctx, imgsearch_internal.filter_sql(
                  imgsearch.filters_of(jsonb_build_object('min_price', %s::float8, 'max_price', %s::float8))))).keys)
              FROM (SELECT imgsearch_internal.search_context(%s::halfvec, 10, NULL, NULL) AS ctx) c"""
    for low, high, expected in [(10, 11, 120), (0, 90, None), (10, 11, 120)] * 4:
        with connection.transaction():
            before = rows_read(connection, "image")
            assert connection.execute(keys.encode(), [low, high, str(QUERY)]).fetchone() == (expected,)
            assert rows_read(connection, "image") - before <= FEWEST + 1


def test_pages_behind_others_hold_what_is_left(connection: Connection) -> None:
    wanted = NOTHING | {"per": "image", "tenant": "tenant2", "category": "category5"}
    exact = connection.execute(EXACT.encode(), wanted).fetchall()
    found: list[Any] = []
    after = None
    for _ in range(40):
        page = connection.execute(
            NEAREST.replace("s.image_id FROM", "s.image_id, s.after_this FROM").encode(), wanted | {"after": after}
        ).fetchall()
        if not page:
            break
        found += [row[:1] for row in page]
        after = page[-1][1]
    assert found == exact


def test_a_picture_with_several_categories_is_found_among_few(connection: Connection, settings: Settings) -> None:
    change = "UPDATE imgsearch.image SET categories = %s WHERE tenant_id = 'tenant1' AND image_id = %s"
    picture = connection.execute("SELECT min(image_id) FROM imgsearch.image WHERE tenant_id = 'tenant1'").fetchone()
    assert picture is not None
    with db.connect(settings, autocommit=True) as owner:
        owner.execute(change.encode(), [["rare", "rarer"], picture[0]])
    try:
        for tenant in (None, "tenant1"):
            found = connection.execute(NEAREST.encode(), NOTHING | {"tenant": tenant, "category": "rare"}).fetchall()
            assert found == [picture]
    finally:
        with db.connect(settings, autocommit=True) as owner:
            owner.execute(change.encode(), [None, picture[0]])


def test_behind_a_wall_no_index_is_read_past_the_rows_of_others(settings: Settings) -> None:
    """A rare thing of one tenant would be sought through all that others have of it."""
    with db.connect(settings, autocommit=True) as reader:
        reader.execute("SET imgsearch.tenant = 'tenant1'")
        reader.execute("SET ROLE imgsearch_reader")
        believe(settings, PICTURES)
        assert guessed(reader, low=10, high=14)
        assert not guessed(reader, tenant="tenant1", category="category3")
        found = reader.execute(NEAREST.encode(), NOTHING | {"tenant": "tenant1", "category": "category3"}).fetchall()
        assert (
            found
            == reader.execute(EXACT.encode(), NOTHING | {"tenant": "tenant1", "category": "category3"}).fetchall()[:10]
        )
        assert (
            reader.execute(NEAREST.encode(), NOTHING | {"tenant": "tenant2", "category": "category3"}).fetchall() == []
        )
