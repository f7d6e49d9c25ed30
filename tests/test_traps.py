"""Whoever may create in public catches nothing of ours: overloads of what we call lie in wait there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

import imgsearch
from bench.soak import pictures
from imgsearch import Filters, Image, db, nearest, schema
from imgsearch.db import sql
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder, embed
from imgsearch.ingest import changes, queue
from imgsearch.ops import doctor, lifecycle, page_sessions
from imgsearch.settings import Settings
from imgsearch.spaces.space import ensure
from tests import given
from tests.shop import database
from tests.traps import plant

Connection = psycopg.Connection[Any]
FILTERS: dict[str, Any] = {"category": ["shoes"], "min_price": 1, "max_price": 60, "in_stock": True}


@pytest.fixture(scope="module")
def template(servers: embedded.Servers, template: str) -> Iterator[str]:
    """A small shop with the traps set: each work is done in a copy of it."""
    with database(servers, template) as shop:
        with db.connect(shop, autocommit=True) as connection:
            ensure(connection, FakeEncoder().describe())
            connection.execute(
                "INSERT INTO imgsearch.image (tenant_id, product_id, uri, category, price, attributes)"
                " SELECT 'acme', n::text, 'https://x.example/' || n, 'shoes', n % 100,"
                " jsonb_build_object('size', n % 9) FROM generate_series(1, 2000) n"
            )
            embed(connection, texts={"red shoe": "3"})
            assert plant(connection) > 3000
            row = connection.execute("SELECT current_database()").fetchone()
        assert row is not None
        yield row[0]


def search_in_sql(shop: Connection, settings: Settings) -> None:
    for query in (
        "imgsearch.search(imgsearch.vec_of(5), tenant => 'acme', max_price => 60, category => 'shoes')",
        "imgsearch.search('red shoe', per => 'image', words => 'shoe')",
        "imgsearch.search(imgsearch.vec_of(7), per => 'image', max_price => 50)",
        "imgsearch.search(imgsearch.vec_of(7), attributes => '{\"size\": 3}')",
        "imgsearch.explain_search(imgsearch.vec_of(5))",
        "imgsearch.browse_products()",
        "imgsearch.suggest('re', tenant => 'acme')",
    ):
        shop.execute(b"SELECT * FROM " + query.encode())


def read_views(shop: Connection, settings: Settings) -> None:
    for row in shop.execute(
        "SELECT c.oid::regclass::text FROM pg_class c"
        " WHERE c.relkind = 'v' AND c.relnamespace = to_regnamespace('imgsearch')::oid"
    ).fetchall():
        shop.execute(b"SELECT * FROM " + row[0].encode())


def search_in_python(shop: Connection, settings: Settings) -> None:
    imgsearch.search(shop, "red shoe", filters=Filters(tenant="acme", **FILTERS))
    imgsearch.search(shop, "red shoe", tenant="acme")


def write(shop: Connection, settings: Settings) -> None:
    imgsearch.add(shop, pictures.draw(1), tenant="acme", product_id="p1", settings=settings, title="A shoe")
    embed(shop)
    changes.change(shop, product_id="p1", tenant="acme", price=5)
    imgsearch.remove(shop, product_id="p1", tenant="acme")


def search_in_an_orm(shop: Connection, settings: Settings) -> None:
    engine = create_engine("postgresql+psycopg://", creator=lambda: db.connect(settings), poolclass=NullPool)
    with Session(engine) as session:
        for what in ("red shoe", imgsearch.ImageId(5)):
            session.execute(nearest(select(Image.image_id).where(Image.price < 60), what)).all()
    engine.dispose()


def work_for_all(shop: Connection, settings: Settings) -> None:
    """What a worker does, with a worker's role."""
    shop.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri)"
        " SELECT 'acme', 'new' || n::text, 'https://x.example/new' || n::text FROM pg_catalog.generate_series(1, 5) n"
    )
    shop.execute("SET ROLE imgsearch_worker")
    assert embed(shop, texts=["blue hat"]) == 5
    queue.rescue(shop, max_attempts=3)
    queue.enqueue_missing(shop)
    queue.retry_attached(shop)
    page_sessions.sweep(shop)
    for name in ("refresh_sample", "refresh_vocabulary"):
        sql.run(shop, "maintenance", name)
    shop.execute("RESET ROLE")


def give_vectors(shop: Connection, settings: Settings) -> None:
    """The attack that was found: a writer's numbers are read by a function with its owner's rights."""
    lifecycle.add_given(shop, "mine", given.WIDE)
    shop.execute("SELECT pg_catalog.set_config('imgsearch.tenant', 'acme', false)")
    shop.execute("SET ROLE imgsearch_writer")
    shop.execute(
        "SELECT imgsearch_internal.store_given_here("
        "s.space_id, ARRAY['acme'], ARRAY[i.image_id], ARRAY[NULL::bytea], %s::real[])"
        " FROM imgsearch.space s, imgsearch.image i WHERE s.name = 'mine' AND i.product_id = '1'",
        (given.drawn(1),),
    )
    shop.execute("RESET ROLE")
    lifecycle.activate(shop, "mine", force=True)
    shop.execute("SELECT * FROM imgsearch.search(imgsearch.vec_of(1))")


def examine(shop: Connection, settings: Settings) -> None:
    doctor.examine(shop)


def upgrade(shop: Connection, settings: Settings) -> None:
    shop.execute("UPDATE imgsearch.schema_version SET digest = 'another' WHERE step = 'functions'")
    shop.execute("DELETE FROM imgsearch.applied_object")
    schema.upgrade(settings)
    with db.connect(settings) as again:
        again.execute("UPDATE imgsearch.schema_version SET digest = 'another' WHERE step = 'functions'")
        schema.migrate.upgrade(again)


def attach(shop: Connection, settings: Settings) -> None:
    shop.execute("CREATE TABLE public.product (id bigint PRIMARY KEY, photo text, price numeric)")
    shop.execute("INSERT INTO public.product SELECT 900, 'https://x.example/900', 5")
    imgsearch.attach(shop, "product", key="id", image="photo", price="price")
    shop.execute("UPDATE public.product SET price = 7")
    imgsearch.refresh(shop, "product", ["900"])
    imgsearch.drift(shop, "product")
    imgsearch.repair(shop, "product")
    shop.execute("CALL imgsearch.backfill('product')")
    imgsearch.detach(shop, "product")


WORKS: tuple[Callable[[Connection, Settings], None], ...] = (
    search_in_an_orm,
    work_for_all,
    give_vectors,
    search_in_sql,
    read_views,
    search_in_python,
    write,
    examine,
    upgrade,
    attach,
)


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.__name__)
def test_nobody_who_creates_in_public_runs_code_as_another(
    connection: Connection, settings: Settings, work: Callable[[Connection, Settings], None]
) -> None:
    work(connection, settings)
    assert connection.execute("SELECT DISTINCT role, trap, at FROM caught").fetchall() == []
