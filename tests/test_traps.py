"""Whoever may create in public catches nothing of ours: overloads of what we call lie in wait there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

import imgsearch
from bench.soak import pictures
from imgsearch import Filters, db, schema
from imgsearch.dev.testing import embed
from imgsearch.ingest import changes
from imgsearch.ops import doctor
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.traps import plant

Connection = psycopg.Connection[Any]
FILTERS: dict[str, Any] = {"category": ["shoes"], "min_price": 1, "max_price": 60, "in_stock": True}


@pytest.fixture
def trapped(connection: Connection, settings: Settings, space: Space) -> Connection:
    """A connection of the superuser to a small shop, with the path that sessions have, and the traps."""
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri, category, price, attributes)"
        " SELECT 'acme', n::text, 'https://x.example/' || n, 'shoes', n % 100, jsonb_build_object('size', n % 9)"
        " FROM generate_series(1, 60) n"
    )
    embed(connection, texts={"red shoe": "3"})
    assert plant(connection) > 3000
    return connection


def search_in_sql(shop: Connection, settings: Settings) -> None:
    for query in (
        "imgsearch.search(imgsearch.vec_of(5), tenant => 'acme', max_price => 60, category => 'shoes')",
        "imgsearch.search('red shoe', per => 'image', words => 'shoe')",
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
    trapped: Connection, settings: Settings, work: Callable[[Connection, Settings], None]
) -> None:
    work(trapped, settings)
    assert trapped.execute("SELECT DISTINCT role, trap, at FROM caught").fetchall() == []
