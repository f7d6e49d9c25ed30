"""Searching by parts is what plain numpy finds, whichever way it goes: under filters, per product, page by page."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as given_settings
from hypothesis import strategies as some

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.retrieval import Hit, search
from imgsearch.spaces.space import ensure
from tests import parts
from tests.asking import DIMENSION, asked, shop_of_products
from tests.parts import Part
from tests.shop import Row, database, fill
from tests.test_pages_properties import believe

Connection = psycopg.Connection[Any]
BELIEFS = {"as it is": "{}", "huge": '{"search": {"ef": 300}, "sample": {"pictures": 50000000}}'}
CLOSE = 2e-3  # what float16 does to a distance


@dataclass(frozen=True, repr=False)
class Shop:
    """rows: what can be found, by image; regions: of them, some have none."""

    connection: Connection
    rows: Mapping[int, Row]
    regions: Mapping[int, Sequence[Part]]
    ways: dict[str, set[str]] = field(default_factory=dict)

    def nearness(self, query: Sequence[float], weight: float) -> dict[int, float]:
        return {i: parts.near(query, row.vector, self.regions[i], weight) for i, row in self.rows.items()}


@pytest.fixture(scope="module")
def stocked(servers: embedded.Servers, template: str) -> Iterator[Shop]:
    rng, rows = np.random.default_rng(5), shop_of_products(150, 6)
    centres = rng.normal(size=(30, DIMENSION))
    with database(servers, template) as settings, db.connect(settings, autocommit=True) as connection:
        space = ensure(connection, FakeEncoder().describe())
        ids = fill(connection, space, rows)
        regions = {image: [_part(rng, centres) for _ in range(int(rng.integers(0, 5)))] for image in ids}
        parts.store(connection, space, {(row.tenant, i): regions[i] for i, row in zip(ids, rows, strict=True)})
        connection.execute("ANALYZE")
        yield Shop(connection, dict(zip(ids, rows, strict=True)), regions)


def _part(rng: np.random.Generator, centres: Any) -> Part:
    corner = rng.uniform(0, 0.5, 2)
    vector = centres[rng.integers(len(centres))] + 0.5 * rng.normal(size=DIMENSION)
    box = tuple(float(np.float32(one)) for one in (*corner, 0.25, 0.5))
    return Part(
        vector=vector.tolist(), box=box, label=random.Random(int(corner[0] * 1e6)).choice([None, "bag", "shoe"])
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("belief", list(BELIEFS))
@given_settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=some.integers(0, 10_000),
    weight=some.sampled_from([0.3, 0.5, 1.0]),
    per=some.sampled_from(["product", "image"]),
    size=some.sampled_from([1, 10, 40, 400]),
    most=some.sampled_from([None, None, 0.4, 0.8]),
)
def test_pages_are_what_numpy_finds(
    stocked: Shop, belief: str, seed: int, weight: float, per: Any, size: int, most: float | None
) -> None:
    believe(stocked.connection, BELIEFS[belief])
    chance = random.Random(seed)
    filters, query = asked(chance), _query(stocked, chance)
    away = {i: one for i, one in stocked.nearness(query, weight).items() if filters.keep(stocked.rows[i])}
    wanted = _ordered(stocked, away, per, most)
    got, after, ways = list[Hit](), None, set[str]()
    for _ in range(3):
        page = search(
            stocked.connection,
            query,
            k=size,
            after=after,
            per=per,
            regions=weight,
            max_distance=most,
            **filters.arguments,
        )
        assert page.complete
        ways.add(page.strategy)
        got += page
        after = page.after
        if len(page) < size:
            break
    assert ways <= {"exact", "hnsw"}
    stocked.ways.setdefault(belief, set()).update(ways)
    keys = [hit.image_id if per == "image" else (hit.tenant_id, hit.product_id) for hit in got]
    assert len(set(keys)) == len(keys), "nothing twice"
    if most is None:
        assert len(got) == min(3 * size, len(wanted)), "no page is short but the last"
    assert [hit.distance for hit in got] == sorted(hit.distance for hit in got)
    assert [hit.distance for hit in got] == pytest.approx([away[h.image_id] for h in got], abs=CLOSE)
    edge = wanted[len(got) - 1] + CLOSE if got else 0
    assert sum(hit.distance <= edge for hit in got) >= 0.99 * len(got)
    for hit in got:
        whole = parts.apart(query, stocked.rows[hit.image_id].vector)
        regions = [(one, parts.apart(query, one.vector)) for one in stocked.regions[hit.image_id]]
        _is_boxed(hit, away[hit.image_id], whole, regions)


def test_both_ways_were_gone(stocked: Shop) -> None:
    assert "exact" in stocked.ways["as it is"], "what the test above is about"
    assert stocked.ways["huge"] == {"exact", "hnsw"}


def _is_boxed(hit: Hit, near: float, whole: float, regions: Sequence[tuple[Part, float]]) -> None:
    """The box is a nearest part's, where one lies nearer than the whole; rounding may decide between like ones."""
    if hit.box is None:
        assert hit.label is None
        assert near == pytest.approx(whole, abs=CLOSE)
        return
    nearest = min(away for _, away in regions)
    assert nearest < whole + CLOSE
    like = [part for part, away in regions if away <= nearest + CLOSE]
    assert any(hit.box == pytest.approx(part.box) and hit.label == part.label for part in like)


def _query(stocked: Shop, chance: random.Random) -> list[float]:
    """A part's own vector, something near one, or a picture's."""
    image = chance.choice(list(stocked.rows))
    several = stocked.regions[image] or [Part(vector=stocked.rows[image].vector)]
    vector = np.array(chance.choice(several).vector) if chance.random() < 0.8 else np.array(stocked.rows[image].vector)
    return (vector + chance.choice([0.0, 0.3]) * np.array([chance.gauss(0, 1) for _ in vector])).tolist()


def _ordered(stocked: Shop, away: Mapping[int, float], per: str, most: float | None) -> list[float]:
    """Return the distances of what is to be found, ascending: of each product its best picture's."""
    best: dict[Any, float] = {}
    for image, one in away.items():
        row = stocked.rows[image]
        key = image if per == "image" else (row.tenant, row.product)
        best[key] = min(best.get(key, 9.0), one)
    return sorted(one for one in best.values() if most is None or one <= most + CLOSE)
