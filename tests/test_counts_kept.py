"""Counts that are kept are those that would be counted, whoever writes; sampled ones are within their error."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from imgsearch import Filters, db, facets
from imgsearch.db import sql
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.ingest import upload
from imgsearch.query.memory import database_of
from imgsearch.retrieval.counting import Counting
from imgsearch.settings import Settings
from imgsearch.spaces.space import ensure
from imgsearch.storage import open_store
from tests.loops import activate_another
from tests.shop import Row, database, fill

Connection = psycopg.Connection[Any]
TENANTS = ("acme", "bolt")
ASKED = (Filters(), Filters(tenant="acme"), Filters(tenant="bolt", max_price=50), Filters(attributes={"colour": "red"}))
WRITES = (
    "UPDATE imgsearch.image SET price = price + %(n)s WHERE tenant_id = %(tenant)s AND image_id %% 7 = %(n)s %% 7",
    "UPDATE imgsearch.image SET category = 'bags' WHERE tenant_id = %(tenant)s AND image_id %% 9 = %(n)s %% 9",
    'UPDATE imgsearch.image SET attributes = \'{"colour": "blue"}\' WHERE image_id %% 11 = %(n)s %% 11',
    "DELETE FROM imgsearch.image WHERE image_id %% 40 = %(n)s %% 40",
    "UPDATE imgsearch.image SET in_stock = NOT in_stock WHERE tenant_id = 'nobody'",
    "SELECT imgsearch_internal.fold_changes()",
    (
        "SET LOCAL session_replication_role = replica; UPDATE imgsearch.image SET in_stock = NOT in_stock; "
        "SET LOCAL session_replication_role = origin"
    ),
)


@pytest.fixture
def shop(connection: Connection, settings: Settings) -> Connection:
    space = ensure(connection, FakeEncoder().describe())
    fill(connection, space, [row(n) for n in range(90)])
    return connection


def row(n: int) -> Row:
    vector = [1.0, n / 100, *[0.0] * 46]
    colour = {"colour": ("red", "green")[n % 2]}
    return Row(vector=vector, tenant=TENANTS[n % 2], category=("shoes", None)[n % 3 > 1], price=n, attributes=colour)


def counted(connection: Connection, asked: Filters) -> list[tuple[Any, ...]]:
    """Count anew, past whatever is kept."""
    rows = connection.execute("SELECT * FROM imgsearch.facets(imgsearch.filters_of(%s))", [asked.as_json()])
    return sorted(rows.fetchall(), key=str)


def kept(connection: Connection, asked: Filters) -> list[tuple[Any, ...]]:
    found = facets(connection, filters=asked)
    return sorted(((*vars(one).values(),) for one in found), key=str)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_kept_is_what_is_counted_whoever_writes(shop: Connection, settings: Settings, seed: int) -> None:
    """Writers whose transactions overlap, end in any order, or come to nothing; a folder of marks among them."""
    draw = random.Random(seed)
    with db.connect(settings) as one, db.connect(settings) as other:
        for connection in (one, other):
            connection.execute("SET lock_timeout = '50ms'")
            connection.commit()
        for step in range(60):
            writer = draw.choice((one, other))
            values = {"n": draw.randrange(40), "tenant": draw.choice(TENANTS)}
            try:
                with writer.transaction(force_rollback=draw.random() < 0.2):  # a savepoint where something is open
                    for part in draw.choice(WRITES).split("; "):
                        writer.execute(part.encode(), values if "%" in part else None)
                if draw.random() < 0.2:
                    fill(writer, ensure(writer, FakeEncoder().describe()), [row(draw.randrange(90))], first=1000 + step)
            except psycopg.errors.LockNotAvailable:
                writer.rollback()
            match draw.randrange(3):
                case 0:
                    writer.commit()
                case 1:
                    writer.rollback()
            for asker in (shop, writer):
                asked = draw.choice(ASKED)
                assert kept(asker, asked) == counted(asker, asked)


def is_kept(connection: Connection, asked: Filters) -> bool:
    """Ask, and return whether the database could leave out counting."""
    values = {"filters": asked.as_json(), "per": "product", "prices": None, "names": None, "exact": False}
    counting = Counting(database_of(connection), values)
    counting.rows(sql.rows(connection, "search", "facets", counting.values))
    return not counting.counted


def test_counts_are_kept_until_the_tenants_images_change(shop: Connection, settings: Settings) -> None:
    acme, everybody = Filters(tenant="acme"), Filters()
    assert [is_kept(shop, acme) for _ in range(2)] == [False, True]
    assert [is_kept(shop, everybody) for _ in range(2)] == [False, True]
    shop.execute("UPDATE imgsearch.image SET price = 1 WHERE tenant_id = 'bolt'")
    assert is_kept(shop, acme), "another tenant's"
    assert not is_kept(shop, everybody)
    with db.connect(settings) as writer:
        writer.execute("UPDATE imgsearch.image SET price = 2 WHERE tenant_id = 'acme'")
        assert not is_kept(writer, acme), "who writes sees what nobody else does"
        assert is_kept(shop, acme), "not committed yet"
        writer.commit()
    assert [is_kept(shop, acme) for _ in range(2)] == [False, True]
    activate_another(shop)
    assert not is_kept(shop, acme)
    assert [is_kept(shop, acme) for _ in range(2)] == [True, True]
    shop.execute("TRUNCATE imgsearch.image CASCADE")
    assert not is_kept(shop, acme)
    shop.execute("ALTER TABLE imgsearch.image DISABLE TRIGGER image_counted_updated")
    assert [is_kept(shop, acme) for _ in range(2)] == [False, False]


def test_a_tenant_that_is_forgotten_is_counted_no_more(shop: Connection, settings: Settings) -> None:
    """Its marks go, so their sum could be what it was before: images of the release before had none."""
    shop.execute("DELETE FROM imgsearch.image_change")
    for asked in (Filters(), Filters(tenant="acme")):
        kept(shop, asked)
    shop.execute("UPDATE imgsearch.image SET price = 1 WHERE tenant_id = 'bolt'")
    before = kept(shop, Filters())
    shop.execute("UPDATE imgsearch.image SET price = 1 WHERE tenant_id = 'acme'")
    upload.forget(shop, tenant="acme", store=open_store(settings.storage_url))
    assert kept(shop, Filters(tenant="acme")) == counted(shop, Filters(tenant="acme"))
    assert kept(shop, Filters()) == counted(shop, Filters()) != before
    assert shop.execute("SELECT count(*) FROM imgsearch.image_change WHERE tenant_id = 'acme'").fetchone() == (0,)


@pytest.mark.parametrize(
    "asked",
    [
        Filters(duplicates=False),
        Filters(near=(48.1, 11.6, 10)),
        Filters(taken_after=datetime(2026, 1, 1, tzinfo=UTC)),
        Filters(taken_before=datetime(2026, 1, 1, tzinfo=UTC)),
        Filters(condition={"near": [48, 11, 5]}),
        Filters(condition={"any": [{"in_stock": True}, {"not": {"all": [{"taken_at": {"exists": True}}]}}]}),
    ],
)
def test_nothing_is_kept_of_filters_on_other_tables(shop: Connection, asked: Filters) -> None:
    assert not any(is_kept(shop, asked) for _ in range(3))


def test_an_attribute_of_such_a_name_is_none(shop: Connection) -> None:
    assert [is_kept(shop, Filters(condition={"attributes.near": "near"})) for _ in range(2)] == [False, True]


def test_nothing_is_kept_where_a_policy_of_the_shop_hides_images(shop: Connection) -> None:
    """It may hide others in each session, and nobody can tell by what."""
    shop.execute("CREATE POLICY drafts ON imgsearch.image USING (category = current_setting('shop.shelf', true))")
    assert not any(is_kept(shop, Filters(tenant="acme")) for _ in range(3))
    shop.execute("DROP POLICY drafts ON imgsearch.image")
    assert [is_kept(shop, Filters(tenant="acme")) for _ in range(2)] == [False, True]


def test_writers_do_not_wait_for_one_another(shop: Connection, settings: Settings) -> None:
    with db.connect(settings) as one, db.connect(settings) as other:
        other.execute("SET lock_timeout = '2s'")
        one.execute("UPDATE imgsearch.image SET price = 1 WHERE tenant_id = 'acme' AND image_id % 4 < 2")
        other.execute("UPDATE imgsearch.image SET price = 1 WHERE tenant_id = 'acme' AND image_id % 4 > 1")
        other.commit()
        one.commit()


@pytest.fixture(scope="module")
def many(servers: embedded.Servers, template: str) -> Iterator[Connection]:
    """6,000 pictures of 2,500 products, some of many pictures, as if they were 200,000."""
    with database(servers, template) as settings, db.connect(settings, autocommit=True) as connection:
        space = ensure(connection, FakeEncoder().describe())
        connection.execute(
            f"""INSERT INTO imgsearch.image
                (tenant_id, product_id, position, category, price, attributes, uri, bits_{space.space_id})
            SELECT 'shop ' || p % 7, 'product ' || p, n, 'category ' || floor(40 * (p % 101 / 101.0) ^ 3), p % 400,
                   jsonb_build_object('size', (p + n) % 10, 'rare', p * p % 11), 'store:' || p || n,
                   repeat('0', {space.dimension})::bit({space.dimension})
            FROM generate_series(1, 2500) p, LATERAL generate_series(1, 1 + p % 5 * (p % 3)) n""".encode()  # noqa: S608
        )
        connection.execute("SELECT imgsearch.refresh_sample()")
        connection.execute(
            "UPDATE imgsearch.space SET parameters = jsonb_set(parameters, '{sample,pictures}', '200000')"
        )
        yield connection


@pytest.mark.parametrize("per", ["product", "image"])
def test_a_sampled_count_is_within_its_error(many: Connection, per: str) -> None:
    """Of some hundred counts 95 in 100 at least; which products are drawn hangs on their names: no matter of luck."""
    asks = """SELECT facet, name, value, low, count, approximate, error
    FROM imgsearch.facets(NULL, 300, %s, attributes => '{size, rare}', exact => %s)"""
    exact = {found[:4]: found[4] for found in many.execute(asks, (per, True)).fetchall()}
    rows = many.execute(asks, (per, False)).fetchall()
    sampled = [row for row in rows if row[5]]
    within = [abs(count - exact.get(tuple(which), 0)) <= error for *which, count, _, error in sampled]
    assert len(within) > (12 if per == "image" else 60)
    assert sum(within) / len(within) >= 0.95
    assert all(error == 0 for *_, about, error in rows if not about)
    tight = [error / count for facet, *_, count, _, error in sampled if facet in ("matches", "images")]
    assert all(one < 0.2 for one in tight), "an error that is no help is none"
