"""examples/flask_shop, started by its one command and used over HTTP."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from imgsearch.settings import Settings
from tests.doors.scenario import Item
from tests.processes import eventually

SHOP = Path(__file__).parent.parent / "examples/flask_shop/app.py"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def shop(environment: dict[str, str], settings: Settings, tmp_path: Path) -> Iterator[httpx.Client]:
    """The running shop with its workers, on this test's database."""
    port, log = free_port(), tmp_path / "log"
    root = str(SHOP.parents[2])
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(SHOP), "--products", "6", "--port", str(port)],
            env={**environment, "PYTHONPATH": root, "IMGSEARCH_HTTP_BIND": "127.0.0.1:0"},
            stdout=output,
            stderr=output,
        )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:

        def answers() -> bool:
            assert process.poll() is None, log.read_text()[-3000:]
            try:
                return client.get("/").status_code == 200
            except httpx.TransportError:
                return False

        try:
            eventually(answers, 180, "the page")
            yield client
        finally:
            process.terminate()
            process.wait(120)


def ids(page: httpx.Response) -> list[str]:
    assert page.status_code == 200, page.text[-2000:]
    return re.findall(r'data-product="(\d+)"', page.text)


def test_a_day_in_the_shop(shop: httpx.Client, connection: psycopg.Connection[Any]) -> None:
    assert ids(shop.get("/")) == ["6", "5", "4", "3", "2", "1"], "the newest first"
    photo = {"photo": ("p.png", Item(3).picture())}
    fields = {"name": "red <shoe>", "category": "shoes", "price": "0.5", "in_stock": "on"}
    added = shop.post("/products", data=fields, files=photo, follow_redirects=True)
    assert ids(added)[0] == "7"
    assert "red &lt;shoe&gt;" in added.text
    shown = shop.get("/products/7/photo")
    assert (shown.content, shown.headers["Content-Type"]) == (Item(3).picture(), "image/png")
    eventually(lambda: connection.execute("SELECT ready FROM imgsearch.status").fetchone() == (7,), what="embedding")

    assert ids(shop.post("/", files=photo))[0] == "7", "the same photo is the nearest"
    assert len(ids(shop.post("/", data={"words": "a thing nobody asked for before"}))) == 7
    assert ids(shop.get("/", params={"like": 7}))[0] == "7"
    cheap = {"category": "shoes", "max_price": "0.5", "in_stock": "on"}
    assert ids(shop.post("/", data={**cheap, "words": "red"})) == ["7"]
    assert ids(shop.get("/", params=cheap)) == ["7"]

    connection.execute("UPDATE product SET price = 0.25 WHERE id = 2")  # by whomever: the search follows the row
    assert set(ids(shop.post("/", files=photo, data={"max_price": "0.5"}))) == {"2", "7"}
    connection.execute("DELETE FROM product WHERE id = 7")
    assert "7" not in ids(shop.post("/", files=photo))

    for path in ("/", "/products"):
        refused = shop.post(path, files={"photo": ("p.png", b"not a picture")}, data=fields)
        assert refused.status_code == 422
        assert 'role="alert"' in refused.text
