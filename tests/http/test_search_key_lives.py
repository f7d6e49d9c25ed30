"""A browser's key: how it is made and refused, when it ends, and how often it may ask."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgsearch.errors import FilterError, UsageError
from imgsearch.http.identity import Identity
from imgsearch.ops import api_keys as keys
from imgsearch.ops import page_sessions
from imgsearch.retrieval import Filters, limits
from tests.http.conftest import Connection, problem, with_key
from tests.http.test_search_keys import WITHIN, ask
from tests.terminal import Run


@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(tenant="bolt"),
        Filters(exclude_image_ids=[1]),
        Filters(category=[f"c{n}" for n in range(limits.VALUES + 1)]),
        Filters(attributes={f"a{n}": 1 for n in range(limits.CONDITIONS + 1)}),
        Filters(condition={"any": [{"price": n} for n in range(limits.CONDITIONS + 1)]}),
        Filters(condition={"not": {"not": {"not": {"not": {"category": "x"}}}}}),
        Filters(condition={"colour": "red"}),
        Filters(attributes={"size": {"about": 3}}),
    ],
    ids=str,
)
def test_filters_that_cannot_be_kept_make_no_key(connection: Connection, filters: Filters) -> None:
    with pytest.raises(FilterError):
        keys.create(connection, tenant="acme", scope="search", filters=filters)
    assert keys.listed(connection) == []


def test_only_searches_can_be_kept_within_bounds(connection: Connection) -> None:
    for scope in ("write", "admin"):
        with pytest.raises(UsageError, match="scope search"):
            keys.create(connection, tenant="acme", scope=scope, filters=WITHIN)
        with pytest.raises(UsageError, match="scope search"):
            Identity(tenant="acme", name="x", scope=scope, limits=WITHIN)  # type: ignore[arg-type]
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "INSERT INTO imgsearch.api_key (handle, tenant_id, scope, name, digest, filters)"
            " VALUES ('x', 'acme', 'write', '', sha256('x'), '{\"category\": [\"a\"]}')"
        )


def test_limits_say_the_same_as_the_filters_they_are_made_of(connection: Connection, shop: list[int]) -> None:
    now = datetime.now(UTC)
    for filters in (
        WITHIN,
        Filters(min_price=20, in_stock=True),
        Filters(product_ids=["p3", "p6"], exclude_product_ids=["p6"]),
        Filters(created_after=now - timedelta(days=1), created_before=now + timedelta(days=1)),
        Filters(created_after=now + timedelta(days=1)),
        Filters(attributes={"size": {"min": 5}, "colour": ["red", "green"]}),
        Filters(category=["bags"], condition={"any": [{"price": {"max": 20}}, {"attributes.size": 15}]}),
    ):
        meant, kept = (
            connection.execute(
                "SELECT image_id, pictures FROM imgsearch.browse_products(imgsearch.filters_of(%s), 100)",
                (one.as_json(),),
            ).fetchall()
            for one in (filters, limits.within(Filters(), filters))
        )
        assert meant == kept, filters


def test_a_key_ends_when_it_was_to_and_is_swept_a_week_later(
    client: FlaskClient, connection: Connection, shop: list[int]
) -> None:
    ends = datetime.now(UTC) + timedelta(hours=1)
    made = keys.create(connection, tenant="acme", scope="search", filters=WITHIN, expires_at=ends)
    plain = keys.create(connection, tenant="acme", scope="search", expires_at=ends)
    assert ask(client, made).status_code == 200

    def age(days: int) -> None:
        connection.execute("UPDATE imgsearch.api_key SET expires_at = now() - %s * interval '1 day'", (days,))
        page_sessions.sweep(connection)

    age(6)
    problem(ask(client, made), 401, "key_expired")
    assert len(keys.listed(connection)) == 2
    age(8)
    assert [key.handle for key in keys.listed(connection)] == [keys.handle_of(plain)]


def test_a_rotated_key_keeps_its_filters(client: FlaskClient, connection: Connection, shop: list[int]) -> None:
    key = keys.create(connection, tenant="acme", scope="search", filters=WITHIN)
    new = keys.rotate(connection, keys.handle_of(key))
    before, after = (ask(client, one).get_json()["rows"] for one in (key, new))
    assert before
    assert [row["image_id"] for row in before] == [row["image_id"] for row in after]
    assert [one.filters for one in keys.listed(connection)] == [json.loads(WITHIN.as_json())] * 2


@pytest.mark.usefixtures("still_clock")
def test_two_addresses_do_not_share_what_a_browsers_key_may_ask(
    app: Flask, connection: Connection, shop: list[int]
) -> None:
    key = keys.create(connection, tenant="acme", scope="search", filters=WITHIN)
    app.extensions["imgsearch"].limiter._per_second = 1  # two at once
    client = app.test_client()

    def status(address: str) -> int:
        answer = client.get("/v1/suggest?q=a", headers=with_key(key), environ_overrides={"REMOTE_ADDR": address})
        return answer.status_code

    assert [status("192.0.2.1") for _ in range(3)] == [200, 200, 429]
    assert status("192.0.2.2") == 200


def test_a_key_is_made_and_listed_in_a_terminal(
    run: Run, connection: Connection, client: FlaskClient, shop: list[int]
) -> None:
    made = run("key", "create", "--tenant", "acme", "--category", "shoes", "--max-price", "100", "-a", "colour=red",
               "--expires", "1h", "--json")  # fmt: skip
    assert made.code == 0, made.err
    document = made.document
    assert document["filters"] == {"category": ["shoes"], "max_price": 100.0, "attributes": {"colour": "red"}}
    found = ask(client, document["key"]).get_json()
    assert {row["category"] for row in found["rows"]} == {"shoes"}
    listed = run("key", "list", "--json").document
    assert [one["filters"] for one in listed] == [document["filters"]]
    refused = run("key", "create", "--tenant", "acme", "--scope", "write", "--category", "shoes")
    assert refused.code == 2
    assert "scope search" in refused.err
