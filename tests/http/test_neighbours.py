"""What one tenant's key sees never tells what another tenant asks, has, or has taken away."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient

from imgsearch.dev.testing import FakeEncoder
from imgsearch.ingest import upload
from imgsearch.query.cache import Entry
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.storage import open_store
from tests.answering import answering
from tests.http.conftest import shown_to, sign_in, with_key
from tests.shop import Row, fill
from tests.test_upload_to_answer import jpeg

KeyOf = Callable[..., str]


@pytest.fixture
def asked(settings: Settings, space: Space) -> Iterator[list[Entry]]:
    """What a query worker was asked."""
    with answering(settings, space) as found:
        yield found


def test_words_that_a_neighbour_asked_are_new_to_everybody_else(
    client: FlaskClient, shop: list[int], key_of: KeyOf, asked: list[Entry]
) -> None:
    """`source` is what it would be without the neighbour, and the worker is asked again, so time is no sign either."""
    picture = jpeg((9, 200, 30))

    def questions(tenant: str) -> list[tuple[str, str]]:
        headers, found = with_key(key_of(tenant)), []
        for sent in (
            {"json": {"text": "zebra umbrella"}},
            {"json": {"text": "Zebra  umbrella!"}},
            {"data": {"picture": (io.BytesIO(picture), "q.jpg"), "request": json.dumps({"k": 2})}},
        ):
            path = "/v1/search/upload" if "data" in sent else "/v1/search"
            answer = client.post(path, headers=headers, **sent).get_json()
            found.append((answer["resolved"]["kind"], answer["resolved"]["source"]))
        text = {"text": "zebra umbrella"}
        return [*found, ("embed", client.post("/v1/embed", headers=headers, json=text).get_json()["source"])]

    first = questions("acme")
    before = len(asked)
    assert questions("bolt") == first
    assert first == [("text", "worker"), ("text", "database"), ("picture", "worker"), ("embed", "database")]
    assert [one.kind for one in asked] == ["text", "picture"] * 2
    assert len(asked) == 2 * before


def test_what_could_not_be_embedded_is_a_secret_too(
    client: FlaskClient, shop: list[int], key_of: KeyOf, connection: Any, asked: list[Entry]
) -> None:
    wrong = {"text": "a text that no model can take"}
    client.post("/v1/search", json=wrong, headers=with_key(key_of("acme")))
    connection.execute(
        "UPDATE imgsearch.query_vector SET embedding = NULL, error_code = 'not_embeddable', error = 'no'"
        " WHERE key = sha256('a text that no model can take')"
    )
    assert client.post("/v1/search", json=wrong, headers=with_key(key_of("bolt"))).status_code == 200
    assert len(asked) == 2


def photo_of(client: FlaskClient, key: str, picture: bytes) -> str:
    """Search by a photo on the page as a key's owner; return what stands for it in the address."""
    sign_in(client, key)
    sent = client.post("/photo", data={"photo": (io.BytesIO(picture), "p.jpg")})
    assert sent.status_code == 303
    return parse_qs(urlsplit(sent.headers["Location"]).query)["photo"][0]


def test_a_photo_in_an_address_opens_for_its_tenant_only(
    client: FlaskClient, connection: Any, shop: list[int], key_of: KeyOf, asked: list[Entry]
) -> None:
    picture = jpeg((9, 200, 30))
    mine, theirs = (key_of(tenant) for tenant in ("acme", "bolt"))
    token = photo_of(client, mine, picture)
    assert sha256(picture).hexdigest() not in token
    assert client.get("/", query_string={"photo": token}).status_code == 200
    sign_in(client, theirs)
    refused = client.get("/", query_string={"photo": token})
    assert refused.status_code == 400
    assert 'data-code="unknown_photo"' in refused.get_data(as_text=True)
    assert photo_of(client, theirs, picture) != token, "nor can two tenants compare what they asked"
    sign_in(client, theirs)
    assert client.get("/", query_string={"photo": token}).status_code == 400, "also when it asked the same picture"
    sign_in(client, mine)
    page = client.get("/", query_string={"photo": token, "q": "red shoe"}).get_data(as_text=True)
    assert re.findall(r"photo=([\w-]+)", page)[:1] == [token]
    connection.execute("DELETE FROM imgsearch.query_vector WHERE kind = 'picture' AND tenant_id = 'acme'")
    forgotten = client.get("/", query_string={"photo": token})
    assert forgotten.status_code == 400
    assert "no longer cached" in forgotten.get_data(as_text=True)


@pytest.mark.parametrize("way", ["delete", "replace", "forget"])
def test_a_photo_is_forgotten_with_its_picture(
    client: FlaskClient,
    connection: Any,
    settings: Settings,
    shop: list[int],
    key_of: KeyOf,
    asked: list[Entry],
    way: str,
) -> None:
    """Whoever takes a picture away takes away what can be found by it; what a neighbour asked is the neighbour's."""
    picture = jpeg((9, 200, 30))
    store = open_store(settings.storage_url)
    for tenant in ("acme", "bolt"):
        upload.add(connection, picture, product_id="one", tenant=tenant, store=store)
    keys = {tenant: key_of(tenant) for tenant in ("acme", "bolt")}
    tokens = {tenant: photo_of(client, key, picture) for tenant, key in keys.items()}
    if way == "delete":
        upload.remove(connection, tenant="acme", product_id="one")
    elif way == "replace":
        upload.add(connection, jpeg((1, 2, 3)), product_id="one", tenant="acme", store=store)
    else:
        upload.forget(connection, tenant="acme", store=store)
        keys["acme"] = key_of("acme")
    found = {}
    for tenant, key in keys.items():
        sign_in(client, key)
        found[tenant] = client.get("/", query_string={"photo": tokens[tenant]}).status_code
    assert found == {"acme": 400, "bolt": 200}


VOLATILE = re.compile(
    r'"took_ms":\s*(\{[^}]*\}|[\d.]+)|"instance":\s*"[^"]*"|"thumbnails?_expires?_at":\s*"[^"]*"|[\d.]+ ms'
    r'|"/thumbnail/[^"]*"|_seconds [\d.e+]+|"oldest_waiting":\s*[\d.e-]+'
)


def everything(client: FlaskClient, key: str, images: list[int]) -> dict[str, str]:
    """Return all that a key's owner can read, without times and what expires."""
    headers = with_key(key)
    sign_in(client, key)
    calls: list[tuple[str, str, Any]] = [
        *(("POST", "/v1/search", body) for body in searches(images)),
        ("POST", "/v1/embed", {"text": "red shoe"}),
        ("POST", "/v1/images", {"images": [{"product_id": "p0", "url": "https://x.example/refused.jpg", "x": 1}]}),
        *(("GET", f"/v1/images/{image}", None) for image in images),
        *(("GET", path, None) for path in ("/v1/status", "/metrics", "/readyz", "/healthz", "/openapi.json")),
        *(("GET", path, None) for path in ("/", "/?q=red+shoe", "/?category=bags&max_price=50", "/explain?q=red+shoe")),
        ("GET", f"/?like={images[0]}&unlike={images[1]}", None),
        ("GET", f"/added?id={images[0]}", None),
    ]
    found = {}
    for method, path, body in calls:
        sent = {"json": body} if method == "POST" else {}
        answer = client.open(path, method=method, headers=headers, **sent)
        kept = [f"{name}: {value}" for name, value in answer.headers if name not in {"Server-Timing", "Content-Length"}]
        text = answer.get_data(as_text=True)
        found[f"{path} {body}"] = VOLATILE.sub("", f"{answer.status_code}\n" + "\n".join([*kept, text]))
    return found


def searches(images: list[int]) -> list[dict[str, Any]]:
    """Return searches of every kind, of words that are known."""
    return [
        {"text": "red shoe", "k": 3},
        {"text": "red shoe", "k": 3, "category": "shoes", "max_price": 100},
        {"text": "red shoe", "attributes": {"colour": "blue"}},
        {"text": "red shoe", "max_distance": 0.001},
        {"text": "red shoe", "category": "nothing"},
        {"more_like": images[:2], "less_like": images[2:3]},
        {"image_id": 7},
        {"text": "red shoe", "tenant": "bolt"},
    ]


def test_what_a_neighbour_does_changes_nothing_that_others_read(
    seen_worker: None,
    client: FlaskClient,
    connection: Any,
    space: Space,
    settings: Settings,
    shop: list[int],
    key_of: KeyOf,
) -> None:
    """Ours is read before and after the neighbour adds, deletes, fails and asks, also with our own pictures."""
    mine, theirs = key_of("acme", "admin"), key_of("bolt", "write")
    images = [shown_to(connection, "acme", one) for one in shop[::3]]
    picture = jpeg((7, 7, 200))
    upload.add(connection, picture, product_id="ours", tenant="acme", store=open_store(settings.storage_url))
    connection.execute("SELECT imgsearch.refresh_sample()")
    everything(client, mine, images)
    before = everything(client, mine, images)
    named = re.compile(r'(?:"image_id":|data-image="|like=|v1/images/|\bid=|before=|"after":"[\d.e-]+,)(\d{1,4})\b')
    raw = {path: found for path, text in before.items() if (found := named.findall(text)) and "openapi" not in path}
    assert raw == {}, "ids of the table are small numbers"

    def add(data: bytes, product: str) -> Any:
        fields = {"picture": (io.BytesIO(data), "1.jpg"), "request": json.dumps({"images": [{"product_id": product}]})}
        return client.post("/v1/images/upload", data=fields, headers=with_key(theirs)).get_json()["images"][0]

    same, other = add(picture, "same"), add(jpeg((200, 7, 7)), "other")
    assert (same["outcome"], same["waits"]) == (other["outcome"], other["waits"]) == ("added", True)
    assert client.delete(other["url"], headers=with_key(theirs)).status_code == 204
    connection.execute(
        "UPDATE imgsearch.job SET state = 'failed', error_code = 'missing', error = 'x' WHERE tenant_id = 'bolt'"
    )
    near = [float(n) for n in FakeEncoder().embed_texts(["red shoe"])[0]]
    many = [
        Row(
            vector=[one + 0.001 * (n % 7 == place % 7) for place, one in enumerate(near)],
            tenant="bolt",
            category=f"{n % 20}",
            price=float(n),
            attributes={"colour": f"c{n % 30}", "title": f"bolt {n}"},
        )
        for n in range(800)
    ]
    fill(connection, space, many, first=1000)
    connection.execute("SELECT imgsearch.refresh_sample()")
    connection.execute("ANALYZE imgsearch.image")
    with answering(settings, space):
        client.post("/v1/search", json={"text": "words of a neighbour"}, headers=with_key(theirs))
        photo_of(client, theirs, picture)
    after = everything(client, mine, images)
    assert {path: text for path, text in after.items() if text != before[path]} == {}, before


def test_the_neighbours_pictures_are_no_news_when_the_same_ones_are_added(
    client: FlaskClient, connection: Any, shop: list[int], key_of: KeyOf
) -> None:
    """What adding says is the same whether the bytes are new to the store or a neighbour's long since."""
    answers = []
    for tenant in ("acme", "bolt"):
        fields = {
            "picture": (io.BytesIO(jpeg((7, 7, 200))), "1.jpg"),
            "request": json.dumps({"images": [{"product_id": "one"}]}),
        }
        answer = client.post("/v1/images/upload", data=fields, headers=with_key(key_of(tenant, "write")))
        [made] = answer.get_json()["images"]
        answers.append((answer.status_code, made["outcome"], made["waits"]))
    assert answers[0] == answers[1] == (202, "added", True)
