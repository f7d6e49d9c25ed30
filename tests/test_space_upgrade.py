"""An upgrade beside searches of a space that is not the active one: none of them fails, none waits for it."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

from imgsearch import db
from imgsearch.query import ImageId
from imgsearch.retrieval import search
from imgsearch.schema import migrate, online
from imgsearch.settings import Settings
from tests.conftest import behind
from tests.test_spaces_searched import connection, ids, shop

__all__ = ["connection", "shop"]

Connection = psycopg.Connection[Any]
ENGINE = (
    "SELECT oid::regprocedure::text, oid::bigint FROM pg_proc WHERE pronamespace = 'imgsearch_space_2'::regnamespace"
)
VERSIONS = """SELECT oid::regprocedure::text, xmin::text FROM pg_proc
WHERE pronamespace = 'imgsearch_space_2'::regnamespace AND proname NOT IN ('bits_of', 'searched_space')
AND NOT EXISTS (SELECT 1 FROM imgsearch_internal.rights r WHERE r.object = proname AND r.kind = 'function')"""
CHANGED = """CREATE OR REPLACE FUNCTION imgsearch_internal.tail_rows(space integer) RETURNS double precision
LANGUAGE sql STABLE RETURN 0"""  # the upgrade writes it anew, as it does what a release changed


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "_OTHERS_SECONDS", 0.1)


def test_it_is_replaced_in_place_beside_a_transaction_that_searched_there(
    connection: Connection, shop: Settings
) -> None:
    asked = ImageId(ids(connection)[3])
    before, versions = connection.execute(ENGINE).fetchall(), connection.execute(VERSIONS).fetchall()
    with db.connect(shop) as customer:
        found = [hit.product_id for hit in search(customer, asked, space="dino")]
        behind(shop)
        migrate.upgrade(connection, patience=0)  # it waits for nobody
        assert [hit.product_id for hit in search(customer, asked, space="dino")] == found
    assert connection.execute(ENGINE).fetchall() == before
    assert connection.execute(VERSIONS).fetchall() == versions, "what is as it was is left alone"
    assert len(versions) > 30


@pytest.mark.parametrize(
    "view",
    [
        "CREATE OR REPLACE VIEW imgsearch_space_2.tail_vectors AS SELECT * FROM imgsearch_space_2.vectors",
        "CREATE OR REPLACE VIEW imgsearch_space_2.tail_vectors AS SELECT *, 1 AS more FROM imgsearch_space_2.vectors",
    ],
    ids=["another view", "a column that goes"],
)
def test_what_is_written_there_follows_the_release(connection: Connection, shop: Settings, view: str) -> None:
    """A function of another result, one that is made no longer, one whose text changed, a view."""
    asked = ImageId(ids(connection)[3])
    found = [hit.product_id for hit in search(connection, asked, space="dino")]
    before = dict(connection.execute(ENGINE).fetchall())
    connection.execute("DROP FUNCTION imgsearch_space_2.searched_space()")
    connection.execute("CREATE FUNCTION imgsearch_space_2.searched_space() RETURNS text LANGUAGE sql RETURN 'none'")
    connection.execute(
        "CREATE FUNCTION imgsearch_space_2.searched_space(a integer) RETURNS integer LANGUAGE sql RETURN 7"
    )
    connection.execute("CREATE FUNCTION imgsearch_space_2.long_gone() RETURNS integer LANGUAGE sql RETURN 7")
    connection.execute(view.encode())
    behind(shop)
    migrate.upgrade(connection)
    assert dict(connection.execute(ENGINE).fetchall()).keys() == before.keys()
    assert connection.execute("SELECT imgsearch_space_2.searched_space()").fetchone() == (2,)
    told = "SELECT pg_get_viewdef('imgsearch_space_2.tail_vectors'::regclass) ~ 'embedding_2_tail'"
    assert connection.execute(told).fetchone() == (True,)
    assert [hit.product_id for hit in search(connection, asked, space="dino")] == found


def test_no_search_of_another_space_fails_while_releases_follow_one_another(
    connection: Connection, shop: Settings
) -> None:
    asked = [ImageId(one) for one in ids(connection)[:20]]
    failed: list[str] = []
    stop, done = threading.Event(), [0]

    def customer() -> None:
        with db.connect(shop, autocommit=True) as own:
            while not stop.is_set():
                try:
                    assert len(search(own, asked[done[0] % 20], space="dino")) == 10
                    done[0] += 1
                except Exception as error:  # noqa: BLE001 - every failure counts
                    failed.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=customer) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            connection.execute(CHANGED)
            behind(shop)
            migrate.upgrade(connection)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failed == []
    assert done[0] > 10
