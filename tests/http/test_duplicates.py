"""`GET /v1/images/{id}/duplicates`, and what a shop that refuses duplicates answers to an upload."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from imgsearch.ops import api_keys as keys
from imgsearch.ops import shops
from imgsearch.retrieval import Filters
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.http.conftest import Connection, problem, shown_to, with_key
from tests.twins import add, again, delivered, drawn, flat

KeyOf = Callable[..., str]


@pytest.fixture
def twins(connection: Connection, settings: Settings, space: Space) -> dict[str, int]:
    ids = {
        "one": add(connection, settings, drawn(0), "p0", category="shoes"),
        "again": add(connection, settings, again(0), "p1", category="hats"),
        "other": add(connection, settings, drawn(5), "p2", category="shoes"),
        "theirs": add(connection, settings, drawn(0), "p0", tenant="bazaar"),
    }
    delivered(connection, settings, space)
    return ids


def test_an_image_has_its_duplicates(
    client: FlaskClient, connection: Connection, twins: dict[str, int], key_of: KeyOf
) -> None:
    key = with_key(key_of("acme"))
    shown = {name: shown_to(connection, "acme", image) for name, image in twins.items()}
    found = client.get(f"/v1/images/{shown['one']}/duplicates", headers=key).get_json()["duplicates"]
    certain = [one for one in found if one["tier"] == "certain"]
    assert [(one["image_id"], one["product_id"], one["turn"]) for one in certain] == [(shown["again"], "p1", 1)]
    assert certain[0]["thumbnail"].startswith("/")
    assert "theirs" not in str(found)
    none = client.get(f"/v1/images/{shown['other']}/duplicates?similarity=1", headers=key).get_json()["duplicates"]
    assert none == []


def test_another_tenants_image_is_not_there(
    client: FlaskClient, connection: Connection, twins: dict[str, int], key_of: KeyOf
) -> None:
    theirs = shown_to(connection, "bazaar", twins["theirs"])
    found = client.get(f"/v1/images/{theirs}/duplicates", headers=with_key(key_of("acme")))
    assert found.status_code == 404
    alone = client.get(f"/v1/images/{theirs}/duplicates", headers=with_key(key_of("bazaar")))
    assert alone.get_json() == {"duplicates": []}


def test_a_key_with_filters_is_told_of_nothing_outside(
    client: FlaskClient, connection: Connection, twins: dict[str, int]
) -> None:
    key = with_key(keys.create(connection, tenant="acme", scope="search", filters=Filters(category="shoes")))
    one = shown_to(connection, "acme", twins["one"])
    assert client.get(f"/v1/images/{one}/duplicates", headers=key).get_json() == {"duplicates": []}
    again_ = shown_to(connection, "acme", twins["again"])
    assert client.get(f"/v1/images/{again_}/duplicates", headers=key).status_code == 404


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("similarity=0.2", "bad_request"),
        ("similarity=nan", "bad_request"),
        ("similarity=x", "bad_request"),
        ("tier=certain", "unknown_field"),
    ],
)
def test_what_makes_no_sense_is_refused(
    client: FlaskClient, connection: Connection, twins: dict[str, int], key_of: KeyOf, asked: str, code: str
) -> None:
    one = shown_to(connection, "acme", twins["one"])
    found = client.get(f"/v1/images/{one}/duplicates?{asked}", headers=with_key(key_of("acme")))
    problem(found, 400, code)


def test_a_shop_that_takes_each_picture_once_says_which_it_has(
    client: FlaskClient, connection: Connection, twins: dict[str, int], key_of: KeyOf
) -> None:
    shops.set_shop(connection, tenant="acme", duplicates="refuse")
    form = {"request": '{"images": [{"product_id": "p9"}, {"product_id": "p8"}]}'}
    files = [(io.BytesIO(data), "a.png") for data in (flat(), drawn(0))]
    found = client.post("/v1/images/upload", data={**form, "picture": files}, headers=with_key(key_of("acme", "write")))
    said = problem(found, 422, "duplicate")
    assert "product p0" in said["detail"]
    assert str(twins["one"]) not in said["detail"].replace("picture 0 of product p0", "")
    assert connection.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (4,), "all or none"


def test_a_search_for_more_like_one_leaves_its_twins_out(
    client: FlaskClient, connection: Connection, twins: dict[str, int], key_of: KeyOf
) -> None:
    key = with_key(key_of("acme"))
    one, again_, other = (shown_to(connection, "acme", twins[name]) for name in ("one", "again", "other"))
    asked = {"like": [{"image_id": one}], "per": "image"}

    def found(**more: object) -> set[int]:
        answer = client.post("/v1/search", json={**asked, **more}, headers=key).get_json()
        return {row["image_id"] for row in answer["rows"]}

    assert again_ in found()
    assert found(duplicates=False) == {other}


def test_a_pair_is_dismissed_for_good(
    client: FlaskClient, connection: Connection, twins: dict[str, int], key_of: KeyOf
) -> None:
    key = with_key(key_of("acme", "write"))
    shown = {name: shown_to(connection, "acme", image) for name, image in twins.items()}
    path = f"/v1/images/{shown['one']}/duplicates"
    assert client.delete(f"{path}?duplicate={shown['theirs']}", headers=key).status_code == 404
    assert client.delete(f"{path}?duplicate={shown['one']}", headers=key).status_code == 404
    assert client.delete(path, headers=key).status_code == 400
    assert client.delete(f"{path}?duplicate={shown['again']}", headers=key).status_code == 204
    found = client.get(path, headers=key).get_json()["duplicates"]
    assert shown["again"] not in [one["image_id"] for one in found]
    reads = with_key(key_of("acme"))
    assert client.delete(f"{path}?duplicate={shown['again']}", headers=reads).status_code == 403
