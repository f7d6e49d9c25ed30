"""A bucket that is missing, denies, throttles, stalls or breaks off gives a typed error in bounded time."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate

import pytest

from imgsearch.errors import FetchRefused, ObjectMissing, StoreDenied, StoreError
from imgsearch.storage.store import Store, open_store, sweep, uri_of
from tests.faulty_http import Asked, Server, serving

DATA = b"a picture" * 1000
URI = uri_of(hashlib.sha256(DATA).digest())


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Asked], None]], tuple[Store, Server]]]:
    """Return how to open a store in a bucket that behaves as told (seconds: 1 for a request, 3 retries)."""
    running = []

    def start(behave: Callable[[Asked], None]) -> tuple[Store, Server]:
        context = serving(behave)
        server = context.__enter__()
        running.append(context)
        for name, value in {
            "ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
            "ACCESS_KEY_ID": "key",
            "SECRET_ACCESS_KEY": "very-secret",
            "REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        return open_store("s3://bucket/prefix", timeout=1), server

    yield start
    for context in running:
        context.__exit__(None, None, None)


def found(size: int, age: float = 0.0) -> dict[str, str]:
    """Return the headers of an object of `size` bytes, last written `age` seconds ago."""
    return {"ETag": '"e"', "Content-Length": str(size), "Last-Modified": formatdate(time.time() - age, usegmt=True)}


def whole(asked: Asked) -> None:
    asked.answer(200, found(len(DATA)), DATA)


def slow_head(asked: Asked) -> None:
    time.sleep(90)


def slow_body(asked: Asked) -> None:
    asked.answer(200, found(len(DATA)), DATA[:10])
    time.sleep(90)


def half(asked: Asked) -> None:
    asked.answer(200, found(len(DATA)), DATA[: len(DATA) // 2])


def crumbs(asked: Asked) -> None:
    """Each time ten bytes more of the range asked for, then the connection breaks."""
    first = int(asked.headers.get("range", "bytes=0-").removeprefix("bytes=").split("-")[0])
    headers = found(len(DATA) - first) | {"Content-Range": f"bytes {first}-{len(DATA) - 1}/{len(DATA)}"}
    asked.answer(206 if first else 200, headers, DATA[first : first + 10])


def reset(asked: Asked) -> None:
    asked.send(b"")


def status(code: int) -> Callable[[Asked], None]:
    return lambda asked: asked.answer(code, {"Retry-After": "9"}, b"<Error/>")


@pytest.mark.parametrize(
    ("behave", "error", "says", "wait"),
    [
        (status(404), ObjectMissing, "add the picture again", None),
        (status(401), StoreDenied, "credentials", None),
        (status(403), StoreDenied, "credentials", None),
        (status(429), StoreError, "slow down", 5.0),
        (status(503), StoreError, "slow down", 5.0),
        (status(500), StoreError, "try again", None),
        (status(400), StoreError, "try again", None),
        (slow_head, StoreError, "try again", None),
        (slow_body, StoreError, "try again", None),
        (half, StoreError, "try again", None),
        (crumbs, StoreError, "try again", None),
        (reset, StoreError, "try again", None),
    ],
)
def test_each_fault_has_its_error_and_its_end(
    bucket: Callable[..., tuple[Store, Server]],
    behave: Callable[[Asked], None],
    error: type[StoreError],
    says: str,
    wait: float | None,
) -> None:
    store, server = bucket(behave)
    started = time.monotonic()
    with pytest.raises(error, match=says) as caught:
        store.get(URI)
    assert time.monotonic() - started < 45
    assert type(caught.value) is error
    assert caught.value.retry_after == wait
    assert "very-secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(server.asked) <= 8, "retries are bounded"


@pytest.mark.parametrize("code", [403, 503])
def test_every_verb_has_the_same_errors(bucket: Callable[..., tuple[Store, Server]], code: int) -> None:
    store, _ = bucket(status(code))
    for use in (
        lambda: store.put(DATA),
        lambda: store.exists(URI),
        lambda: store.delete(URI),
        lambda: list(store.keys()),
        lambda: store.put_thumbnail(bytes(32), b"t"),
        lambda: store.get_thumbnail(bytes(32)),
        lambda: sweep(store, set),
    ):
        with pytest.raises(StoreError) as caught:
            use()
        assert type(caught.value) is (StoreDenied if code == 403 else StoreError)


def test_one_hiccup_is_not_noticed(bucket: Callable[..., tuple[Store, Server]]) -> None:
    def hiccup(asked: Asked) -> None:
        status(503)(asked) if len(server.asked) == 1 else whole(asked)

    store, server = bucket(hiccup)
    assert store.get(URI) == DATA
    assert len(server.asked) == 2


def test_the_size_is_checked_before_the_body_is_read(bucket: Callable[..., tuple[Store, Server]]) -> None:
    store, _ = bucket(lambda asked: asked.answer(200, found(10**10), b""))
    with pytest.raises(FetchRefused, match="10000000000 bytes"):
        store.get(URI)


def test_what_is_there_is_not_sent_again_unless_it_is_old(bucket: Callable[..., tuple[Store, Server]]) -> None:
    for age, size, sent in ((5, len(DATA), 0), (7200, len(DATA), 1), (5, len(DATA) - 1, 1)):
        store, server = bucket(lambda asked, size=size, age=age: asked.answer(200, found(size, age)))
        assert store.put(DATA) == URI
        assert sum(asked.method == "PUT" for asked in server.asked) == sent


def test_rights_to_write_suffice_for_putting(bucket: Callable[..., tuple[Store, Server]]) -> None:
    store, server = bucket(lambda asked: asked.answer(200 if asked.method == "PUT" else 403, {"ETag": '"e"'}))
    assert store.put(DATA) == URI
    assert server.asked[-1].body == DATA


def test_nobody_listens(bucket: Callable[..., tuple[Store, Server]]) -> None:
    store, server = bucket(whole)
    server.stop()
    started = time.monotonic()
    with pytest.raises(StoreError, match="check that it is up") as caught:
        store.get(URI)
    assert type(caught.value) is StoreError
    assert time.monotonic() - started < 45


def test_no_credentials_anywhere(bucket: Callable[..., tuple[Store, Server]], monkeypatch: pytest.MonkeyPatch) -> None:
    _, server = bucket(status(404))
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{server.port}")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreDenied, match="AWS_ACCESS_KEY_ID"):
        open_store("s3://bucket", timeout=1).get(URI)
