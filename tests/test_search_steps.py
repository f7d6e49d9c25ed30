"""The steps of a search, each alone: what is believed of a walk, what a page keeps, how often nearest() walks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from imgsearch import Image, ImageId, db, explain, nearest
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.settings import Settings
from imgsearch.spaces.space import ensure
from tests.crowd import crowd
from tests.shop import database

Connection = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def settings(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    with database(servers, template) as made:
        yield made


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    with db.connect(settings, autocommit=True) as opened:
        yield opened


@pytest.mark.parametrize(
    ("distances", "page_end", "max_distance", "believed"),
    [
        ([0.1, 0.2, 0.3], 2, None, True),
        ([0.1, 0.2], 2, None, False),  # nothing behind the page: rows as far as its last may be missing
        ([0.1, 0.2, 0.2], 2, None, False),  # what is behind it is no farther
        ([0.1, 0.2, 0.2, 0.3], 2, None, True),
        ([0.1, 0.2], 5, 0.15, True),  # the walk went beyond max_distance
        ([0.1, 0.2], 5, 0.2, False),
        ([], 1, None, False),
        (None, 1, 0.5, False),
    ],
)
def test_a_walk_is_believed_only_where_it_holds_the_whole_page(
    connection: Connection, distances: list[float] | None, page_end: int, max_distance: float | None, believed: bool
) -> None:
    found = connection.execute(
        """SELECT (w.answer).strategy IS NOT NULL, (w.plan).source FROM imgsearch_internal.settle_walk(
               jsonb_populate_record(NULL::imgsearch_internal.search_context,
                   jsonb_build_object('page_end', %(end)s::int, 'pictures', 9, 'trust_divisor', 6, 'walk_us', 29)),
               ROW('hnsw', 99, NULL, NULL, NULL, NULL, 1, NULL, NULL, NULL)::imgsearch_internal.search_plan,
               ROW(array_fill('a'::text, ARRAY[coalesce(cardinality(%(d)s::float8[]), 0)]),
                   ARRAY(SELECT generate_series(1, coalesce(cardinality(%(d)s::float8[]), 0))::bigint),
                   %(d)s, NULL, NULL, NULL),
               imgsearch_internal.page_of(%(end)s::int, 0, NULL, %(max)s)) w""",
        {"d": distances, "end": page_end, "max": max_distance},
    ).fetchone()
    assert found == (believed, "hnsw" if believed else "bits")


@pytest.mark.parametrize(
    ("strategy", "request_", "images", "complete"),
    [
        ("hnsw", "(2,0,,,,,,,,,,)", [1, 2], True),
        ("hnsw", "(2,1,,,,,,,,,,)", [2, 3], True),
        ("bits", "(2,0,,,0.15,,,,,,,)", [1], False),  # one more within max_distance may have been misjudged
        ("bits", "(9,0,,,,,,,,,,)", [1, 2, 3], True),
        ("bits", "(9,0,0.05,7,,,,,,,,)", [1, 2, 3], False),
        ("exact", "(2,0,,,0.15,,,,,,,)", [1], True),
        ("exact", "(2,5,,,,,,,,,,)", [], True),
    ],
)
def test_a_page_is_cut_out_of_what_was_ranked(
    connection: Connection, strategy: str, request_: str, images: list[int], complete: bool
) -> None:
    found = connection.execute(
        """SELECT (c).images, (c).complete FROM imgsearch_internal.cut(
               jsonb_populate_record(NULL::imgsearch_internal.page, jsonb_build_object(
                   'tenants', '{a,a,a}', 'images', '{1,2,3}', 'distances', '{0.1,0.2,0.3}', 'strategy', %s::text)),
               %s::imgsearch_internal.page_request) c""",
        (strategy, request_),
    ).fetchone()
    assert found == (images, complete)


def test_nearest_walks_a_second_time_and_wider_where_too_few_matched(
    settings: Settings, connection: Connection
) -> None:
    crowd(connection, ensure(connection, FakeEncoder().describe()), 4000)
    connection.execute("SELECT imgsearch.refresh_sample()")
    connection.execute("UPDATE imgsearch.space SET parameters = jsonb_set(parameters, '{sample,pictures}', '1000000')")
    with Session(db.engine(settings)) as session:
        told = [
            line
            for image_id in range(1, 60)
            for line in explain(session, nearest(select(Image).where(Image.price <= 25), ImageId(image_id), limit=10))
            if line.startswith("hnsw")
        ]
    once = [line for line in told if "second time" not in line]
    assert once, told
    assert len(once) < len(told), told


@pytest.mark.parametrize(
    ("divisor", "share", "restricted", "passed", "sure"),
    [
        (6, 0.5, False, 12, 12),  # as cautious as it comes: all are believed
        (4, 0.24, False, 12, 12),  # a quarter matches everywhere, as here
        (4, 0.5, False, 12, 8),  # half matches elsewhere: sqrt(0.5 * 200 / 4 / 12) times as many must
        (4, 0.9, False, 3, 2),  # never less is believed than the cautious part
        (4, 0.9, True, 3, 3),  # one tenant's part of a walk, which is cut elsewhere
    ],
)
def test_what_is_rare_here_is_believed_less(
    connection: Connection, divisor: int, share: float, restricted: bool, passed: int, sure: int
) -> None:
    found = connection.execute(
        """SELECT imgsearch_internal.sure(jsonb_populate_record(NULL::imgsearch_internal.search_context,
                   jsonb_build_object('page_end', 10, 'pictures', 200000, 'trust_divisor', %s::int)),
               jsonb_populate_record(NULL::imgsearch_internal.search_plan,
                   jsonb_build_object('share', %s::float8, 'restricted', %s::boolean, 'ef', 200)), %s)""",
        (divisor, share, restricted, passed),
    ).fetchone()
    assert found == (sure,)
