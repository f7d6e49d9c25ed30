"""examples/django_shop, started by its one command and used over HTTP."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from imgsearch.dev import embedded
from imgsearch.dev.testing import FAKE
from tests.django.filling import photo
from tests.own_server import named, with_database
from tests.processes import eventually

SHOP = Path(__file__).parents[2] / "examples/django_shop"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def shop(servers: embedded.Servers, tmp_path: Path) -> Iterator[httpx.Client]:
    """The running shop on a fresh database."""
    name = Identifier(named("django_example"))
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {} STRATEGY file_copy").format(name))
    environment = {
        "PATH": "/usr/bin:/bin",
        "DATABASE_URL": with_database(servers.database_url, "django_example"),
        "IMGSEARCH_REDIS_URL": servers.redis_url,
        "IMGSEARCH_HOME": str(tmp_path / "home"),
        "IMGSEARCH_MODEL": FAKE,
        # The workers too: those of another checkout may not know the tables of this one.
        "PYTHONPATH": f"{SHOP.parents[1]}:{SHOP.parents[1] / 'workers'}",
    }
    port = free_port()
    command = [sys.executable, "manage.py", "demo", "--products", "6", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=SHOP, env=environment, stdout=log, stderr=log)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:

        def answers() -> bool:
            assert process.poll() is None, (tmp_path / "log").read_text()[-3000:]
            try:
                return client.get("/").status_code == 200
            except httpx.TransportError:
                return False

        try:
            eventually(answers, what="the page")
            yield client
        finally:
            process.terminate()
            process.wait(120)
            with psycopg.connect(servers.database_url, autocommit=True) as admin:
                admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def token(page: httpx.Response) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert found
    return found[1]


def ids(page: httpx.Response) -> list[str]:
    assert page.status_code == 200, page.text[-2000:]
    return re.findall(r'data-product="(\d+)"', page.text)


def test_a_day_in_the_shop(shop: httpx.Client) -> None:
    front = shop.get("/")
    assert len(ids(front)) == 6
    form = {"csrfmiddlewaretoken": token(front)}
    red = photo(230, 10, 10)
    fields = {**form, "title": "red shoe", "category": "shoes", "price": "9.50", "in_stock": "on"}
    added = shop.post("/add/", data=fields, files={"photo": ("red.jpg", red, "image/jpeg")}, follow_redirects=True)
    [new] = set(ids(added)) - set(ids(front))

    def asked() -> httpx.Response:
        return shop.post("/", data=form, files={"photo": ("asked.jpg", red, "image/jpeg")})

    eventually(lambda: len(ids(asked())) == 7, 300, what="embedding the pictures")
    assert ids(asked())[0] == new, "the same photo is the nearest"
    words = shop.get("/", params={"q": "red canvas shoe"})
    assert len(ids(words)) == 7
    cheap = shop.get("/", params={"q": "red canvas shoe", "category": "shoes", "max_price": "9.50", "in_stock": "on"})
    assert new in ids(cheap)
    assert set(ids(cheap)) < set(ids(words))
    assert new not in ids(shop.get("/", params={"like": new}))
    assert len(ids(shop.get("/", params={"like": new}))) == 6
    broken = shop.post("/", data=form, files={"photo": ("x.jpg", b"no picture", "image/jpeg")})
    assert "valid image" in broken.text
