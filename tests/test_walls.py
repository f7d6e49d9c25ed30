"""Walls between tenants: what each role can reach, with the database as the only guard."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Composed, Identifier

from imgsearch import db, schema
from imgsearch.dev.testing import FakeEncoder
from imgsearch.ingest import queue
from imgsearch.ingest.queue import Delivery
from imgsearch.query import cache
from imgsearch.settings import Settings
from imgsearch.spaces import space
from imgsearch.spaces.space import Space
from tests import speaking

Connection = psycopg.Connection[Any]
TENANTS = [f"tenant{n}" for n in range(50)]
QUERIES = int(os.environ.get("WALL_QUERIES", "2000"))
As = Callable[..., Connection]


@pytest.fixture
def shop(connection: Connection, space: Space) -> Connection:
    """Twenty ready pictures of each of fifty tenants."""
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri, sha256, price, category) "
        "SELECT t, n, 'store:' || t || n, sha256((t || n)::bytea), n, 'c' || n %% 3 "
        "FROM unnest(%s::text[]) t, generate_series(1, 20) n",
        (TENANTS,),
    )
    random.seed(1)
    while claims := queue.claim(connection, worker="w", limit=500, lease_seconds=60):
        made = [Delivery(claim=c, sha256=c.sha256 or b"", embedding=vector()) for c in claims]
        assert len(queue.deliver(connection, space.space_id, made)) == len(claims)
    for tenant in ("tenant1", ""):
        speaking.speak_for(connection, tenant)
        cache.ask(connection, cache.of_text("shoe"))
    [asked] = cache.claim(connection, space.space_id, 1)
    cache.answer(connection, space.space_id, asked, FakeEncoder().embed_texts(["shoe"])[0])
    return connection


@pytest.fixture
def acting(settings: Settings) -> Iterator[As]:
    """Connections that act as a role of imgsearch."""
    opened: list[Connection] = []

    def act(role: str, **options: Any) -> Connection:
        connection = db.connect(settings, autocommit=True, **options)
        connection.execute(SQL("SET ROLE {}").format(Identifier(role)))
        opened.append(connection)
        return connection

    yield act
    for connection in opened:
        connection.close()


def vector() -> list[float]:
    numbers = [random.gauss(0, 1) for _ in range(48)]
    length = sum(n * n for n in numbers) ** 0.5
    return [n / length for n in numbers]


def speak_for(connection: Connection, tenant: str) -> None:
    connection.execute("SELECT set_config('imgsearch.tenant', %s, true)", (tenant,))


def tenants_of(connection: Connection, statement: Composed | str) -> set[str]:
    query = statement if isinstance(statement, Composed) else statement.encode()
    return {row[0] for row in connection.execute(query).fetchall()}


def test_every_table_with_a_tenant_is_behind_the_wall(connection: Connection, space: Space) -> None:
    open_tables = connection.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' "
        "WHERE c.relnamespace = 'imgsearch'::regnamespace AND c.relkind IN ('r', 'p') AND NOT "
        "(c.relrowsecurity AND NOT c.relforcerowsecurity AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid "
        " AND p.polname = 'one_tenant' AND p.polqual IS NOT NULL AND p.polwithcheck IS NOT NULL))"
    ).fetchall()
    assert open_tables == []
    views = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace::regnamespace::text ~ '^imgsearch' AND relkind = 'v' "
        "AND NOT coalesce(reloptions::text LIKE '%security_invoker=true%', false)"
    ).fetchall()
    assert views == []
    loose = connection.execute(
        "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace::regnamespace::text ~ '^imgsearch' AND prosecdef "
        "AND NOT coalesce(proconfig::text LIKE '%search_path=%', false)"
    ).fetchall()
    assert loose == [], "a function with its owner's rights has a fixed search path"
    searching = connection.execute(
        "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace::regnamespace::text ~ '^imgsearch' AND prosecdef "
        "AND proname ~ '^(search|find$|vec|nearest|distance|explain)'"
    ).fetchall()
    assert searching == [], "searching never reaches beyond the caller's rights"


def test_a_reader_sees_one_tenant_and_nobody_without_one(shop: Connection, acting: As) -> None:
    reader = acting("imgsearch_reader")
    for relation in ("image", "job", "embedding_1", "images", "vectors"):
        assert tenants_of(reader, SQL("SELECT tenant_id FROM {}").format(Identifier("imgsearch", relation))) == set()
    with reader.transaction():
        speak_for(reader, "tenant7")
        for relation in ("image", "embedding_1", "images", "vectors"):
            assert tenants_of(reader, SQL("SELECT tenant_id FROM {}").format(Identifier("imgsearch", relation))) == {
                "tenant7"
            }
    assert tenants_of(reader, "SELECT tenant_id FROM imgsearch.images") == set(), (
        "the setting ended with its transaction"
    )


def test_random_searches_on_alternating_pooled_connections_leak_nothing(shop: Connection, acting: As) -> None:
    chance = random.Random(7)
    pool = [acting("imgsearch_reader") for _ in range(4)]
    owner = dict(shop.execute("SELECT image_id, tenant_id FROM imgsearch.image").fetchall())
    rows = 0
    for _ in range(QUERIES):
        connection, mine, other = chance.choice(pool), chance.choice(TENANTS), chance.choice(TENANTS)
        named = chance.choice([None, mine, other])  # a forgotten, a right and a wrong predicate
        with connection.transaction():
            speak_for(connection, mine)
            found = connection.execute(
                "SELECT image_id FROM imgsearch.search(%s::halfvec, tenant => %s, max_price => %s, k => %s)",
                (str(vector()), named, chance.choice([None, 5.0, 15.0]), chance.choice([1, 10, 50])),
            ).fetchall()
            assert {owner[row[0]] for row in found} <= {mine}
            assert named != other or other == mine or not found
            rows += len(found)
    assert rows > QUERIES


def test_a_reader_asks_but_neither_writes_nor_reads_what_others_ask(shop: Connection, acting: As) -> None:
    reader = acting("imgsearch_reader")
    with reader.transaction():
        speak_for(reader, "tenant1")
        found = reader.execute("SELECT count(*) FROM imgsearch.search('shoe', k => 5)").fetchone()
        assert found == (5,)
    with reader.transaction():
        speak_for(reader, "tenant1")
        cache.ask(reader, cache.of_text("a new text"))
    assert shop.execute("SELECT count(*) FROM imgsearch.query_vector WHERE answered_at IS NULL").fetchone() == (1,)
    for forbidden in (
        "SELECT query FROM imgsearch.query_vector",
        "SELECT picture FROM imgsearch.query_vector",
        "UPDATE imgsearch.query_vector SET embedding = NULL",
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('tenant1', 'x', 'x')",
        "UPDATE imgsearch.image SET price = 0",
        "DELETE FROM imgsearch.embedding_1",
        "SELECT imgsearch.requeue()",
        "SELECT imgsearch.activate_space('1')",
        "SELECT imgsearch.fill_space('1')",
        "SELECT imgsearch.drop_space('1')",
        "SELECT imgsearch.enable_rls()",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(forbidden)  # type: ignore[arg-type]


def test_a_writer_writes_for_its_tenant_only_and_the_queue_follows(shop: Connection, acting: As) -> None:
    writer = acting("imgsearch_writer")
    insert = "INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES (%s, 'new', 'store:x')"
    with writer.transaction():
        speak_for(writer, "tenant3")
        writer.execute(insert, ("tenant3",))
    assert shop.execute("SELECT tenant_id FROM imgsearch.job WHERE state = 'pending'").fetchall() == [("tenant3",)]
    writer.execute("BEGIN")
    speak_for(writer, "tenant3")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        writer.execute(insert, ("tenant4",))
    writer.execute("ROLLBACK")
    with writer.transaction():
        speak_for(writer, "tenant3")
        assert writer.execute("UPDATE imgsearch.image SET price = 1").rowcount == 21
        replaced = "UPDATE imgsearch.image SET uri = 'store:y', sha256 = sha256('y') WHERE product_id = '1'"
        assert writer.execute(replaced).rowcount == 1
        assert writer.execute("DELETE FROM imgsearch.image WHERE tenant_id = 'tenant4'").rowcount == 0
    assert shop.execute("SELECT * FROM imgsearch.violations").fetchall() == []


def test_a_worker_without_superuser_embeds_everybodys_pictures(shop: Connection, acting: As, space: Space) -> None:
    worker = acting("imgsearch_worker")
    shop.execute("UPDATE imgsearch.image SET uri = uri || '!', sha256 = sha256(uri::bytea) WHERE product_id = '2'")
    claims = queue.claim(worker, worker="w", limit=100, lease_seconds=60)
    assert len({c.tenant_id for c in claims}) == 50
    made = [Delivery(claim=c, sha256=c.sha256 or b"", embedding=vector()) for c in claims]
    assert len(queue.deliver(worker, space.space_id, made)) == 50
    assert shop.execute("SELECT * FROM imgsearch.violations").fetchall() == []


def test_a_worker_registers_its_model_without_owning_tables(connection: Connection, acting: As) -> None:
    worker = acting("imgsearch_worker")
    made = space.ensure(worker, FakeEncoder().describe())
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri, sha256) VALUES ('a', '1', 'x', %s)",
        (sha256(b"x").digest(),),
    )
    [claim] = queue.claim(worker, worker="w", limit=9, lease_seconds=60)
    delivery = Delivery(claim=claim, sha256=claim.sha256 or b"", embedding=vector())
    assert queue.deliver(worker, made.space_id, [delivery])
    reader = acting("imgsearch_reader")
    assert tenants_of(reader, "SELECT tenant_id FROM imgsearch.embedding_1") == set(), (
        "the new table is behind the wall"
    )


def test_a_door_can_tell_whether_it_is_behind_the_wall(connection: Connection, space: Space, acting: As) -> None:
    assert connection.execute("SELECT imgsearch.is_tenant_restricted()").fetchone() == (False,), (
        "a superuser walks through"
    )
    for role, walled in (
        ("imgsearch_reader", True),
        ("imgsearch_writer", True),
        ("imgsearch_worker", False),
        ("imgsearch_admin", False),
    ):
        assert acting(role).execute("SELECT imgsearch.is_tenant_restricted()").fetchone() == (walled,), role
    connection.execute("ALTER TABLE imgsearch.image DISABLE ROW LEVEL SECURITY")
    assert acting("imgsearch_reader").execute("SELECT imgsearch.is_tenant_restricted()").fetchone() == (False,)


def test_an_owner_without_superuser_needs_no_setting(settings: Settings, connection: Connection, acting: As) -> None:
    """One shop, one role: row-level security must not make its own tables look empty."""
    connection.execute("DROP ROLE IF EXISTS shopkeeper")
    connection.execute("CREATE ROLE shopkeeper")
    schema.remove(settings)
    connection.execute(SQL("GRANT CREATE ON DATABASE {} TO shopkeeper").format(Identifier(connection.info.dbname)))
    with psycopg.connect(settings.database_url, options="-c role=shopkeeper") as check:
        assert check.execute("SELECT current_user").fetchone() == ("shopkeeper",)
    from tests.conftest import with_settings

    owner = with_settings(settings, DATABASE_URL=settings.database_url + "&options=-c%20role%3Dshopkeeper")
    schema.upgrade(owner)
    with db.connect(owner, autocommit=True) as shop:
        made = space.ensure(shop, FakeEncoder().describe())
        shop.execute("INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('a', '1', 'x')")
        [claim] = queue.claim(shop, worker="w", limit=9, lease_seconds=60)
        assert queue.deliver(
            shop, made.space_id, [Delivery(claim=claim, sha256=sha256(b"x").digest(), embedding=vector())]
        )
        assert shop.execute("SELECT count(*) FROM imgsearch.images").fetchone() == (1,)
    connection.execute("DROP OWNED BY shopkeeper")
    connection.execute("DROP ROLE shopkeeper")
