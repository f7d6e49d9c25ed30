"""nearest(…, regions=w) is what plain numpy finds among a SELECT's rows: per picture, through joins, per product."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as given_settings
from hypothesis import strategies as some
from sqlalchemy import Select, Text, cast, select
from sqlalchemy.orm import Session

from imgsearch import Image, db, nearest
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.spaces.space import ensure
from tests import parts
from tests.alike import CLOSE, JOINED, Key, Label, Product, Shop, alike_shop
from tests.asking import DIMENSION
from tests.parts import Part

BELIEFS = {"no walk": '{"search": {"ef": 0}}', "huge": '{"search": {"ef": 300}, "sample": {"pictures": 50000000}}'}
OUTER = select(Image).outerjoin(Product, cast(Product.id, Text) == Image.product_id)
own: Key = lambda shop, one: [] if one.product < 0 else [one.product]  # noqa: E731
# (the SELECT, per, the groups of a picture that it reaches; [image] for a row per picture)
FORMS: Mapping[str, tuple[Select[Any], Any, Key]] = {
    "pictures": (select(Image), None, lambda s, one: [one.image_id]),
    "joined": (JOINED, None, lambda s, one: [one.image_id for _ in own(s, one)]),
    "per product": (JOINED, Product, own),
    "multiplied": (JOINED.join(Label), Product, lambda s, one: [n for n in own(s, one) if s.labels[n]]),
    "two columns": (
        JOINED,
        [Product.brand, Image.category],
        lambda s, one: [(s.brands[n], one.row.category) for n in own(s, one)],
    ),
    "outer join": (OUTER, Product, lambda s, one: own(s, one) or [None]),
}


@dataclass(frozen=True, repr=False)
class Parted:
    """A shop with parts of its pictures; some have none."""

    shop: Shop
    regions: Mapping[int, Sequence[Part]]
    ways: dict[str, set[str]] = field(default_factory=dict)

    def nearness(self, query: Sequence[float], weight: float) -> dict[int, float]:
        return {
            one.image_id: parts.near(query, one.row.vector, self.regions[one.image_id], weight)
            for one in self.shop.pictures
        }


@pytest.fixture(scope="module")
def stocked(servers: embedded.Servers, template: str) -> Iterator[Parted]:
    rng = np.random.default_rng(7)
    centres = rng.normal(size=(30, DIMENSION))
    with alike_shop(servers, template) as shop:
        regions = {
            one.image_id: [
                Part(
                    vector=(centres[rng.integers(30)] + 0.5 * rng.normal(size=DIMENSION)).tolist(),
                    box=(0.25, 0.125 * place, 0.5, 0.5),
                    label=(None, "bag", "shoe")[int(rng.integers(3))],
                )
                for place in range(int(rng.integers(0, 4)))
            ]
            for one in shop.pictures
        }
        space = ensure(shop.connection, FakeEncoder().describe())
        parts.store(shop.connection, space, {("acme", image): several for image, several in regions.items()})
        shop.connection.execute("ANALYZE")
        yield Parted(shop, regions)


@pytest.fixture(scope="module")
def session(stocked: Parted) -> Iterator[Session]:
    engine = db.engine(stocked.shop.settings, isolation_level="AUTOCOMMIT")
    with Session(engine) as opened:
        yield opened
    engine.dispose()


@pytest.mark.parametrize("belief", list(BELIEFS))
@given_settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=some.integers(0, 10_000),
    form=some.sampled_from(list(FORMS)),
    weight=some.sampled_from([0.3, 0.5, 1.0]),
    size=some.sampled_from([1, 10, 40, 400]),
    offset=some.sampled_from([0, 0, 3]),
    most=some.sampled_from([None, None, 0.4, 0.8]),
)
def test_rows_are_what_numpy_finds(
    stocked: Parted,
    session: Session,
    belief: str,
    seed: int,
    form: str,
    weight: float,
    size: int,
    offset: int,
    most: float | None,
) -> None:
    stocked.shop.believe(BELIEFS[belief])
    chance = random.Random(seed)
    high, query = chance.choice([100, 50, 5, -1]), _query(stocked, chance)
    statement, per, groups_of = FORMS[form]
    away, best = stocked.nearness(query, weight), dict[Any, float]()
    groups = {o.image_id: groups_of(stocked.shop, o) for o in stocked.shop.pictures if (o.row.price or 0) < high}
    for image, several in groups.items():
        for group in several:
            best[group] = min(best.get(group, 9.0), away[image])
    asked = statement.where(Image.price < high).add_columns(Image.image_id.label("shown"))
    rows = session.execute(
        nearest(
            asked,
            query,
            limit=size,
            offset=offset,
            per=per,
            max_distance=most,
            regions=weight,
            boxed=True,
            explained=True,
        )
    ).all()
    wanted = sorted(one for one in best.values() if most is None or one <= most + CLOSE)[offset : offset + size]
    assert all(row.complete for row in rows)
    ways = {row.strategy for row in rows}
    assert ways <= {"exact", "hnsw"}
    stocked.ways.setdefault(belief, set()).update(ways)
    assert [(row.distance, row.shown) for row in rows] == sorted((row.distance, row.shown) for row in rows)
    if most is None:
        assert len(rows) == len(wanted), "min(k, matches)"
    else:
        within = sum(one <= most - CLOSE for one in best.values())
        assert max(0, min(size, within - offset)) <= len(rows) <= len(wanted)
    assert [row.distance for row in rows] == pytest.approx([away[row.shown] for row in rows], abs=CLOSE)
    edge = wanted[len(rows) - 1] + CLOSE if rows else 0
    right = sum(r.distance <= edge and any(r.distance <= best[g] + CLOSE for g in groups[r.shown]) for r in rows)
    assert right >= 0.99 * len(rows)
    assert per is not None or len({row.shown for row in rows}) == len(rows), "no picture twice"
    for row in rows:
        _is_boxed(stocked, row, query)


def test_both_ways_were_gone(stocked: Parted) -> None:
    assert stocked.ways == {"no walk": {"exact"}, "huge": {"exact", "hnsw"}}, "what the test above is about"


def _is_boxed(stocked: Parted, row: Any, query: Sequence[float]) -> None:
    """The box is a nearest part's, where one lies nearer than the whole; rounding may decide between like ones."""
    [picture] = [one for one in stocked.shop.pictures if one.image_id == row.shown]
    whole = parts.apart(query, picture.row.vector)
    near = [(one, parts.apart(query, one.vector)) for one in stocked.regions[row.shown]]
    nearest_part = min((d for _, d in near), default=9.0)
    if row.box is None:
        assert row.label is None
        assert nearest_part > whole - CLOSE
    else:
        assert nearest_part < whole + CLOSE
        like = [one for one, d in near if d <= nearest_part + CLOSE]
        assert any(row.box == pytest.approx(one.box) and row.label == one.label for one in like)


def _query(stocked: Parted, chance: random.Random) -> list[float]:
    """A part's own vector, something near one, or a picture's."""
    picture = chance.choice(stocked.shop.pictures)
    several = stocked.regions[picture.image_id]
    vector = np.array(chance.choice(several).vector if several and chance.random() < 0.8 else picture.row.vector)
    return (vector + chance.choice([0.0, 0.3]) * np.array([chance.gauss(0, 1) for _ in vector])).tolist()
