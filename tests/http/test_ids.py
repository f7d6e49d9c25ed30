"""Ids as a tenant sees them: each stands for one image, and they say nothing of how many there are."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.http import ids
from tests.http.conftest import Connection, problem, shown_to, with_key

KeyOf = Callable[..., str]
IDS = st.integers(1, ids.LARGEST)
KEYS = st.binary(min_size=32, max_size=32)


@given(KEYS, IDS)
def test_each_id_is_shown_as_one_number_and_comes_back(key: bytes, image_id: int) -> None:
    shown = ids.scramble(key, image_id)
    assert 1 <= shown <= ids.LARGEST < 2**53, "JavaScript counts up to there"
    assert ids.unscramble(key, shown) == image_id
    assert ids.scramble(key, ids.unscramble(key, image_id)) == image_id, "and every number stands for an id"


@given(KEYS, KEYS, st.integers(1, 2**51 - 200))
def test_neighbouring_ids_lie_anywhere_and_elsewhere_for_others(key: bytes, other: bytes, first: int) -> None:
    run = range(first, first + 100)
    shown = [ids.scramble(key, one) for one in run]
    assert len(set(shown)) == 100
    rising = sum(a < b for a, b in pairwise(shown))
    assert 20 <= rising <= 80, "neither order nor distance is kept"
    if key != other:
        assert len({*shown} & {ids.scramble(other, one) for one in run}) <= 1


def test_the_key_is_the_secrets_and_the_tenants() -> None:
    secrets, tenants = (b"a" * 32, b"b" * 32), ("acme", "bolt", "")
    assert len({ids.key_of(secret, tenant) for secret in secrets for tenant in tenants}) == 6


def test_what_a_tenant_adds_tells_nothing_of_its_neighbour(
    client: FlaskClient, connection: Connection, shop: list[int], key_of: KeyOf
) -> None:
    """The neighbour adds one image between ours, then nine: neither ids nor their distances show the difference."""
    keys = {tenant: with_key(key_of(tenant, "write")) for tenant in ("acme", "bolt")}
    number = 0

    def add(tenant: str) -> int:
        nonlocal number
        number += 1
        listed = {"images": [{"product_id": f"new{number}", "url": f"https://x.example/{number}.jpg"}]}
        [made] = client.post("/v1/images", json=listed, headers=keys[tenant]).get_json()["images"]
        assert made["url"] == f"/v1/images/{made['image_id']}"
        return int(made["image_id"])

    ours: list[int] = []
    for between in (1, 9, 1, 9):
        ours.append(add("acme"))
        for _ in range(between):
            add("bolt")
    table = connection.execute(
        "SELECT image_id FROM imgsearch.image WHERE tenant_id = 'acme' AND product_id LIKE 'new%' ORDER BY 1"
    ).fetchall()
    real = [row[0] for row in table]
    assert ours == [shown_to(connection, "acme", one) for one in real]
    assert [b - a for a, b in pairwise(real)] == [2, 10, 2], "which the table itself would tell"
    gaps = [b - a for a, b in pairwise(ours)]
    assert min(map(abs, gaps)) > 10**6, "drawn from 2**52 numbers"
    assert len({*gaps}) == 3


def test_an_id_of_somebody_else_or_of_the_table_is_nobodys(
    client: FlaskClient, connection: Connection, shop: list[int], key_of: KeyOf
) -> None:
    ours, theirs = shop[0], shop[1]  # acme's and bolt's
    headers = with_key(key_of("acme", "write"))
    good = shown_to(connection, "acme", ours)
    shown = client.get(f"/v1/images/{good}", headers=headers).get_json()
    assert (shown["image_id"], shown["product_id"]) == (good, "p0")
    for wrong in (ours, theirs, shown_to(connection, "bolt", theirs), shown_to(connection, "acme", theirs), good + 1):
        for method in ("GET", "DELETE"):
            problem(client.open(f"/v1/images/{wrong}", method=method, headers=headers), 404, "unknown_image")
        for name in ("more_like", "less_like"):
            asked = {"text": "red shoe", name: [wrong]}
            found = problem(client.post("/v1/search", json=asked, headers=headers), 404, "unknown_image")
            assert f"Image {wrong} " in found["detail"], "named as it was asked, never as it is in the table"
    assert client.delete(f"/v1/images/{good}", headers=headers).status_code == 204


def _paged(client: FlaskClient, headers: dict[str, str], ranking: dict[str, object]) -> list[int]:
    seen: list[int] = []
    asked: dict[str, object] = {"text": "red shoe", "k": 4, **ranking}
    while rows := (page := client.post("/v1/search", json=asked, headers=headers).get_json())["rows"]:
        seen += [row["image_id"] for row in rows]
        assert f",{seen[-1]}," in page["after"]
        asked["after"] = page["after"]
    return seen


@pytest.mark.parametrize("ranking", [{"diversity": 0.3}, {"boost": {"in_stock": 0.05}}, {"sort": "price"}])
def test_pages_in_another_order_go_on_and_name_no_id_of_the_table(
    client: FlaskClient, connection: Connection, shop: list[int], key_of: KeyOf, ranking: dict[str, object]
) -> None:
    headers = with_key(key_of("acme"))
    mine = {shown_to(connection, "acme", one) for one in shop[::3]}
    assert sorted(_paged(client, headers, ranking)) == sorted(mine), "each once"
    asked = {"text": "red shoe", "k": 4, **ranking}
    after = client.post("/v1/search", json=asked, headers=headers).get_json()["after"]
    named = [int(one) for one in re.findall(r"\.i([0-9]+)", after)]
    assert named, "a place in a window names where the window lies"
    assert {*named} <= mine | {0}


def test_every_way_an_id_goes_in_and_out_is_the_same_one(
    client: FlaskClient, connection: Connection, shop: list[int], key_of: KeyOf
) -> None:
    headers = with_key(key_of("acme"))
    mine = {shown_to(connection, "acme", one) for one in shop[::3]}
    seen = _paged(client, headers, {})
    assert len(seen) == 10
    assert {*seen} == mine
    without = {"text": "red shoe", "exclude_image_ids": seen[:9]}
    left = client.post("/v1/search", json=without, headers=headers).get_json()["rows"]
    assert [row["image_id"] for row in left] == seen[9:]
    like = client.post("/v1/search", json={"image_id": seen[3], "k": 1}, headers=headers).get_json()["rows"]
    assert [row["image_id"] for row in like] == [seen[3]]


@pytest.mark.parametrize(
    "condition",
    [
        {"image_id": {"min": 1}},
        {"any": [{"category": "shoes"}, {"not": {"all": [{"image_id": 7}]}}]},
    ],
)
def test_a_condition_cannot_feel_its_way_to_an_id(
    client: FlaskClient, anyone: FlaskClient, shop: list[int], key_of: KeyOf, condition: dict[str, object]
) -> None:
    asked = {"text": "red shoe", "condition": condition}
    found = problem(client.post("/v1/search", json=asked, headers=with_key(key_of("acme"))), 400, "filter_error")
    assert "product_id" in found["detail"]
    assert anyone.post("/v1/search", json=asked).status_code == 200
    own = {"text": "red shoe", "condition": {"attributes.image_id": 7}}
    assert client.post("/v1/search", json=own, headers=with_key(key_of("acme"))).status_code == 200


def test_who_stands_above_tenants_sees_the_ids_of_the_table(anyone: FlaskClient, shop: list[int]) -> None:
    rows = anyone.post("/v1/search", json={"text": "red shoe", "k": 100}).get_json()["rows"]
    assert {row["image_id"] for row in rows} == {*shop}


def test_an_image_without_a_vector_is_refused_by_the_id_that_was_asked(
    client: FlaskClient, shop: list[int], key_of: KeyOf
) -> None:
    """A refusal that named the table's id would undo the scrambling of any number one likes."""
    headers = with_key(key_of("acme", "write"))
    listed = {"images": [{"product_id": "waits", "url": "https://x.example/w.jpg"}]}
    [made] = client.post("/v1/images", json=listed, headers=headers).get_json()["images"]
    found = problem(
        client.post("/v1/search", json={"image_id": made["image_id"]}, headers=headers), 404, "unknown_image"
    )
    assert str(made["image_id"]) in found["detail"]
