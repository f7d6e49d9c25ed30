"""A key reaches one tenant and what its scope allows; whoever has none, or another's, gets nothing."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgsearch.errors import UsageError
from imgsearch.flask import Identity, ImageSearch, create_app
from imgsearch.ops import api_keys as keys
from imgsearch.settings import Settings
from tests.conftest import with_settings
from tests.http.conftest import problem, with_key

Connection = psycopg.Connection[Any]
KeyOf = Callable[..., str]


def test_without_a_key_or_with_a_wrong_one_nothing_is_answered(
    client: FlaskClient, shop: list[int], key_of: KeyOf
) -> None:
    good = key_of("acme")
    handle, secret = re.fullmatch(r"imgs_([0-9a-f]{12})_(.{43})", good).groups()  # type: ignore[union-attr]
    other = key_of("bolt")
    wrong = [
        "",
        "x",
        good[:-1],
        good + "A",
        good.upper(),
        f"imgs_{handle}_{'A' * 43}",
        f"imgs_{'0' * 12}_{secret}",
        f"imgs_{handle}_{other.rpartition('_')[2]}"[: len(good)],
        handle,
        secret,
    ]
    for headers in ({}, *(with_key(key) for key in wrong), {"Authorization": f"Basic {good}"}):
        answer = client.post("/v1/search", json={"text": "red shoe"}, headers=headers)
        problem(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    client.post("/sign-in", data={"key": good})
    assert client.get("/").status_code == 200
    problem(client.post("/v1/search", json={"text": "red shoe"}), 401, "unauthorized")
    assert client.post("/v1/search", json={"text": "red shoe"}, headers=with_key(good)).status_code == 200


def test_a_key_is_kept_as_a_digest_and_ends_at_once(
    client: FlaskClient, connection: Connection, shop: list[int], key_of: KeyOf
) -> None:
    key = key_of("acme")
    row = connection.execute("SELECT handle, digest, k::text FROM imgsearch.api_key k").fetchone()
    assert row is not None
    secret = key.rpartition("_")[2] if key.count("_") == 2 else key.split("_", 2)[2]
    assert bytes(row[1]) == sha256(secret.encode()).digest()
    assert secret not in row[2]
    assert client.post("/v1/search", json={"text": "red shoe"}, headers=with_key(key)).status_code == 200
    assert keys.revoke(connection, row[0])
    problem(client.post("/v1/search", json={"text": "red shoe"}, headers=with_key(key)), 401, "unauthorized")
    assert [k.revoked_at is not None for k in keys.listed(connection)] == [True]
    assert not keys.revoke(connection, "nobody")
    with pytest.raises(UsageError, match="search, write or admin"):
        keys.create(connection, tenant="acme", scope="root")


def test_a_scope_allows_what_it_says(client: FlaskClient, first: int, key_of: KeyOf) -> None:
    calls: list[tuple[str, str, dict[str, Any], str]] = [
        ("POST", "/v1/search", {"json": {"text": "red shoe"}}, "search"),
        ("GET", f"/v1/images/{first}", {}, "search"),
        ("POST", "/v1/images", {"json": {"images": [{"product_id": "1", "url": "https://x.example/1.jpg"}]}}, "write"),
        ("DELETE", f"/v1/images/{first}", {}, "write"),
        ("GET", "/v1/status", {}, "admin"),
        ("GET", "/metrics", {}, "admin"),
    ]
    for scope in keys.SCOPES:
        headers = with_key(key_of("acme", scope))
        for method, path, sent, needed in calls:
            answer = client.open(path, method=method, headers=headers, **sent)
            if keys.SCOPES.index(scope) < keys.SCOPES.index(needed):  # type: ignore[arg-type]
                problem(answer, 403, "forbidden")
            else:
                assert answer.status_code in {200, 202, 204, 404}, (scope, path, answer.get_data())


def test_status_and_metrics_of_a_key_are_its_tenants_own(client: FlaskClient, shop: list[int], key_of: KeyOf) -> None:
    headers = with_key(key_of("acme", "admin"))
    assert client.get("/v1/status", headers=headers).get_json()["images"] == 10


def test_ten_thousand_attempts_reach_no_other_tenant(
    client: FlaskClient, connection: Connection, shop: list[int], key_of: KeyOf
) -> None:
    """Ids, filters, examples, keys, thumbnails, made-up signatures: what acme is answered is acme's."""
    rows = connection.execute("SELECT image_id, tenant_id, product_id FROM imgsearch.image").fetchall()
    own = {row[2] for row in rows if row[1] == "acme"}
    everything = {"text": "red shoe", "k": 100}

    def seen_by(tenant: str) -> set[int]:
        answer = client.post("/v1/search", json=everything, headers=with_key(key_of(tenant)))
        return {row["image_id"] for row in answer.get_json()["rows"]}

    seen = seen_by("acme")
    foreign = [*seen_by("bolt"), *(row[0] for row in rows)]  # as others see them, and as the table has them
    before = connection.execute("SELECT count(*) FROM imgsearch.image WHERE tenant_id <> 'acme'").fetchone()
    headers = with_key(key_of("acme", "admin"))
    dice = random.Random(5)
    attempts = leaks = 0

    def search() -> None:
        nonlocal leaks
        asked: dict[str, Any] = {"k": dice.choice([1, 10, 100]), "text": "red shoe"}
        if dice.random() < 0.4:
            asked["tenant"] = dice.choice(["bolt", "corner", "*", "acme' OR true --", "%", "ACME", " acme", "acme"])
        if dice.random() < 0.4:
            asked[dice.choice(["more_like", "less_like"])] = dice.sample(foreign, 2)
        if dice.random() < 0.3:
            asked["attributes"] = {dice.choice(["tenant_id", "colour", "') OR true --"]): dice.choice(["bolt", "red"])}
        if dice.random() < 0.2:
            asked["category"] = [dice.choice(["shoes", "' OR tenant_id = 'bolt", "bags"])]
        if dice.random() < 0.2:
            asked["after"] = f"{dice.choice([-1.0, 0.0, 0.3])},{dice.choice(foreign)}"
        answer = client.post("/v1/search", json=asked, headers=headers)
        assert answer.status_code in {200, 400, 403, 404}, answer.get_data()
        if answer.status_code == 200:
            leaks += sum(row["tenant_id"] != "acme" or row["product_id"] not in own for row in answer.json["rows"])

    def image() -> None:
        nonlocal leaks
        path = f"/v1/images/{dice.choice(foreign)}"
        method = dice.choice(["GET", "GET", "DELETE"])
        leaks += client.open(path, method=method, headers=headers).status_code != 404

    def thumbnail() -> None:
        nonlocal leaks
        made_up = "".join(dice.choices("ABCdef0123_-", k=dice.choice([0, 22, 70, 77, 78, 1001])))
        leaks += client.get(f"/thumbnail/{made_up}.webp").status_code not in {308, 404}

    def guess() -> None:
        nonlocal leaks
        key = f"imgs_{dice.getrandbits(48):012x}_{'A' * 43}"
        leaks += client.post("/v1/search", json={"text": "red shoe"}, headers=with_key(key)).status_code != 401

    def page() -> None:
        nonlocal leaks
        asked: list[tuple[str, str]] = [("q", "red shoe")] if dice.random() < 0.7 else []
        if dice.random() < 0.4:
            asked.append((dice.choice(["like", "unlike"]), str(dice.choice(foreign))))
        if dice.random() < 0.3:
            asked.append(("tenant", dice.choice(["bolt", "corner", "*", "acme' OR true --"])))
        if dice.random() < 0.3:
            asked.append(("before", str(dice.choice(foreign))))
        path = dice.choice(["/", "/", "/explain", "/added"])
        if path == "/added":
            asked = [("id", str(dice.choice(foreign))) for _ in range(3)]
        answer = visitor.get(path, query_string=asked)
        text = answer.get_data(as_text=True)
        assert answer.status_code in {200, 400, 403, 404}, text
        if answer.status_code == 200:
            shown = {int(found) for found in re.findall(r'<li[^>]* data-image="(\d+)"', text)}
            leaks += len(shown - seen)

    visitor = client.application.test_client()
    visitor.post("/sign-in", data={"key": headers["Authorization"].removeprefix("Bearer ")})
    total = int(os.environ.get("TENANT_ATTEMPTS", "400"))
    while attempts < total:
        dice.choice([search, image, thumbnail, thumbnail, guess, page])()
        attempts += 1
    assert leaks == 0
    assert connection.execute("SELECT count(*) FROM imgsearch.image WHERE tenant_id <> 'acme'").fetchone() == before


def test_the_database_itself_holds_when_the_code_forgets_the_tenant(
    app: Flask, connection: Connection, shop: list[int]
) -> None:
    """The second wall: a statement without any tenant, run as a request runs it, sees one tenant's rows."""
    here = app.extensions["imgsearch"]
    with here.session("acme") as walled:
        assert walled.execute("SELECT current_user").fetchone() == ("imgsearch_reader",)
        assert walled.execute("SELECT DISTINCT tenant_id FROM imgsearch.image").fetchall() == [("acme",)]
        with pytest.raises(psycopg.Error), walled.transaction():
            walled.execute("DELETE FROM imgsearch.image")
    with here.session("acme", writes=True) as walled:
        assert walled.execute("SELECT current_user").fetchone() == ("imgsearch_writer",)
        assert walled.execute("DELETE FROM imgsearch.image RETURNING tenant_id").fetchall() == [("acme",)] * 10
        with pytest.raises(psycopg.errors.InsufficientPrivilege), walled.transaction():
            walled.execute("SELECT * FROM imgsearch.api_key")
    with here.session(None) as free:
        assert free.execute("SELECT current_user").fetchone() == ("postgres",), "the next request begins afresh"
        assert free.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (20,)


def test_a_role_of_its_own_behind_the_wall_serves_keys(
    settings: Settings, connection: Connection, shop: list[int], key_of: KeyOf
) -> None:
    connection.execute("DROP ROLE IF EXISTS web")
    connection.execute("CREATE ROLE web LOGIN IN ROLE imgsearch_writer")
    key = key_of("acme", "admin")
    web = with_settings(settings, DATABASE_URL=settings.database_url.replace("postgres@", "web@"))
    app = create_app(web.environment())
    found = app.test_client().post("/v1/search", json={"text": "red shoe", "k": 100}, headers=with_key(key)).get_json()
    assert {row["tenant_id"] for row in found["rows"]} == {"acme"}
    assert len(found["rows"]) == 10
    listed = {"images": [{"product_id": "1", "url": "https://x.example/1.jpg"}]}
    assert app.test_client().post("/v1/images", json=listed, headers=with_key(key)).status_code == 202
    assert app.test_client().get("/readyz").get_json()["schema"] is True
    app.extensions["imgsearch"].close()
    connection.execute("DROP ROLE web")


def test_other_sites_pages_cannot_act_for_us(
    settings: Settings, open_app: Flask, client: FlaskClient, shop: list[int], key_of: KeyOf
) -> None:
    anyone = open_app.test_client()
    asked = {"text": "red shoe"}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        problem(anyone.post("/v1/search", json=asked, headers=headers), 403, "cross_site")
    for base, headers in (
        ("http://evil.example:8000", {}),
        ("http://192.168.0.7", {}),
        ("http://localhost", {"X-Forwarded-For": "1.2.3.4"}),
        ("http://localhost", {"Forwarded": "for=1.2.3.4"}),
    ):
        problem(anyone.post("/v1/search", json=asked, headers=headers, base_url=base), 403, "not_local")
        problem(anyone.get("/v1/status", headers=headers, base_url=base), 403, "not_local")
    for base in ("http://127.0.0.1:8000", "http://[::1]:8000", "http://localhost"):
        assert anyone.post("/v1/search", json=asked, base_url=base).status_code == 200
    key = with_key(key_of("acme"))
    plain = client.post("/v1/search", json=asked, headers={**key, "Origin": "https://shop.example"})
    assert "Access-Control-Allow-Origin" not in plain.headers
    sharing = create_app(with_settings(settings, HTTP_CORS="https://shop.example").environment())
    for origin, allowed in (("https://shop.example", "https://shop.example"), ("https://evil.example", None)):
        before = sharing.test_client().options("/v1/search", headers={"Origin": origin})
        assert before.headers.get("Access-Control-Allow-Origin") == allowed
        answer = sharing.test_client().post("/v1/search", json=asked, headers={**key, "Origin": origin})
        assert answer.headers.get("Access-Control-Allow-Origin") == allowed
        assert "Access-Control-Allow-Credentials" not in answer.headers
    sharing.extensions["imgsearch"].close()


def test_the_host_application_may_say_who_asks(settings: Settings, shop: list[int]) -> None:
    who: list[Identity | None] = [Identity(name="ann", tenant="bolt")]
    app = Flask("shop")
    app.config.update(settings.environment())
    ImageSearch(app, identify=lambda: who[0])
    found = app.test_client().post("/imgsearch/v1/search", json={"text": "red shoe", "k": 100}).get_json()
    assert {row["tenant_id"] for row in found["rows"]} == {"bolt"}
    problem(app.test_client().delete(f"/imgsearch/v1/images/{shop[1]}"), 403, "forbidden")
    problem(app.test_client().post("/imgsearch/v1/search", json={"text": "x", "tenant": "acme"}), 403, "other_tenant")
    who[0] = None
    problem(app.test_client().post("/imgsearch/v1/search", json={"text": "red shoe"}), 401, "unauthorized")
    app.extensions["imgsearch"].close()
