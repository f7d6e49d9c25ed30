"""Honest customers: one process of threads that ask, look and upload, and write down how long each thing took."""

from __future__ import annotations

import base64
import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any

from bench.hostile.shop import TEXTS, Shop

PATIENCE = 60.0  # seconds: later is an error
Kind = Callable[["Customer"], tuple[int, bytes]]


@dataclass
class Tally:
    """Milliseconds by kind of request, and what went wrong."""

    milliseconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)

    def worst(self, kind: str) -> float:
        """Return the slowest of a kind in ms; 0 where there was none."""
        return max(self.milliseconds[kind], default=0.0)


class Customer:
    """One connection that stays open, with one key."""

    def __init__(self, shop: Shop, key: str) -> None:
        self.shop, self.key = shop, key
        self.numbers = random.Random()
        self.seen: list[int] = []
        self._connection = HTTPConnection("127.0.0.1", shop.port, timeout=PATIENCE)

    def ask(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> tuple[int, bytes]:
        """Return status and body of an answer."""
        headers = {"Authorization": f"Bearer {self.key}"}
        if body is not None:
            headers["Content-Type"] = kind
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self._connection.request(method, path, sent, headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, HTTPException):
            self._connection.close()
            raise

    def search(self, **asked: Any) -> tuple[int, bytes]:
        """Search, and remember what was found for later requests."""
        status, body = self.ask("POST", "/v1/search", asked)
        if status == 200:
            self.seen = [row["image_id"] for row in json.loads(body)["rows"]] or self.seen
        return status, body


def health(customer: Customer) -> tuple[int, bytes]:
    """Ask whether the process is alive."""
    return customer.ask("GET", "/healthz")


def words(customer: Customer) -> tuple[int, bytes]:
    """Search by words that were asked before."""
    return customer.search(text=customer.numbers.choice(TEXTS), k=10)


def filtered(customer: Customer) -> tuple[int, bytes]:
    """Search by words with filters."""
    return customer.search(text=customer.numbers.choice(TEXTS), k=10, max_price=60, in_stock=True)


def alike(customer: Customer) -> tuple[int, bytes]:
    """Search by an image that was found before."""
    if not customer.seen:
        return words(customer)
    return customer.search(image_id=customer.numbers.choice(customer.seen), k=10)


def new_words(customer: Customer) -> tuple[int, bytes]:
    """Search by words that nobody asked before: a worker embeds them."""
    return customer.search(text=f"red shoe {customer.numbers.randrange(10**9)}", k=10)


def photo(customer: Customer) -> tuple[int, bytes]:
    """Search by a photo."""
    body, kind = form({"request": b'{"k": 10}'}, drawn(customer.numbers.randrange(10**6)))
    return customer.ask("POST", "/v1/search/upload", body, kind)


def upload(customer: Customer) -> tuple[int, bytes]:
    """Add a picture."""
    number = customer.numbers.randrange(10**9)
    body, kind = form({"request": json.dumps({"images": [{"product_id": f"load-{number}"}]}).encode()}, drawn(number))
    return customer.ask("POST", "/v1/images/upload", body, kind)


def drawn(number: int) -> bytes:
    """Return a PNG of 64 × 64 that no other number has."""
    import io

    from PIL import Image

    image = Image.new("RGB", (64, 64), (number % 256, number // 256 % 256, number // 65536 % 256))
    image.putpixel((0, 0), (number // 2**24 % 256, 1, 2))
    made = io.BytesIO()
    image.save(made, "PNG")
    return made.getvalue()


def form(fields: dict[str, bytes], picture: bytes, name: str = "picture") -> tuple[bytes, str]:
    """Return a multipart body and its content type."""
    border = base64.b16encode(random.randbytes(16)).decode()
    parts = [
        f'--{border}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n'.encode() + value + b"\r\n"
        for key, value in fields.items()
    ]
    parts.append(
        f'--{border}\r\nContent-Disposition: form-data; name="{name}"; filename="a.png"\r\n'
        "Content-Type: image/png\r\n\r\n".encode()
        + picture
        + b"\r\n"
    )
    return b"".join(parts) + f"--{border}--\r\n".encode(), f"multipart/form-data; boundary={border}"


class Crowd:
    """Threads that each repeat one kind of request with a pause, until the block ends."""

    def __init__(self, shop: Shop, kinds: dict[str, tuple[Kind, str, int, float]]) -> None:
        """`kinds`: name → (what, whose key, how many threads, seconds between two requests)."""
        self.tally = Tally()
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(shop, name, *what[:2], what[3]), daemon=True)
            for name, what in kinds.items()
            for _ in range(what[2])
        ]

    def __enter__(self) -> Tally:
        for thread in self._threads:
            thread.start()
        return self.tally

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE + 5)

    def _repeat(self, shop: Shop, name: str, kind: Kind, key: str, pause: float) -> None:
        customer = Customer(shop, shop.keys[key])
        while not self._over.wait(pause):
            began = time.perf_counter()
            try:
                status, body = kind(customer)
            except (OSError, HTTPException) as error:
                self.tally.errors.append(f"{name}: {error!r}")
                continue
            self.tally.milliseconds[name].append((time.perf_counter() - began) * 1000)
            if status >= 300:
                self.tally.errors.append(f"{name}: {status} {body[:200]!r}")
