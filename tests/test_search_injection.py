"""Strings meant to break out of SQL, in every parameter of a search: they match nothing, break nothing, reach nobody.

SEARCH_INJECTIONS=60000 asks 10,000 in each place.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import cast, or_, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import FilterError
from imgsearch.retrieval import nearest, search
from imgsearch.settings import Settings
from imgsearch.spaces.space import ensure
from imgsearch.sqlalchemy.models import Image
from tests.asking import shop
from tests.shop import database, fill

STRINGS = int(os.environ.get("SEARCH_INJECTIONS", "300"))
OPENINGS = [
    "'",
    "''",
    '"',
    "$$",
    "$1",
    "($1).query",
    "%s",
    "%(tenant)s",
    "{candidates}",
    "{}",
    ":x",
    "\\",
    "\\'",
    "`",
    ")",
    "]]",
]
MIDDLES = [
    " OR true",
    " OR 1=1",
    ") OR (SELECT true)",
    "; DROP TABLE imgsearch.image; --",
    " UNION SELECT image_id FROM imgsearch.image",
    " AND pg_sleep(10) IS NULL",
    "::text::regclass",
    " || (SELECT string_agg(tenant_id, ',') FROM imgsearch.image)",
    "' AND i.tenant_id <> '",
    "%1$s%2$s%3$I%%",
    "/*",
    "\n--\n",
    "\u2019 OR \u2018a\u2019=\u2018a",
    "é\U0001f600",
    "{a,b}",
    '"},{"x":"',
]
ENDINGS = ["", "--", "/*", "'", '"', "$$", ";", "\\", "#"]


@pytest.fixture(scope="module")
def settings(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    with database(servers, template) as made:
        with db.connect(made, autocommit=True) as connection:
            fill(connection, ensure(connection, FakeEncoder().describe()), shop(300, seed=1))
            connection.execute("SELECT imgsearch.refresh_sample()")
        yield made


@pytest.fixture(scope="module")
def walled(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    with db.connect(settings, autocommit=True) as connection:
        connection.execute("SET ROLE imgsearch_reader")
        connection.execute("SET imgsearch.tenant = 'acme'")
        connection.execute("SET statement_timeout = '5s'")
        yield connection


def strings(seed: int) -> Iterator[str]:
    chance = random.Random(seed)
    for _ in range(STRINGS // 6):
        yield "".join(chance.choice(part) for part in (OPENINGS, MIDDLES, MIDDLES, ENDINGS))


def asked_of(name: str, evil: str) -> dict[str, Any]:
    """Return arguments of search() that hold the string where `name` says."""
    places: dict[str, dict[str, Any]] = {
        "tenant": {"tenant": evil},
        "category": {"category": evil},
        "categories": {"category": ["shoes", evil]},
        "attribute": {"attributes": {evil: "red"}},
        "value": {"attributes": {"colour": evil, "size": {"not": evil}, "tags": {"not_in": [evil], "has": evil}}},
        "several": {"attributes": {"colour": [evil, "red"], evil: {"exists": False}, "size": {"min": evil}}},
    }
    return places[name]


@pytest.mark.parametrize("place", ["tenant", "category", "categories", "attribute", "value", "several"])
def test_search_binds_whatever_it_is_given(walled: psycopg.Connection[Any], place: str) -> None:
    query = [1.0] + [0.0] * 47
    for evil in strings(1):
        hits = search(walled, query, k=1000, **asked_of(place, evil))
        assert {hit.tenant_id for hit in hits} <= {"acme"}
        if place != "categories":
            assert not hits, (place, evil)
        with pytest.raises(FilterError, match="is no operator"):
            search(walled, query, attributes={"colour": {evil: "red"}})


def test_nearest_binds_whatever_it_is_given(settings: Settings) -> None:
    engine = db.engine(settings)
    with Session(engine) as session:
        for evil in strings(2):
            attributes = cast(Image.attributes, JSONB)
            named = or_(Image.category == evil, attributes[evil].astext == "red", attributes.contains({evil: evil}))
            statement = select(Image).where(or_(Image.tenant_id == evil, Image.product_id == evil, named))
            assert session.execute(nearest(statement, [1.0] + [0.0] * 47)).all() == []
    engine.dispose()


def test_a_text_is_a_text(walled: psycopg.Connection[Any]) -> None:
    for evil in strings(3):
        with pytest.raises(psycopg.Error) as caught:
            walled.execute("SELECT * FROM imgsearch.search(%s::text)", [evil])
        assert caught.value.sqlstate in {"IM001", "IM003"}, "nobody asked for it, or it is empty"


def test_nothing_is_left_behind(settings: Settings) -> None:
    with db.connect(settings) as connection:
        assert connection.execute("SELECT count(*) FROM imgsearch.images").fetchone() == (300,)
