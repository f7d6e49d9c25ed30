"""What makes no sense, at every door: a typed error with the cure, or the answer that is documented; never a 500, a
short page or another tenant's row.

A case is what is asked by the names that all doors share, and what becomes of it; a door is a function that asks it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from imgsearch import Image, ImageId, nearest, search
from imgsearch.errors import FilterError, QueryError
from imgsearch.flask import create_app
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.http.conftest import teach
from tests.shop import Row, fill
from tests.terminal import Run, run

__all__ = ["run", "teach"]  # fixtures
Connection = psycopg.Connection[Any]
TEXT, PRODUCTS = "red shoe", 12
OTHER_SCRIPTS = ("赤い靴", "حذاء أحمر", "красные туфли", "👟👟", "e\u0301\u0323 \u200f\u202e", "ﬁne ＲＥＤ")
Found = list[str] | str  # products, or what kept them


@dataclass(frozen=True)
class Shop:
    """Acme has twelve products, the first of three pictures; bolt's products are called the same."""

    connection: Connection
    client: FlaskClient
    run: Run
    images: list[int]


@pytest.fixture
def shop(
    settings: Settings, connection: Connection, space: Space, teach: Callable[[str], list[float]], run: Run
) -> Iterator[Shop]:
    near = teach(TEXT)
    for text in OTHER_SCRIPTS:
        teach(text)
    rows = [
        Row(
            vector=[one + (0.05 * n if at == n else 0) for at, one in enumerate(near)],
            tenant=tenant,
            product=f"p{max(0, n - 2)}",
            price=float(n),
            attributes={"size": n},
        )
        for tenant in ("acme", "bolt")
        for n in range(PRODUCTS + 2)
    ]
    images = fill(connection, space, rows)
    connection.execute(
        "INSERT INTO imgsearch.product (tenant_id, product_id, title, words) VALUES"
        " ('acme', 'p1', '', ''), ('acme', 'p2', NULL, NULL), ('acme', 'p3', '   ', '赤い 靴'),"
        " ('bolt', 'p4', 'red shoe', '')"
    )
    app = create_app(settings.environment(), allow_anonymous=True)
    yield Shop(connection, app.test_client(), run, images)
    app.extensions["imgsearch"].close()


def python(shop: Shop, query: Any, asked: dict[str, Any]) -> Found:
    given: Any = query if isinstance(query, str) else [(ImageId(shop.images[n]), w) for n, w in query]
    try:
        hits = search(shop.connection, given, tenant="acme", **asked)
    except (FilterError, QueryError) as error:
        return str(error)
    return [hit.product_id for hit in hits]


def sql(shop: Shop, query: Any, asked: dict[str, Any]) -> Found:
    values: dict[str, Any] = {**asked, "query": query}
    kind = {"boost": "jsonb", "sort": "text", "after": "text", "words": "text", "k": "integer"}
    named = "".join(f", {name} => %({name})s::{kind.get(name, 'float8')}" for name in asked)
    what = "%(query)s"
    if "boost" in asked:
        values["boost"] = json.dumps(asked["boost"]).replace("NaN", '"NaN"')
    if not isinstance(query, str):
        vectors = ", ".join(f"imgsearch.vec_of({shop.images[n]})" for n, _ in query)
        what = f"imgsearch.combine(ARRAY[{vectors}], %(query)s)"
        values["query"] = [weight for _, weight in query]
    statement = f"SELECT product_id FROM imgsearch.search({what}, tenant => 'acme'{named})"  # noqa: S608 - names of ours
    try:
        return [row[0] for row in shop.connection.execute(statement.encode(), values)]
    except psycopg.Error as error:
        if not (error.sqlstate or "").startswith("IM") or not error.diag.message_hint:
            raise
        return str(error)


def http(shop: Shop, query: Any, asked: dict[str, Any]) -> Found:
    body: dict[str, Any] = {"tenant": "acme", **asked}
    if isinstance(query, str):
        body["text"] = query
    elif all(abs(weight) == 1 for _, weight in query):
        body["more_like"] = [shop.images[n] for n, weight in query if weight > 0]
        body["less_like"] = [shop.images[n] for n, weight in query if weight < 0]
    else:
        body["like"] = [{"image_id": shop.images[n], "weight": weight} for n, weight in query]
    answer = shop.client.post("/v1/search", data=json.dumps(body), content_type="application/json")
    if answer.status_code == 200:
        return [row["product_id"] for row in answer.get_json()["rows"]]
    assert answer.status_code == 400, answer.text
    assert answer.get_json()["detail"]
    return answer.text


def cli(shop: Shop, query: Any, asked: dict[str, Any]) -> Found:
    typed: list[Any] = ["search", "--tenant", "acme", "--json"]
    for name, value in asked.items():
        pairs = [f"{key}={one}" for key, one in value.items()] if name == "boost" else [value]
        typed += [f"--{name.replace('_', '-')}" + ("" if one is True else f"={one}") for one in pairs]
    if isinstance(query, str):
        typed += ["--", query]
    else:
        typed += [f"--{'more' if w > 0 else 'less'}-like={shop.images[n]}" for n, w in query if abs(w) == 1]
        typed += [f"--like=image:{shop.images[n]}@{weight}" for n, weight in query if abs(weight) != 1]
    ran = shop.run(*typed)
    if ran.code == 0:
        return [row["product_id"] for row in ran.document["rows"]]
    assert ran.code in {2, 4}, ran.err
    assert "Traceback" not in ran.err
    return ran.err


def page(shop: Shop, query: Any, asked: dict[str, Any]) -> Found:
    given: list[tuple[str, Any]] = [("tenant", "acme"), *asked.items()]
    if isinstance(query, str):
        given.append(("q", query))
    else:
        given += [("like" if weight > 0 else "unlike", shop.images[n]) for n, weight in query]
    answer = shop.client.get(f"/?{urlencode(given)}", headers={"Accept": "text/html"})
    assert answer.status_code in {200, 400}, answer.text
    if answer.status_code == 400:
        assert "data-code=" in answer.text
        return answer.text
    return [part.split("</a>")[0].split(">")[-1] for part in answer.text.split('<h2 dir="auto">')[1:]]


DOORS: dict[str, Callable[[Shop, Any, dict[str, Any]], Found]] = {
    "python": python,
    "sql": sql,
    "http": http,
    "cli": cli,
    "page": page,
}
EVERY = tuple(DOORS)
RANKED = ("python", "sql", "http", "cli")  # doors that take a ranking beside sort

REFUSED: list[tuple[Any, dict[str, Any], tuple[str, ...]]] = [
    (TEXT, {"word_weight": math.nan}, RANKED),
    (TEXT, {"word_weight": -1}, RANKED),
    (TEXT, {"word_weight": 101}, RANKED),
    (TEXT, {"look_weight": 0, "word_weight": 0}, RANKED),
    (TEXT, {"diversity": math.nan}, RANKED),
    (TEXT, {"diversity": 1.1}, RANKED),
    (TEXT, {"regions": math.nan}, EVERY),
    (TEXT, {"regions": 2}, EVERY),
    (TEXT, {"regions": -0.1}, EVERY),
    (TEXT, {"regions": "much"}, ("python", "http", "cli", "page")),
    (TEXT, {"regions": 1, "look_weight": 0}, RANKED),
    (TEXT, {"min_match": math.nan}, RANKED),
    (TEXT, {"min_match": -0.1}, RANKED),
    (TEXT, {"boost": {"in_stock": math.nan}}, RANKED),
    (TEXT, {"boost": {"in_stock": 0.51}}, RANKED),
    (TEXT, {"boost": {"in_stock": -1e308}}, RANKED),
    (TEXT, {"boost": {"colour": 0.1}}, RANKED),
    (TEXT, {"boost": {f"attributes.a{n}": 0.1 for n in range(11)}}, RANKED),
    (TEXT, {"max_distance": math.nan}, RANKED),
    (TEXT, {"sort": "colour"}, EVERY),
    (TEXT, {"sort": "attributes."}, EVERY),
    (TEXT, {"sort": "attributes." + "x" * 5000}, EVERY),
    (TEXT, {"sort": "--price"}, EVERY),
    (TEXT, {"after": "nonsense"}, EVERY),
    (TEXT, {"after": "0.5,1,1,zzzzzzzz"}, EVERY),
    (TEXT, {"after": "1e400,1"}, EVERY),
    (TEXT, {"after": "0.5," + "9" * 30}, EVERY),
    (TEXT, {"after": "0.5,1,1,00000000,e.i1."}, EVERY),
    ([(0, -1)], {}, EVERY),
    ([(0, -1), (1, -1)], {"k": 3}, ("python", "sql", "http", "cli")),
    ([(0, math.nan)], {}, RANKED),
    ([(0, math.inf)], {}, RANKED),
    ([(0, 0.0)], {}, RANKED),
]


@pytest.mark.parametrize("door", EVERY)
def test_what_makes_no_sense_is_refused(shop: Shop, door: str) -> None:
    wrong = []
    for query, asked, doors in REFUSED:
        if door in doors:
            try:
                found = DOORS[door](shop, query, asked)
            except Exception as error:  # noqa: BLE001 - each is told
                wrong.append((query, str(asked)[:90], f"{type(error).__name__}: {error}"[:300]))
                continue
            if not isinstance(found, str):
                wrong.append((query, str(asked)[:90], found))
    assert wrong == []


ANSWERED: list[tuple[Any, dict[str, Any], tuple[str, ...]]] = [
    (TEXT, {"sort": "attributes.none such"}, RANKED),
    (TEXT, {"sort": "-attributes.none such"}, RANKED),
    (TEXT, {"boost": {"attributes.none such": 0.5}}, RANKED),
    (TEXT, {"boost": {}}, RANKED),
    (TEXT, {"words": ""}, ("python", "sql")),
    (TEXT, {"words": "   "}, RANKED),
    (TEXT, {"words": "靴 %_\\ ' \" :* & | ! <-> ("}, RANKED),
    *[(text, {}, EVERY) for text in OTHER_SCRIPTS],
    *[(TEXT, {"words": text}, RANKED) for text in OTHER_SCRIPTS],
]


@pytest.mark.parametrize("door", EVERY)
def test_what_is_odd_is_answered_whole(shop: Shop, door: str) -> None:
    """All twelve products of acme's, each once: those without a title too, and none of bolt's."""
    wrong = []
    for query, asked, doors in ANSWERED:
        if door in doors:
            given = asked if door == "page" else {**asked, "k": 100}
            try:
                found = DOORS[door](shop, query, given)
            except Exception as error:  # noqa: BLE001 - each is told
                wrong.append((query, asked, f"{type(error).__name__}: {error}"[:300]))
                continue
            if isinstance(found, str) or len(found) != PRODUCTS or len(set(found)) != PRODUCTS:
                wrong.append((query, asked, str(found)[:300]))
    assert wrong == []


@pytest.mark.parametrize("door", RANKED)
@pytest.mark.parametrize("ranking", [{}, {"sort": "price"}, {"diversity": 0.3}, {"expand": True}, {"look_weight": 0}])
def test_a_cursor_is_of_its_question_alone(shop: Shop, door: str, ranking: dict[str, Any]) -> None:
    def asked(**more: Any) -> Found:
        if door != "sql":
            return DOORS[door](shop, TEXT, {**ranking, **more})
        flags = {name: value for name, value in ranking.items() if name != "expand"}
        return (
            sql(shop, TEXT, {**flags, **more}) if "expand" not in ranking else python(shop, TEXT, {**ranking, **more})
        )

    hits = search(shop.connection, TEXT, tenant="acme", k=3, **{**ranking, "look_weight": ranking.get("look_weight")})
    if not hits:  # words alone: of acme's none is called so
        assert ranking == {"look_weight": 0}
        return
    after = hits.after or ""
    found = asked(after=after, k=100)
    assert isinstance(found, list)
    assert len({*found, *(hit.product_id for hit in hits)}) == len(found) + len(hits) == PRODUCTS
    parts = after.split(",")
    tampered = [",".join([*parts[:3], parts[3][::-1], *parts[4:]]), after[:-1] + "\u00e9", after + ",", "," + after]
    for wrong in (*tampered, after * 40, f"{parts[0]},{parts[1]},{parts[2]},{'0' * 8}"):
        assert isinstance(asked(after=wrong), str), wrong
    assert isinstance(asked(after=after, word_weight=2), str), "another question"
    assert isinstance(asked(after=after, max_distance=1.5), str), "another question"


def test_a_select_of_ones_own_takes_no_distance_that_is_no_number() -> None:
    with pytest.raises(FilterError, match="max_distance"):
        nearest(select(Image), [1.0, 0.0], max_distance=math.nan)


def test_a_product_of_several_tenants_is_a_product_of_each(shop: Shop) -> None:
    for asked in ({"sort": "price"}, {}, {"diversity": 0.5}, {"expand": True}):
        hits = search(shop.connection, TEXT, tenant="acme", k=100, **asked)  # type: ignore[arg-type]
        assert {hit.tenant_id for hit in hits} == {"acme"}
        assert {hit.product_id: hit.pictures for hit in hits}["p0"] == 3
        mine = set(shop.images[: PRODUCTS + 2])
        assert {one for hit in hits for one in hit.others} <= mine
        assert len(search(shop.connection, TEXT, k=100, **asked)) == 2 * PRODUCTS  # type: ignore[arg-type]
