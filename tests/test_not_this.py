"""Not this: a rejected image does not come back, what looks like it gives way, and the question stays what it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as configured
from hypothesis import strategies as st
from imgsearch_workers.model.siglip import SiglipEncoder
from numpy.typing import NDArray
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from imgsearch import db
from imgsearch.cli.app import app as command
from imgsearch.dev import embedded
from imgsearch.dev.demo import draw
from imgsearch.dev.demo.words import Look
from imgsearch.errors import QueryError, VectorError
from imgsearch.picture import decode
from imgsearch.query import ImageId, Query, Resolved, resolve
from imgsearch.query.combine import MOST, combine
from imgsearch.retrieval import nearest, search
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space, ensure
from imgsearch.sqlalchemy.models import Image
from tests.shop import Row, database, fill

Vectors = NDArray[np.float32]
KINDS = ("shoes", "bags", "lamps")
PATTERNS = ("plain", "striped", "dotted", "checked")
FLOOR = 0.97  # of the cosine between a question and the same with things rejected: combine.sql


def looks() -> list[Look]:
    """Three kinds in red and blue, each in four patterns on three backgrounds."""
    return [
        Look(kind, colour, pattern, None if pattern == "plain" else "white", background)
        for kind in KINDS
        for colour in ("red", "blue")
        for pattern in PATTERNS
        for background in ("white", "studio", "grass")
    ]


@pytest.fixture(scope="module")
def encoder() -> SiglipEncoder:
    return SiglipEncoder.load("demo", threads=1)


@pytest.fixture(scope="module")
def settings(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    with database(servers, template) as made:
        yield made


@pytest.fixture(scope="module")
def connection(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    with db.connect(settings, autocommit=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def space(connection: psycopg.Connection[Any], encoder: SiglipEncoder) -> Space:
    return ensure(connection, encoder.describe())


@pytest.fixture(scope="module")
def shop(connection: psycopg.Connection[Any], space: Space, encoder: SiglipEncoder) -> dict[int, Look]:
    """Every look drawn and embedded by the demo's own model: {image_id: look}."""
    drawn = looks()
    pixels = np.stack([decode(draw.jpeg(look, seed), encoder.size) for seed, look in enumerate(drawn)])
    vectors = encoder.embed_pictures(pixels)
    rows = [
        Row(vector=vector.tolist(), category=look.category, attributes={"colour": look.colour})
        for vector, look in zip(vectors, drawn, strict=True)
    ]
    return dict(zip(fill(connection, space, rows), drawn, strict=True))


@pytest.fixture
def red_shoes(encoder: SiglipEncoder) -> list[float]:
    found: list[float] = encoder.embed_texts(["red shoes"])[0].tolist()
    return found


def found(connection: psycopg.Connection[Any], query: Query, **named: Any) -> list[int]:
    return [hit.image_id for hit in search(connection, query, **named)]


def test_a_shoe_rejected_leaves_shoes(
    connection: psycopg.Connection[Any], shop: dict[int, Look], red_shoes: list[float]
) -> None:
    before = found(connection, red_shoes)
    kinds, colours = [], []
    for rejected in (before[:1], before[4:5], before[:3]):
        after = found(connection, [(red_shoes, 1), *((ImageId(one), -1) for one in rejected)])
        assert len(after) == 10
        assert not {*rejected} & {*after}
        kinds.append(np.mean([shop[one].category == "shoes" for one in after]))
        colours.append(np.mean([shop[one].colour == "red" for one in after]))
    assert np.mean(kinds) >= 0.8, kinds  # 0.0 when a rejected picture was subtracted whole
    assert np.mean(colours) >= 0.8, colours


def test_what_looks_like_the_rejected_gives_way(
    connection: psycopg.Connection[Any], shop: dict[int, Look], red_shoes: list[float]
) -> None:
    everything = found(connection, red_shoes, k=len(shop))
    rejected = everything[0]
    after = found(connection, [(red_shoes, 1), (ImageId(rejected), -1)], k=len(shop))
    assert sorted([*after, rejected]) == sorted(everything)
    twins = [
        one
        for one, look in shop.items()
        if one != rejected and (look.category, look.colour, look.pattern) == _appearance(shop[rejected])
    ]
    assert np.mean([after.index(one) for one in twins]) > 1.5 * np.mean([everything.index(one) for one in twins])


def test_pages_of_it_follow_one_another(
    connection: psycopg.Connection[Any], shop: dict[int, Look], red_shoes: list[float]
) -> None:
    rejected = found(connection, red_shoes)[0]
    query = resolve(connection, [(red_shoes, 1), (ImageId(rejected), -1)])
    seen: list[int] = []
    after = None
    while (page := search(connection, query, k=7, after=after)) and len(seen) < len(shop):
        assert page.complete
        seen += [hit.image_id for hit in page]
        after = page.after
    assert len(seen) == len({*seen}) == len(shop) - 1
    kept = search(connection, query, exclude_image_ids=[seen[0]], k=3)
    assert [hit.image_id for hit in kept] == seen[1:4], "the caller's own exclusions hold beside it"


def test_every_door_says_not_this_alike(
    connection: psycopg.Connection[Any],
    settings: Settings,
    shop: dict[int, Look],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    liked, *rejected = [*shop][:3]
    wanted = found(connection, [(ImageId(liked), 1), *((ImageId(one), -1) for one in rejected)])
    rows = connection.execute(
        "SELECT image_id FROM imgsearch.search(imgsearch.combine("
        " ARRAY[imgsearch.vec_of(%(a)s), imgsearch.vec_of(%(b)s), imgsearch.vec_of(%(c)s)], ARRAY[1, -1, -1]),"
        " exclude_image_ids => %(out)s)",
        {"a": liked, "b": rejected[0], "c": rejected[1], "out": rejected},
    )
    assert [row[0] for row in rows] == wanted
    query = resolve(connection, [(ImageId(liked), 1), *((ImageId(one), -1) for one in rejected)])
    assert query.rejected == tuple(rejected)
    engine = create_engine("postgresql+psycopg://", creator=lambda: db.connect(settings))
    with Session(engine) as session:
        assert list(session.scalars(nearest(select(Image.image_id), query))) == wanted
    engine.dispose()
    monkeypatch.setenv("IMGSEARCH_DATABASE_URL", settings.database_url)
    asked = ["search", "--image-id", str(liked), "--json"]
    asked += [part for one in rejected for part in ("--less-like", str(one))]
    said = CliRunner().invoke(command, asked)
    assert said.exit_code == 0, said.output
    assert [row["image_id"] for row in json.loads(said.stdout)["rows"]] == wanted


@given(
    seed=st.integers(0, 2**32 - 1),
    weights=st.lists(st.floats(-1e6, -1e-3), min_size=1, max_size=30),
    near=st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=3),
    alike=st.floats(0, 1),
)
@configured(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_rejected_turns_a_question_round(
    connection: psycopg.Connection[Any], space: Space, seed: int, weights: list[float], near: list[float], alike: float
) -> None:
    dice = np.random.default_rng(seed)
    asked = [dice.normal(size=space.dimension) for _ in near]
    away = [(1 - alike) * dice.normal(size=space.dimension) + alike * asked[0] for _ in weights]
    question = combined(connection, space, asked, near)
    turned = combined(connection, space, [*asked, *away], [*near, *weights])
    assert question @ turned >= FLOOR - 1e-3
    towards = np.sum([-w * v / np.linalg.norm(v) for w, v in zip(weights, away, strict=True)], 0)
    assert turned @ towards <= question @ towards + 1e-3 * np.linalg.norm(towards), "and never nearer to the rejected"


def test_the_floor_is_reached_and_half_a_weight_turns_half_as_far(
    connection: psycopg.Connection[Any], space: Space
) -> None:
    axes = np.eye(space.dimension)
    rejected = 0.5 * axes[0] + np.sqrt(0.75) * axes[1]
    turned = combined(connection, space, [axes[0], rejected], [1, -1])
    assert turned[0] == pytest.approx(FLOOR, abs=2e-3)
    half = combined(connection, space, [axes[0], rejected], [1, -0.5])
    assert turned[0] < half[0] < 1
    same = combined(connection, space, [axes[0], axes[0]], [1, -1])
    assert same[0] == pytest.approx(1, abs=1e-3), "rejecting the very question changes nothing but what comes back"
    opposite = combined(connection, space, [axes[0], -axes[0]], [1, -1])
    assert opposite[0] == pytest.approx(1, abs=1e-3)


def test_what_cannot_be_combined_is_said(connection: psycopg.Connection[Any], space: Space) -> None:
    axes = np.eye(space.dimension)
    for weights, kind in (([-1, -1], QueryError), ([1, 0], QueryError), ([1, float("nan")], QueryError)):
        with pytest.raises(kind):
            combined(connection, space, [axes[0], axes[1]], weights)
    with pytest.raises(QueryError):
        combined(connection, space, [axes[0]] * (MOST + 1), [1] * (MOST + 1))
    with pytest.raises(VectorError):
        combined(connection, space, [axes[0], -axes[0]], [1, 1])
    one = "[" + ",".join(map(str, axes[0])) + "]"
    for vectors, weights, state in (
        ([one], [-1], "IM003"),
        ([one], [1, 1], "IM003"),
        ([one, None], [1, 1], "IM003"),
        ([one, one], [1, None], "IM003"),
        ([one, one], [1.0, float("inf")], "IM003"),
        ([], [], "IM003"),
        ([one, "[" + ",".join(map(str, -axes[0])) + "]"], [1, 1], "IM007"),
    ):
        with pytest.raises(psycopg.Error) as said:
            connection.execute("SELECT imgsearch.combine(%s::halfvec[], %s::float8[])", [vectors, weights])
        assert said.value.sqlstate == state, (vectors, weights)


def combined(
    connection: psycopg.Connection[Any], space: Space, vectors: list[Any], weights: list[float]
) -> NDArray[np.float64]:
    examples = [
        (
            Resolved(
                vector=str([float(x) for x in one]), space_id=space.space_id, source="given", took_ms=0, kind="vector"
            ),
            weight,
        )
        for one, weight in zip(vectors, weights, strict=True)
    ]
    found = np.array(json.loads(combine(connection, examples).vector))
    return found / np.linalg.norm(found)


def _appearance(look: Look) -> tuple[str, str, str]:
    return look.category, look.colour, look.pattern
