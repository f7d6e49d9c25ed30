"""Addresses of thumbnails: for one tenant's picture, for an hour or two, and worth nothing once it is taken away."""

from __future__ import annotations

import io
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256

import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgsearch.flask import create_app
from imgsearch.http import links
from imgsearch.http.thumbnails import placeholder
from imgsearch.ingest import picture_store, upload
from imgsearch.settings import Settings
from imgsearch.storage import open_store
from tests.conftest import with_settings
from tests.http.conftest import Connection, sign_in, with_key
from tests.shop import digest
from tests.test_upload_to_answer import jpeg

KeyOf = Callable[..., str]
WEBP = b"RIFF\0\0\0\0WEBP"


@pytest.fixture
def thumbnails(settings: Settings, shop: list[int]) -> None:
    """A thumbnail of each picture of the shop."""
    store = open_store(settings.storage_url)
    for number in range(30):
        store.put_thumbnail(digest(number), WEBP)


def address_of(client: FlaskClient, key: str, product: str) -> tuple[str, int]:
    """Return the thumbnail of a product's picture and the image's id, as a key sees them."""
    answer = client.post("/v1/search", json={"text": "red shoe", "k": 100}, headers=with_key(key)).get_json()
    [row] = [row for row in answer["rows"] if row["product_id"] == product]
    return row["thumbnail"], row["image_id"]


def test_the_address_works_for_an_hour_or_two_and_says_nothing(
    client: FlaskClient, thumbnails: None, key_of: KeyOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = key_of("acme")
    page = client.post("/v1/search", json={"text": "red shoe", "k": 100}, headers=with_key(key)).get_json()
    until = datetime.fromisoformat(page["thumbnails_expire_at"]).timestamp()
    address, _ = address_of(client, key, "p3")
    raw = urlsafe_b64decode(re.sub(r".*/|\.webp$", "", address) + "==")
    assert digest(3) not in raw
    assert b"acme" not in raw
    shown = client.get(address)
    assert (shown.status_code, shown.get_data()) == (200, WEBP)
    control = shown.headers["Cache-Control"]
    left = int(re.fullmatch(r"private, max-age=(\d+)", control)[1])  # type: ignore[index]
    assert 0 < left <= 7200
    assert abs(time.time() + left - until) < 60
    assert shown.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    again = client.get(address, headers={"If-None-Match": shown.headers["ETag"]})
    assert (again.status_code, again.get_data()) == (304, b"")
    now = time.time()
    monkeypatch.setattr(links.time, "time", lambda: until - 1)
    assert client.get(address).status_code == 200
    monkeypatch.setattr(links.time, "time", lambda: until + 1)
    assert client.get(address).status_code == 404
    assert address_of(client, key, "p3")[0] != address
    assert until - now >= 3599


def test_the_same_hour_gives_the_same_address_and_another_tenant_another(
    app: Flask, connection: Connection, shop: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = app.extensions["imgsearch"]
    began = 3600 * 500_000
    with app.test_request_context():
        longest = links.thumbnail(state, "\U0001f600" * 200, digest(3))
        assert longest is not None
        assert links.thumbnail_in(state, re.sub(r".*/|\.webp$", "", longest)) is not None
        made = []
        for tenant, now in (("acme", began), ("acme", began + 3599), ("acme", began + 3600), ("bolt", began)):
            monkeypatch.setattr(links.time, "time", lambda now=now: now)
            made.append(links.thumbnail(state, tenant, digest(3)))
    assert made[0] == made[1]
    assert len({*made}) == 3


def test_what_was_made_up_or_changed_is_not_found(client: FlaskClient, thumbnails: None, key_of: KeyOf) -> None:
    address, _ = address_of(client, key_of("acme"), "p3")
    name = re.sub(r".*/|\.webp$", "", address)
    for place in range(0, len(name), 7):
        other = name[:place] + ("A" if name[place] != "A" else "B") + name[place + 1 :]
        assert client.get(address.replace(name, other)).status_code == 404
    for other in (name[:-1], name + "A", name + "=", "é" * 40, "A" * 22, "A" * 1201, ""):
        assert client.get(f"/thumbnail/{other}.webp").status_code == 404


def test_a_neighbours_thumbnail_is_not_shown_before_ones_own_is_made(
    client: FlaskClient, connection: Connection, settings: Settings, key_of: KeyOf, shop: list[int]
) -> None:
    """Both have the same bytes: who adds them later sees a grey picture first, as if nobody had."""
    picture = jpeg((7, 7, 200))
    open_store(settings.storage_url).put_thumbnail(sha256(picture).digest(), WEBP)
    key = key_of("acme", "write")
    form = {"picture": (io.BytesIO(picture), "1.jpg"), "request": '{"images": [{"product_id": "same"}]}'}
    [made] = client.post("/v1/images/upload", data=form, headers=with_key(key)).get_json()["images"]
    assert client.get(made["url"], headers=with_key(key)).get_json()["thumbnail"] is None
    sign_in(client, key)
    page = client.get("/").get_data(as_text=True)
    address = re.findall(r'"(/thumbnail/[^"]+)"', page)[0]  # the newest comes first
    shown = client.get(address)
    assert (shown.status_code, shown.get_data()) == (200, placeholder())
    assert shown.headers["Cache-Control"] == "no-store"


def test_a_deleted_picture_is_gone_at_once_and_the_neighbours_same_one_stays(
    app: Flask, client: FlaskClient, connection: Connection, thumbnails: None, key_of: KeyOf
) -> None:
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri, sha256) VALUES ('bolt', 'same', 'store:x', %s)",
        (digest(3),),
    )
    with app.test_request_context():
        theirs = links.thumbnail(app.extensions["imgsearch"], "bolt", digest(3))
    assert theirs is not None
    key = key_of("acme", "write")
    ours, number = address_of(client, key, "p3")
    assert [client.get(one).status_code for one in (ours, theirs)] == [200, 200]
    assert client.delete(f"/v1/images/{number}", headers=with_key(key)).status_code == 204
    assert [client.get(one).status_code for one in (ours, theirs)] == [404, 200]
    assert client.get(ours).headers["Cache-Control"] == "no-store"


def test_a_replaced_or_forgotten_picture_is_gone_at_once(
    client: FlaskClient, connection: Connection, settings: Settings, thumbnails: None, key_of: KeyOf
) -> None:
    key = key_of("acme")
    replaced, _ = address_of(client, key, "p6")
    forgotten, _ = address_of(client, key, "p9")
    assert [client.get(one).status_code for one in (replaced, forgotten)] == [200, 200]
    connection.execute("UPDATE imgsearch.image SET uri = 'store:y', sha256 = sha256('y') WHERE product_id = 'p6'")
    assert [client.get(one).status_code for one in (replaced, forgotten)] == [404, 200]
    store = open_store(settings.storage_url)
    picture_store.take_over(connection, store)
    upload.forget(connection, tenant="acme", store=store)
    assert [client.get(one).status_code for one in (replaced, forgotten)] == [404, 404]


def test_a_process_that_logs_in_as_a_role_of_one_tenant_serves_thumbnails_too(
    settings: Settings, connection: Connection, client: FlaskClient, thumbnails: None, key_of: KeyOf
) -> None:
    address, _ = address_of(client, key_of("acme"), "p3")
    connection.execute("DROP ROLE IF EXISTS shown")
    connection.execute("CREATE ROLE shown LOGIN IN ROLE imgsearch_reader")
    walled = create_app(
        with_settings(settings, DATABASE_URL=settings.database_url.replace("postgres@", "shown@")).environment()
    )
    assert walled.test_client().get(address).status_code == 200
    connection.execute("DELETE FROM imgsearch.image WHERE product_id = 'p3'")
    assert walled.test_client().get(address).status_code == 404
    walled.extensions["imgsearch"].close()
    connection.execute("DROP ROLE shown")
