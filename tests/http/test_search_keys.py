"""A key that stands in a browser: what it was made for is all that can be reached with it, whatever is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from imgsearch.ops import api_keys as keys
from imgsearch.retrieval import Filters
from tests.http.conftest import Connection, problem, shown_to, sign_in, with_key

KeyOf = Callable[..., str]
WITHIN = Filters(category="shoes", max_price=100, attributes={"colour": "red"})
INSIDE = "category = 'shoes' AND price <= 100 AND attributes ->> 'colour' = 'red'"


@pytest.fixture
def key(connection: Connection, shop: list[int]) -> str:
    """Acme's key for red shoes up to 100. One product has a picture inside and others outside of that."""
    inside = outside_first = None
    for row in connection.execute(
        f"SELECT image_id, {INSIDE} FROM imgsearch.image WHERE tenant_id = 'acme' ORDER BY 1".encode()  # noqa: S608
    ).fetchall():
        if row[1] and inside is None:
            inside = row[0]
        elif not row[1]:
            outside_first = outside_first or row[0]
    for n, image in enumerate((inside, outside_first)):
        of = ("mixed", n, image)
        connection.execute("UPDATE imgsearch.image SET product_id = %s, position = %s WHERE image_id = %s", of)
    return keys.create(connection, tenant="acme", scope="search", filters=WITHIN)


@pytest.fixture
def inside(connection: Connection, key: str) -> set[int]:
    """The ids of the images that the key may see, as it sees them."""
    return shown_where(connection, INSIDE)


@pytest.fixture
def outside(connection: Connection, key: str) -> list[int]:
    """The ids of acme's other images, as the key would see them."""
    return sorted(shown_where(connection, f"({INSIDE}) IS NOT TRUE"))


def shown_where(connection: Connection, where: str) -> set[int]:
    rows = connection.execute(
        f"SELECT image_id FROM imgsearch.image WHERE tenant_id = 'acme' AND {where}".encode()  # noqa: S608
    ).fetchall()
    return {shown_to(connection, "acme", row[0]) for row in rows}


def ask(client: FlaskClient, key: str, **body: Any) -> Any:
    return client.post("/v1/search", json={"text": "red shoe", "k": 100, "per": "image", **body}, headers=with_key(key))


ASKED: list[dict[str, Any]] = [
    {},
    {"per": "product"},
    {"category": "bags"},
    {"category": ["shoes", "bags"]},
    {"max_price": 1000},
    {"min_price": 60},
    {"min_price": 80, "max_price": 1000},
    {"attributes": {"colour": "blue"}},
    {"attributes": {"colour": {"exists": True}}},
    {"condition": {"any": [{"category": "bags"}, {"price": {"min": 0}}]}},
    {"condition": {"all": [{"category": "bags"}]}},
    {"condition": {"all": []}},
    {"condition": {"any": [{"all": []}, {"not": {"any": []}}], "all": [{"price": {"exists": True}}]}},
    {"condition": {"not": {"category": "shoes"}}},
    {"condition": {"not": {"all": []}}},
    {"exclude_product_ids": ["p0"]},
    {"sort": "-price"},
    {"boost": {"in_stock": 0.1}},
    {"diversity": 0.5},
    {"expand": True},
    {"words": "thing"},
    {"look_weight": 0, "words": "thing"},
    {"skip": 2},
    {"like": [{"text": "red shoe"}], "strategy": "best"},
]


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_no_filter_and_no_ranking_leads_outside(
    client: FlaskClient, connection: Connection, key: str, inside: set[int], asked: dict[str, Any]
) -> None:
    """Each answer is that of a key without filters, less what lies outside."""
    connection.execute(
        "INSERT INTO imgsearch.product (tenant_id, product_id, title)"
        " SELECT DISTINCT tenant_id, product_id, 'Thing of words' FROM imgsearch.image WHERE tenant_id = 'acme'"
    )
    answer = ask(client, key, **asked)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    found = answer.get_json()
    assert {row["image_id"] for row in found["rows"]} <= inside
    assert found["matching_images"] <= len(inside)
    assert len(inside) >= 2
    if set(asked) <= {"sort", "boost", "diversity", "expand", "words"} or asked == {"max_price": 1000}:
        assert {row["image_id"] for row in found["rows"]} == inside, "and all of it is found"


def test_every_product_asked_for_by_name_stays_within(
    client: FlaskClient, connection: Connection, key: str, inside: set[int]
) -> None:
    names = [row[0] for row in connection.execute("SELECT DISTINCT product_id FROM imgsearch.image").fetchall()]
    found = ask(client, key, product_ids=names).get_json()
    assert {row["image_id"] for row in found["rows"]} == inside


def test_other_pictures_of_a_product_are_neither_shown_nor_counted(
    client: FlaskClient, key: str, inside: set[int], key_of: KeyOf
) -> None:
    def mixed(key: str) -> dict[str, Any]:
        rows = ask(client, key, per="product", product_ids=["mixed"]).get_json()["rows"]
        found: dict[str, Any] = rows[0]
        return found

    whole, part = mixed(key_of("acme")), mixed(key)
    assert (whole["pictures"], len(whole["others"])) == (2, 1)
    assert (part["pictures"], part["others"]) == (1, [])
    assert part["image_id"] in inside


def test_images_outside_are_as_if_they_were_not_there(
    client: FlaskClient, key: str, inside: set[int], outside: list[int], key_of: KeyOf
) -> None:
    seen = sorted(inside)[0]
    assert client.get(f"/v1/images/{seen}", headers=with_key(key)).status_code == 200
    for name in ("image_id", "more_like", "less_like"):
        good, bad = (one if name == "image_id" else [one] for one in (seen, outside[0]))
        assert ask(client, key_of("acme"), **{name: bad}).status_code == 200
        assert ask(client, key, **{name: good}).status_code == 200
        refused = problem(ask(client, key, **{name: bad}), 404, "unknown_image")["detail"]
        nobody = problem(ask(client, key, **{name: [4711] if name != "image_id" else 4711}), 404, "unknown_image")
        assert refused.replace(str(outside[0]), "4711") == nobody["detail"], "told apart from one that is not there"
    for name in ("like", "unlike"):
        others = {} if name == "like" else {"like": [{"image_id": seen}]}
        assert ask(client, key, **others, **{name: [{"image_id": seen}]}).status_code == 200
        problem(ask(client, key, **others, **{name: [{"image_id": outside[0]}]}), 404, "unknown_image")
    gone = problem(client.get(f"/v1/images/{outside[0]}", headers=with_key(key)), 404, "unknown_image")
    absent = problem(client.get("/v1/images/4711", headers=with_key(key)), 404, "unknown_image")
    assert gone["detail"].replace(str(outside[0]), "4711") == absent["detail"]


def test_products_outside_are_as_if_they_were_not_there(
    client: FlaskClient, connection: Connection, key: str, key_of: KeyOf
) -> None:
    row = connection.execute(
        "SELECT product_id FROM imgsearch.image"
        " WHERE tenant_id = 'acme' AND category = 'bags' AND product_id <> 'mixed'"
    ).fetchone()
    assert row is not None
    for name in ("product_id", "like", "unlike"):

        def asked(product: str, name: str = name) -> dict[str, Any]:
            return {name: product} if name == "product_id" else {name: [{"product_id": product}]}

        assert ask(client, key_of("acme"), **asked(row[0])).status_code == 200
        assert ask(client, key, **asked("mixed")).status_code == 200
        refused = problem(ask(client, key, **asked(row[0])), 404, "unknown_image")["detail"]
        nobody = problem(ask(client, key, **asked("nobody")), 404, "unknown_image")["detail"]
        assert refused.replace(row[0], "nobody") == nobody


def test_counts_and_lists_know_nothing_of_what_lies_outside(
    client: FlaskClient, connection: Connection, key: str, inside: set[int]
) -> None:
    """A facet's own filter does not count against it; the key's does."""
    wanted = {"category": True, "in_stock": True, "price": True, "attributes": True}
    for filters in ({}, {"category": "bags"}, {"attributes": {"colour": "blue"}}, {"min_price": 100}):
        facets = ask(client, key, facets=wanted, **filters).get_json()["facets"]
        assert {one["value"] for one in facets["category"]} <= {"shoes"}
        assert {one["value"] for one in facets["attributes"].get("colour", [])} <= {"red"}
        assert all(one["low"] < 100 for one in facets["price"])
        assert sum(one["count"] for one in facets["category"]) <= len(inside)
    lists: list[tuple[dict[str, Any], set[str]]] = [
        ({"facet": "category"}, {"shoes"}),
        ({"facet": "category", "category": "bags"}, {"shoes"}),
        ({"facet": "attribute", "name": "colour"}, {"red"}),
        ({"facet": "attribute", "name": "colour", "attributes": {"colour": "blue"}}, {"red"}),
    ]
    for body, values in lists:
        found = client.post("/v1/choices", json={**body, "per": "image"}, headers=with_key(key)).get_json()
        assert [(one["value"], one["count"]) for one in found["values"]] == [(one, len(inside)) for one in values]
    titles = client.post("/v1/choices", json={"facet": "attribute", "name": "title"}, headers=with_key(key)).get_json()
    assert titles["different"] == len(inside)


def test_suggestions_are_titles_of_what_may_be_seen(
    client: FlaskClient, connection: Connection, key: str, key_of: KeyOf
) -> None:
    connection.execute(
        "INSERT INTO imgsearch.product (tenant_id, product_id, title) SELECT tenant_id, product_id,"  # noqa: S608
        f" CASE WHEN bool_or({INSIDE}) THEN 'Samba ' || product_id ELSE 'Sambal ' || product_id END"
        " FROM imgsearch.image WHERE tenant_id = 'acme' GROUP BY 1, 2".encode()
    )
    every = client.get("/v1/suggest?q=sam", headers=with_key(key_of("acme"))).get_json()["suggestions"]
    assert {one["kind"] for one in every} == {"words", "title"}
    found = client.get("/v1/suggest?q=sam&k=20", headers=with_key(key)).get_json()["suggestions"]
    assert found
    assert {one["kind"] for one in found} == {"title"}
    assert all(one["text"].startswith("Samba ") for one in found)
    for wrong in ("", "q=", f"q={'x' * 101}", "q=a&k=0", "q=a&k=21", "q=a&page=2", "q=a&tenant=bolt"):
        assert client.get(f"/v1/suggest?{wrong}", headers=with_key(key)).status_code in {400, 403}, wrong


def test_the_page_of_a_browser_signed_in_with_such_a_key_stays_within(
    client: FlaskClient, connection: Connection, key: str, inside: set[int], outside: list[int]
) -> None:
    sign_in(client, key)
    titles = {
        "outside": [f"Thing {n}<" for n in _things(connection, f"({INSIDE}) IS NOT TRUE")],
        "inside": [f"Thing {n}<" for n in _things(connection, INSIDE)],
    }
    for path in (
        "/",
        "/?q=red+shoe",
        "/?q=red+shoe&category=bags",
        f"/?like={outside[0]}",
        f"/?like={sorted(inside)[0]}",
    ):
        text = client.get(path).get_data(as_text=True)
        assert not [one for one in titles["outside"] if one in text], path
    for path in ("/", "/?q=red+shoe"):
        text = client.get(path).get_data(as_text=True)
        assert [one for one in titles["inside"] if one in text], path
    assert "bags" not in client.get("/choices?facet=category").get_data(as_text=True)


def _things(connection: Connection, where: str) -> list[str]:
    rows = connection.execute(
        f"SELECT attributes ->> 'title' FROM imgsearch.image WHERE tenant_id = 'acme' AND {where}".encode()  # noqa: S608
    ).fetchall()
    return [row[0].removeprefix("Thing ") for row in rows]


def test_whoever_has_such_a_key_neither_writes_nor_reads_status(client: FlaskClient, key: str) -> None:
    for method, path in (("POST", "/v1/images"), ("GET", "/v1/images"), ("DELETE", "/v1/products/mixed")):
        problem(client.open(path, method=method, json={}, headers=with_key(key)), 403, "forbidden")
    problem(client.get("/v1/status", headers=with_key(key)), 403, "forbidden")


def test_a_pinned_product_outside_is_not_shown(
    client: FlaskClient, connection: Connection, key: str, inside: set[int]
) -> None:
    rows = connection.execute("SELECT DISTINCT product_id FROM imgsearch.image WHERE tenant_id = 'acme'").fetchall()
    for place, (product,) in enumerate(sorted(rows), 1):
        connection.execute("SELECT imgsearch.pin('acme', %s, place => %s)", (product, place))
    asks: list[dict[str, Any]] = [{}, {"category": "bags"}, {"per": "product"}, {"per": "product", "category": "bags"}]
    for asked in asks:
        found = ask(client, key, **asked).get_json()
        assert {row["image_id"] for row in found["rows"]} <= inside, asked
    connection.execute("SELECT imgsearch.hide('acme', 'mixed')")
    assert "mixed" not in {row["product_id"] for row in ask(client, key, per="product").get_json()["rows"]}
