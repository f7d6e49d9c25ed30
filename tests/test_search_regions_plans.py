"""Searching by parts where there are many: both graphs are walked, behind a wall too, and nothing is read by rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest

from imgsearch import db
from imgsearch.retrieval import search
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests import parts
from tests.asking import DIMENSION
from tests.parts import Part
from tests.shop import Row, fill
from tests.test_walls import As, acting

__all__ = ["acting"]

Connection = psycopg.Connection[Any]
BAG = [1.0, *[0.0] * (DIMENSION - 1)]


def stock(connection: Connection, space: Space) -> None:
    """Store 4,000 pictures of two tenants with two regions each, believed to be a thousand times as many."""
    rng = np.random.default_rng(1)
    rows = [
        Row(vector=v, category=f"c{n % 500}", tenant=("acme", "bolt")[n % 2])
        for n, v in enumerate(rng.normal(size=(4000, DIMENSION)).tolist())
    ]
    ids = fill(connection, space, rows)
    vectors = rng.normal(size=(8000, DIMENSION)).tolist()
    regions = {
        (row.tenant, i): [Part(vector=vectors[2 * n + m]) for m in (0, 1)]
        for n, (i, row) in enumerate(zip(ids, rows, strict=True))
    }
    parts.store(connection, space, regions)
    connection.execute("VACUUM ANALYZE")
    connection.execute("SELECT imgsearch.refresh_sample()")
    connection.execute(
        "UPDATE imgsearch.space SET parameters = jsonb_set(parameters, '{sample,pictures}', to_jsonb(4000000))"
    )


@pytest.fixture
def large(settings: Settings, space: Space) -> Iterator[Connection]:
    with db.connect(settings, autocommit=True) as connection:
        stock(connection, space)
        yield connection


def test_behind_a_wall_both_graphs_are_walked_and_nothing_is_lost(large: Connection, acting: As) -> None:
    here = acting("imgsearch_reader", options="-c imgsearch.tenant=acme")
    truth = """SELECT i.image_id FROM imgsearch.vectors i JOIN imgsearch.regions r USING (tenant_id, image_id)
               WHERE i.tenant_id = 'acme' GROUP BY i.image_id, i.embedding
               ORDER BY least(i.embedding <=> %(q)s::halfvec, min(r.embedding <=> %(q)s::halfvec)) LIMIT 10"""
    ways, right = set(), 0
    for query in np.random.default_rng(2).normal(size=(12, DIMENSION)).tolist():
        found = search(here, query, regions=1, per="image")
        assert {hit.tenant_id for hit in found} == {"acme"}
        assert len(found) == 10
        ways.add(found.strategy)
        wanted = {row[0] for row in large.execute(truth.encode(), {"q": str(query)})}
        right += len(wanted & {hit.image_id for hit in found})
    assert right >= 119, "of 120"
    assert "hnsw" in ways


def test_regions_come_out_of_their_graph_or_their_primary_key_never_row_by_row(large: Connection) -> None:
    counted = """SELECT pg_stat_get_xact_numscans('imgsearch.region_1'::regclass),
                        pg_stat_get_xact_numscans('imgsearch.region_1_hnsw'::regclass)"""
    for wanted, strategy in (("k => 10", "hnsw"), ("k => 10, per => 'image'", "hnsw"), ("category => 'c7'", "exact")):
        with large.transaction():
            rows = large.execute(
                f"SELECT DISTINCT strategy FROM imgsearch.search(%s::halfvec, regions => 1, {wanted})".encode(),  # noqa: S608
                [str(BAG)],
            ).fetchall()
            scans = large.execute(counted.encode()).fetchone()
        assert rows == [(strategy,)], wanted
        assert scans is not None
        assert scans[0] == 0, wanted
        assert scans[1] > 0 or strategy == "exact", wanted


def test_without_the_weight_regions_are_not_read_at_all(large: Connection) -> None:
    read = """SELECT coalesce(sum(seq_scan + idx_scan), 0) FROM pg_stat_xact_user_tables WHERE relname = 'region_1'"""
    for wanted in ("k => 10", "tenant => 'acme'", "words => 'red'", "sort => 'price'", "look_weight => 1"):
        with large.transaction():
            large.execute(f"SELECT * FROM imgsearch.search(%s::halfvec, {wanted})".encode(), [str(BAG)])  # noqa: S608
            assert large.execute(read.encode()).fetchone() == (0,), wanted


def test_of_a_walk_only_the_first_part_is_believed(large: Connection) -> None:
    """Behind it a graph has left out what it should have met; an edge there would end a search too early."""
    walked = """SELECT c.trust_divisor, cardinality(w.images), w.edge, (
                    SELECT max(d) FROM (SELECT r.embedding <=> %(q)s::halfvec AS d FROM imgsearch.regions r
                                        ORDER BY 1 LIMIT 800) r)
        FROM imgsearch_internal.regions_context(
                 imgsearch_internal.search_context(l2_normalize(%(q)s::halfvec), 10, NULL, NULL)) c,
             imgsearch_internal.walk_regions(c, 800, false, true) w"""
    divisor, believed, edge, farthest = large.execute(walked, {"q": str(BAG)}).fetchone() or (0, 0, 0, 0)
    assert divisor > 1
    assert believed == pytest.approx(800 / divisor, abs=1)
    assert edge < farthest
