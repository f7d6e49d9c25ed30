"""Apps on a test's own database: open as on a laptop, and with keys as behind a public address."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgsearch.dev.testing import FakeEncoder
from imgsearch.flask import create_app, serving
from imgsearch.flask.server import Server
from imgsearch.http import ids
from imgsearch.ops import api_keys as keys
from imgsearch.query import cache
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.answering import seen
from tests.shop import Row, fill
from tests.speaking import speak_for

Connection = psycopg.Connection[Any]
Address = tuple[str, int]
Teach = Callable[[str], list[float]]


def with_key(key: str) -> dict[str, str]:
    """Return the header that a key travels in."""
    return {"Authorization": f"Bearer {key}"}


def sign_in(client: FlaskClient, key: str) -> None:
    """Sign a browser in to the page with a key."""
    entered = client.post("/sign-in", data={"key": key})
    assert entered.status_code == 303, entered.get_data(as_text=True)


@pytest.fixture
def open_app(settings: Settings) -> Iterator[Flask]:
    """The app as `imgsearch serve` makes it on loopback."""
    app = create_app(settings.environment(), allow_anonymous=True)
    yield app
    app.extensions["imgsearch"].close()


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """The app as `imgsearch serve` makes it on a public address."""
    made = create_app({**settings.environment(), "HTTP_RATE": "0"})
    yield made
    made.extensions["imgsearch"].close()


@pytest.fixture
def still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no window of time end in which requests are counted in memory, however slow the machine is."""
    stopped = SimpleNamespace(time=partial(float, time.time()))
    monkeypatch.setattr("limits.storage.memory.time", stopped)
    monkeypatch.setattr("limits.strategies.time", stopped)


@pytest.fixture
def anyone(open_app: Flask) -> FlaskClient:
    """Somebody at this machine."""
    return open_app.test_client()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Somebody out there, who needs a key."""
    return app.test_client()


@pytest.fixture
def key_of(connection: Connection) -> Callable[..., str]:
    """Make a key: key_of("acme", "write")."""

    def make(tenant: str = "acme", scope: str = "search") -> str:
        return keys.create(connection, tenant=tenant, scope=scope, name="test")

    return make


@pytest.fixture
def teach(connection: Connection, space: Space) -> Teach:
    """Answer a text of every tenant as a query worker would have, so that a test without a worker can ask it."""

    def learn(text: str) -> list[float]:
        asked = cache.of_text(text)
        [vector] = FakeEncoder().embed_texts([text])
        for tenant in ("acme", "bolt", "corner", ""):
            speak_for(connection, tenant)
            cache.ask(connection, asked)
        cache.answer(connection, space.space_id, asked, vector)
        return [float(number) for number in vector]

    return learn


@pytest.fixture
def seen_worker(connection: Connection, space: Space) -> None:
    """A query worker by its sign of life alone; it answers nothing."""
    seen(connection, space)


@pytest.fixture
def shop(connection: Connection, space: Space, teach: Teach) -> list[int]:
    """Thirty pictures of three tenants; "red shoe" was asked before."""
    near = teach("red shoe")
    rows = [
        Row(
            vector=[a + (0.02 * n if i == n else 0) for i, a in enumerate(near)],
            tenant=("acme", "bolt", "corner")[n % 3],
            category=("shoes", "bags")[n % 2],
            price=5.0 * n,
            in_stock=n % 5 != 0,
            attributes={"colour": ("red", "blue")[n % 4 == 0], "size": n, "title": f"Thing {n}"},
        )
        for n in range(30)
    ]
    return fill(connection, space, rows)


def shown_to(connection: Connection, tenant: str, image_id: int) -> int:
    """Return an image's id as a tenant's key sees it."""
    row = connection.execute("SELECT secret FROM imgsearch.http_secret").fetchone()
    assert row is not None
    return ids.scramble(ids.key_of(bytes(row[0]), tenant), image_id)


@pytest.fixture
def first(connection: Connection, shop: list[int]) -> int:
    """The first picture of the shop, which is acme's, by its id as acme's keys see it."""
    return shown_to(connection, "acme", shop[0])


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is the problem document it should be, and return it."""
    assert response.status_code == status, response.get_data(as_text=True)
    assert response.content_type == "application/problem+json"
    found: dict[str, Any] = json.loads(response.get_data())
    assert found["code"] == code, found
    assert found["status"] == status
    assert found["type"] == f"urn:imgsearch:problem:{code}"
    assert found["detail"]
    assert "Traceback" not in found["detail"]
    return found


@contextmanager
def on_a_socket(app: Any, threads: int = 8, **options: Any) -> Iterator[Address]:
    """Serve an app as `imgsearch serve` does, in a thread of this process; yield where."""
    listening = serving.listen("127.0.0.1", 0)
    address: Address = listening.getsockname()
    server = Server(app, listening, threads=threads, **{"largest_body": 1 << 20, "connections": 4096, **options})
    running = threading.Thread(target=server.run, daemon=True)
    running.start()
    try:
        yield address
    finally:
        server.stop()
        running.join(10)
