"""Every random question gets min(k, matches) rows that match, in order: search() and nearest() against brute force.

SEARCH_QUERIES=20000 asks more of them.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.retrieval import nearest, search
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space, ensure
from imgsearch.sqlalchemy.models import Image
from tests.asking import DIMENSION, Asked, asked, distances, shop
from tests.shop import Row, database, fill

QUERIES = int(os.environ.get("SEARCH_QUERIES", "300"))
CLOSE = 2e-3  # what float16 does to a distance

# What the search believes of the shop decides which way it goes: parameters of the space, by the strategy they bring.
BELIEFS = {
    "as it is": '{"search": {}}',
    "huge": '{"search": {"ef": 300}, "sample": {"pictures": 50000000}}',
    "few kept": '{"search": {"pool": 100}}',
}
Ask = Callable[[Asked, list[float], int, int], tuple[list[tuple[int, float]], str]]


@dataclass(frozen=True)
class Shop:
    """rows: {image_id: row} of the pictures that can be found."""

    settings: Settings
    connection: psycopg.Connection[Any]
    space: Space
    rows: dict[int, Row]

    def believe(self, belief: str) -> None:
        self.connection.execute("SELECT imgsearch.refresh_sample()")
        self.connection.execute(
            "UPDATE imgsearch.space SET parameters = parameters || ((parameters #>> '{}')::jsonb || jsonb_build_object("
            "'search', %(told)s::jsonb -> 'search', 'sample', (parameters -> 'sample')"
            " || coalesce(%(told)s::jsonb -> 'sample', '{}')))",
            {"told": BELIEFS[belief]},
        )


@pytest.fixture(scope="module")
def stocked(servers: embedded.Servers, template: str) -> Iterator[Shop]:
    with database(servers, template) as settings, db.connect(settings, autocommit=True) as connection:
        space = ensure(connection, FakeEncoder().describe())
        rows = shop(1500, seed=7)
        ids = fill(connection, space, rows)
        found = dict(zip(ids, rows, strict=True))
        for image in ids[::17]:  # replaced: waits for its new bytes, and must not be found by its old ones
            connection.execute("UPDATE imgsearch.image SET uri = 'store:y' WHERE image_id = %s", [image])
        for image in ids[5::23]:
            connection.execute("DELETE FROM imgsearch.image WHERE image_id = %s", [image])
        for image in {*ids[::17], *ids[5::23]}:
            del found[image]
        yield Shop(settings, connection, space, found)


@pytest.fixture(scope="module")
def session(stocked: Shop) -> Iterator[Session]:
    engine = db.engine(stocked.settings, isolation_level="AUTOCOMMIT")
    with Session(engine) as opened:
        yield opened
    engine.dispose()


def by_search(stocked: Shop) -> Ask:
    def ask(filters: Asked, query: list[float], k: int, offset: int) -> tuple[list[tuple[int, float]], str]:
        hits = search(stocked.connection, query, k=k, skip=offset, **filters.arguments)
        assert hits.complete
        return [(hit.image_id, hit.distance) for hit in hits], hits.strategy

    return ask


def by_nearest(session: Session) -> Ask:
    def ask(filters: Asked, query: list[float], k: int, offset: int) -> tuple[list[tuple[int, float]], str]:
        statement = select(Image.image_id).where(*filters.where)
        rows = session.execute(nearest(statement, query, limit=k, offset=offset, explained=True)).all()
        assert all(row.complete for row in rows)
        return [(row.image_id, row.distance) for row in rows], rows[0].strategy if rows else "none"

    return ask


def a_query(chance: random.Random, rows: dict[int, Row]) -> list[float]:
    """A picture's own vector, something near one, or something far from all."""
    vector = np.array(rows[chance.choice(list(rows))].vector)
    noise = np.array([chance.gauss(0, 1) for _ in range(DIMENSION)])
    mixed = vector + chance.choice([0.0, 0.3]) * noise if chance.random() < 0.8 else noise
    return (mixed / np.linalg.norm(mixed)).tolist()


@pytest.mark.parametrize("belief", list(BELIEFS))
@pytest.mark.parametrize("door", ["search", "nearest"])
def test_as_many_rows_as_match_and_the_nearest_ones(stocked: Shop, session: Session, belief: str, door: str) -> None:
    stocked.believe(belief)
    ask = by_search(stocked) if door == "search" else by_nearest(session)
    chance = random.Random(f"{belief} {door}")
    found = possible = 0
    strategies = set()
    for _ in range(QUERIES // 6):
        filters, query = asked(chance), a_query(chance, stocked.rows)
        k, offset = chance.choice([1, 10, 10, 30, 1000]), chance.choice([0, 0, 0, 5])
        matching = {image: row for image, row in stocked.rows.items() if filters.keep(row)}
        answer, strategy = ask(filters, query, k, offset)
        strategies.add(strategy)
        ids = [image for image, _ in answer]
        assert len(set(ids)) == len(ids) == max(0, min(k, len(matching) - offset)), filters.arguments
        assert set(ids) <= matching.keys(), filters.arguments
        assert answer == sorted(answer, key=lambda row: (row[1], row[0])), "nearest first, equal ones by image_id"
        if ids:
            true = distances(list(matching.values()), query)
            away = dict(zip(matching, true.tolist(), strict=True))
            assert [d for _, d in answer] == pytest.approx([away[image] for image in ids], abs=CLOSE)
            edge = np.sort(true)[min(k + offset, len(true)) - 1] + CLOSE
            found += sum(away[image] <= edge for image in ids)
            possible += len(ids)
    assert found >= 0.99 * possible
    assert strategies & {"as it is": {"exact"}, "huge": {"hnsw"}, "few kept": {"bits"}}[belief]


@pytest.mark.parametrize("belief", list(BELIEFS))
def test_pages_neither_repeat_nor_lose_a_picture(stocked: Shop, session: Session, belief: str) -> None:
    stocked.believe(belief)
    chance = random.Random(belief)
    for _ in range(max(2, QUERIES // 100)):
        filters, query = asked(chance), a_query(chance, stocked.rows)
        matching = {image for image, row in stocked.rows.items() if filters.keep(row)}
        size = chance.choice([7, 50])
        by_key: list[int] = []
        after = None
        while page := search(stocked.connection, query, k=size, after=after, **filters.arguments):
            by_key += [hit.image_id for hit in page]
            after = page.after
        assert len(by_key) == len(set(by_key))
        # With a third of the usual pool, an image that its bits misjudge may be on none of the pages.
        assert len(set(by_key) ^ matching) <= (0.01 * len(matching) if belief == "few kept" else 0), filters.arguments
        ask, by_offset = by_nearest(session), list[int]()
        while len(by_offset) < len(matching):
            more, _ = ask(filters, query, size * 4, len(by_offset))
            assert more
            by_offset += [image for image, _ in more]
        assert len(by_offset) == len(set(by_offset))


def test_an_exact_answer_is_exact_whatever_the_planner_likes(stocked: Shop) -> None:
    """Where all that match are compared none is lost: the join to their vectors must never walk the graph."""
    stocked.believe("as it is")
    chance, exact = random.Random(4), 0
    with db.connect(stocked.settings, autocommit=True) as fond:
        fond.execute("SET enable_sort = off")  # an ordered walk along the HNSW looks like a bargain now
        fond.execute("SET enable_hashjoin = off")
        for _ in range(40):
            query, high = a_query(chance, stocked.rows), chance.randrange(1, 40)
            hits = search(fond, query, tenant="acme", max_price=high, k=100)
            if hits.strategy != "exact":
                continue
            exact += 1
            cheap = [r for r in stocked.rows.values() if r.price is not None and r.price <= high]
            true = np.sort(distances([r for r in cheap if r.tenant == "acme"], query))[:100]
            assert len(hits) == len(true)
            assert np.allclose([hit.distance for hit in hits], true, atol=CLOSE)
    assert exact > 20


def test_answers_hold_beside_writers(stocked: Shop) -> None:
    """In one snapshot, search() and nearest() find what a plain scan finds, while others write."""
    stocked.believe("as it is")
    found = possible = 0
    rows, done = shop(200, seed=9), threading.Event()
    added = fill(stocked.connection, stocked.space, rows, first=5000)

    def write() -> None:
        chance = random.Random(3)
        with db.connect(stocked.settings, autocommit=True) as writer:
            number = 6000
            while not done.is_set():
                image = chance.choice(added)
                writer.execute("UPDATE imgsearch.image SET price = price + 1 WHERE image_id = %s", [image])
                writer.execute(
                    "UPDATE imgsearch.image SET uri = uri || 'x' WHERE image_id = %s", [chance.choice(added)]
                )
                writer.execute("DELETE FROM imgsearch.image WHERE image_id = %s", [chance.choice(added)])
                fill(writer, stocked.space, shop(3, seed=number), first=number)
                number += 3

    writing = threading.Thread(target=write)
    writing.start()
    engine = db.engine(stocked.settings)
    chance = random.Random(4)
    try:
        with Session(engine) as opened:
            for _ in range(max(20, QUERIES // 10)):
                opened.connection(execution_options={"isolation_level": "REPEATABLE READ"})
                query, high = a_query(chance, stocked.rows), chance.randrange(1, 120)
                statement = select(Image.image_id).where(Image.price <= high, Image.tenant_id == "acme")
                near = [row.image_id for row in opened.execute(nearest(statement, query, limit=20))]
                hits = [hit.image_id for hit in search(opened, query, tenant="acme", max_price=high, k=20)]
                plain = opened.connection().exec_driver_sql(
                    "SELECT image_id FROM imgsearch.images WHERE price <= %(high)s AND tenant_id = 'acme'"
                    " ORDER BY (embedding <=> %(query)s::halfvec) + 0, image_id LIMIT 20",
                    {"high": high, "query": str(query)},
                )
                true = {row[0] for row in plain}
                assert len(near) == len(hits) == len(true)
                found += len(true & set(near)) + len(true & set(hits))
                possible += 2 * len(true)
                opened.rollback()
    finally:
        done.set()
        writing.join()
        engine.dispose()
    assert found >= 0.99 * possible
    assert stocked.connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []
