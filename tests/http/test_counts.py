"""Counts beside a search over HTTP: what each further filter would leave, in your own bands, and lists to search in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgsearch.http import caps
from imgsearch.http.recent import RecentOf
from tests.http.conftest import Connection, problem, with_key

KeyOf = Callable[..., str]
ALL = {"category": True, "in_stock": True, "price": [0, 30, 90], "attributes": ["colour"]}


@pytest.fixture
def headers(connection: Connection, shop: list[int], key_of: KeyOf) -> dict[str, str]:
    """Acme's key. Its ten pictures are five products, of two pictures each."""
    for n, image in enumerate(shop[::3]):
        of = (f"q{n // 2}", n % 2, image)
        connection.execute("UPDATE imgsearch.image SET product_id = %s, position = %s WHERE image_id = %s", of)
    return with_key(key_of("acme"))


def ask(client: FlaskClient, headers: dict[str, str], facets: Any, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/search", json={"text": "red shoe", "facets": facets, **body}, headers=headers)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    found: dict[str, Any] = answer.get_json()
    return found


def of_table(connection: Connection, column: str, where: str = "true", per: str = "product_id") -> dict[str, int]:
    rows = connection.execute(
        f"SELECT {column}::text, count(DISTINCT {per}) FROM imgsearch.image i"  # type: ignore[arg-type]  # noqa: S608
        f" WHERE tenant_id = 'acme' AND {where} GROUP BY 1"
    ).fetchall()
    return dict(rows)


def by_value(listed: list[dict[str, Any]]) -> dict[str, int]:
    return {one["value"]: one["count"] for one in listed}


def test_an_answer_tells_how_many_products_each_further_filter_would_leave(
    client: FlaskClient, connection: Connection, headers: dict[str, str]
) -> None:
    found = ask(client, headers, ALL)
    facets = found["facets"]
    assert by_value(facets["category"]) == of_table(connection, "category")
    assert by_value(facets["in_stock"]) == of_table(connection, "in_stock")
    assert list(facets["attributes"]) == ["colour"]
    assert by_value(facets["attributes"]["colour"]) == of_table(connection, "attributes ->> 'colour'")
    bands = of_table(connection, "width_bucket(price, '{0, 30, 90}'::float8[])")
    assert [(one["low"], one["high"], one["count"]) for one in facets["price"]] == [
        (0, 30, bands["1"]),
        (30, 90, bands["2"]),
        (90, None, bands["3"]),
    ]
    assert not any(one["approximate"] for one in [*facets["category"], *facets["price"]])
    assert found["took_ms"]["facets"] > 0


def test_a_facets_own_filter_does_not_count_against_it_and_every_other_does(
    client: FlaskClient, connection: Connection, headers: dict[str, str]
) -> None:
    facets = ask(client, headers, ALL, category="bags", attributes={"colour": "red"})["facets"]
    assert by_value(facets["category"]) == of_table(connection, "category", "attributes ->> 'colour' = 'red'")
    assert by_value(facets["attributes"]["colour"]) == of_table(
        connection, "attributes ->> 'colour'", "category = 'bags'"
    )


def test_rows_that_are_images_are_counted_as_images_and_rejected_ones_are_not(
    client: FlaskClient, connection: Connection, headers: dict[str, str]
) -> None:
    found = ask(client, headers, {"category": True}, per="image", k=3)
    assert by_value(found["facets"]["category"]) == of_table(connection, "category", per="image_id")
    less = found["rows"][2]
    rest = ask(client, headers, {"category": True}, per="image", less_like=[less["image_id"]])
    told = by_value(rest["facets"]["category"])
    assert told[less["category"]] == by_value(found["facets"]["category"])[less["category"]] - 1


def test_nothing_is_counted_that_was_not_asked(client: FlaskClient, headers: dict[str, str]) -> None:
    assert ask(client, headers, None)["facets"] is None
    assert ask(client, headers, {})["facets"] == {"category": [], "in_stock": [], "price": [], "attributes": {}}
    usual = ask(client, headers, {"price": True, "attributes": True})["facets"]
    assert [one["low"] for one in usual["price"]][:2] == [0, 10]
    assert set(usual["attributes"]) >= {"colour", "size"}


def test_a_list_of_one_facet_is_searched_in(
    client: FlaskClient, connection: Connection, headers: dict[str, str]
) -> None:
    def listed(**body: Any) -> dict[str, Any]:
        answer = client.post("/v1/choices", json=body, headers=headers)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        found: dict[str, Any] = answer.get_json()
        return found

    titles = of_table(connection, "attributes ->> 'title'")
    assert by_value(listed(facet="attribute", name="title")["values"]) == titles
    some = listed(facet="attribute", name="title", contains="ING 1", k=1)
    assert (some["different"], len(some["values"])) == (sum("ing 1" in one.lower() for one in titles), 1)
    assert by_value(listed(facet="category", category="bags", per="image")["values"]) == of_table(
        connection, "category", per="image_id"
    )
    assert listed(facet="category", contains="none of them") == {"different": 0, "values": []}
    for wrong in (
        {"facet": "attribute"},
        {"facet": "category", "name": "colour"},
        {"facet": "tenant"},
        {"facet": "category", "k": 1001},
        {"facet": "category", "contains": "x" * (caps.NAME + 1)},
        {"facet": "category", "condition": {"image_id": 7}},
    ):
        assert client.post("/v1/choices", json=wrong, headers=headers).status_code == 400, wrong


def test_counts_are_told_again_for_a_moment_and_then_counted_anew(
    app: Flask, client: FlaskClient, connection: Connection, headers: dict[str, str], key_of: KeyOf
) -> None:
    counts = app.extensions["imgsearch"].counts
    counts.seconds = 3600.0
    before = ask(client, headers, ALL)
    connection.execute("UPDATE imgsearch.image SET category = 'boats'")
    for _ in range(2):
        again = ask(client, headers, ALL)
        assert again["facets"] == before["facets"]
        assert again["took_ms"]["facets"] == 0
    others = ask(client, with_key(key_of("bolt")), ALL)["facets"]
    assert set(by_value(others["category"])) == {"boats"}, "another tenant's are its own"
    assert set(by_value(ask(client, headers, ALL, max_price=1e6)["facets"]["category"])) == {"boats"}
    counts.seconds = 0.0
    assert set(by_value(ask(client, headers, ALL)["facets"]["category"])) == {"boats"}


def test_what_is_told_again_is_bounded_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("imgsearch.http.recent.time.monotonic", lambda: now[0])
    recent: RecentOf[int] = RecentOf(seconds=2.0, most=3)
    for n in range(5):
        recent.keep(str(n), n)
    assert [recent.get(str(n)) for n in range(5)] == [None, None, 2, 3, 4]
    now[0] = 1.9
    recent.keep("3", 33)
    assert (recent.get("2"), recent.get("3")) == (2, 33)
    now[0] = 2.1
    assert (recent.get("2"), recent.get("3"), recent.get("4")) == (None, 33, None)
    recent.keep("5", 5)
    assert len(recent._seen) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("price", []),
        ("price", [5, 5]),
        ("price", [10, 5]),
        ("price", [-1]),
        ("price", list(range(caps.BANDS + 1))),
        ("price", "all"),
        ("attributes", []),
        ("attributes", [""]),
        ("attributes", [f"a{n}" for n in range(caps.ATTRIBUTES + 1)]),
        ("colour", True),
    ],
)
def test_facets_that_make_no_sense_are_refused_by_name(
    client: FlaskClient, headers: dict[str, str], name: str, value: Any
) -> None:
    answer = client.post("/v1/search", json={"text": "red shoe", "facets": {name: value}}, headers=headers)
    said = problem(answer, 400, "unknown_field" if name == "colour" else "bad_request")
    assert said["errors"][0]["path"].startswith(f"/facets/{name}")
