"""Fetching a picture by its address: what is asked, what each answer means, and when nothing is sent again."""

from __future__ import annotations

import datetime
import gzip
import os
import socket
from pathlib import Path

import pytest

from imgsearch.errors import FetchRefused, ObjectMissing, StoreDenied, StoreError
from imgsearch.storage import read
from imgsearch.storage.policy import FetchPolicy
from imgsearch.storage.store import open_store
from imgsearch.storage.web import fetch
from tests.faulty_http import Asked, local, serving

BODY = b"\x89PNG not really" * 100


def test_three_redirects_are_followed_and_a_hundred_are_not() -> None:
    def count_down(asked: Asked) -> None:
        left = int(asked.path.strip("/"))
        asked.answer(200, body=BODY) if left == 0 else asked.answer(307, {"Location": f"/{left - 1}"})

    with serving(count_down) as server:
        answer = fetch(f"http://pictures.test:{server.port}/3", local(server.port))
        assert answer.data == BODY
        assert answer.final_url == f"http://pictures.test:{server.port}/0"
        server.asked.clear()
        with pytest.raises(FetchRefused, match="redirects more than 3 times"):
            fetch(f"http://pictures.test:{server.port}/100", local(server.port))
        assert len(server.asked) == 4


def test_what_we_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda asked: asked.answer(200, {"ETag": '"v1"', "Last-Modified": "yesterday"}, BODY)) as server:
        answer = fetch(f"http://pictures.test:{server.port}/a%20b?c=d#e", local(server.port))
        assert answer.data == BODY
        assert server.asked[0].method == "GET"
        assert server.asked[0].path == "/a%20b?c=d"
        assert server.asked[0].headers["accept-encoding"] == "identity"
        assert server.asked[0].headers["host"] == f"pictures.test:{server.port}"
        assert not {"cookie", "authorization"} & set(server.asked[0].headers)


def test_an_answer_to_a_condition_nobody_made_is_refused() -> None:
    with serving(lambda asked: asked.answer(304)) as server, pytest.raises(FetchRefused):
        fetch(f"http://pictures.test:{server.port}/", local(server.port))


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, ObjectMissing), (410, ObjectMissing), (401, StoreDenied), (403, StoreDenied), (429, StoreError),
     (500, StoreError), (502, StoreError), (503, StoreError), (504, StoreError), (408, StoreError),
     (400, FetchRefused), (204, FetchRefused), (206, FetchRefused), (418, FetchRefused), (300, FetchRefused)],
)  # fmt: skip
def test_what_a_status_means(status: int, error: type[StoreError]) -> None:
    with serving(lambda asked: asked.answer(status, {"Retry-After": "7"})) as server:
        with pytest.raises(error) as caught:
            fetch(f"http://pictures.test:{server.port}/x?signature=secret", local(server.port))
        assert type(caught.value) is error
        assert caught.value.retry_after == (7.0 if error is StoreError else None)
        assert "secret" not in str(caught.value)


def test_retry_after_may_be_a_date_or_nonsense() -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)
    for text, low, high in ((soon.strftime("%a, %d %b %Y %H:%M:%S GMT"), 80, 91), ("9" * 12, 3600, 3600)):
        with serving(lambda asked, text=text: asked.answer(503, {"Retry-After": text})) as server:  # type: ignore[misc]
            with pytest.raises(StoreError) as caught:
                fetch(f"http://pictures.test:{server.port}/", local(server.port))
            assert caught.value.retry_after is not None
            assert low <= caught.value.retry_after <= high
    with serving(lambda asked: asked.answer(503, {"Retry-After": "soon"})) as server:
        with pytest.raises(StoreError) as caught:
            fetch(f"http://pictures.test:{server.port}/", local(server.port))
        assert caught.value.retry_after is None


def test_gzip_that_we_did_not_ask_for_is_unpacked_within_the_cap() -> None:
    with serving(lambda asked: asked.answer(200, {"Content-Encoding": "gzip"}, gzip.compress(BODY, mtime=0))) as server:
        url = f"http://pictures.test:{server.port}/"
        assert fetch(url, local(server.port)).data == BODY
        assert fetch(url, local(server.port, max_bytes=len(BODY))).data == BODY
        with pytest.raises(FetchRefused, match="larger"):
            fetch(url, local(server.port, max_bytes=len(BODY) - 1))


@pytest.mark.parametrize(
    ("sent", "error"),
    [(gzip.compress(BODY, mtime=0)[:-9], StoreError), (b"no gzip at all", FetchRefused), (b"", StoreError)],
)
def test_gzip_that_is_cut_or_none_at_all(sent: bytes, error: type[StoreError]) -> None:
    packed = {"Content-Encoding": "gzip"}
    with serving(lambda asked: asked.answer(200, packed, sent)) as server, pytest.raises(error, match="gzip") as caught:
        fetch(f"http://pictures.test:{server.port}/", local(server.port))
    assert type(caught.value) is error


@pytest.mark.parametrize("sent", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"])
def test_broken_answers_are_worth_trying_again(sent: bytes) -> None:
    with serving(lambda asked: asked.send(sent)) as server, pytest.raises(StoreError) as caught:
        fetch(f"http://pictures.test:{server.port}/", local(server.port))
    assert type(caught.value) is StoreError


def test_an_unknown_name_and_a_closed_port_are_worth_trying_again() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(StoreError, match="cannot be resolved") as caught:
        fetch("http://gone.example/", FetchPolicy(resolve=unknown))
    assert type(caught.value) is StoreError
    with pytest.raises(StoreError, match="has no address"):
        fetch("http://gone.example/", FetchPolicy(resolve=lambda *_: []))
    with serving(lambda asked: None) as server:
        port = server.port
    with pytest.raises(StoreError) as caught:
        fetch(f"http://pictures.test:{port}/", local(port))
    assert type(caught.value) is StoreError


def test_read_takes_every_kind_of_address(tmp_path: Path) -> None:
    store = open_store("memory://every-kind")
    uri = store.put(BODY)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a b.png").write_bytes(BODY)
    with serving(lambda asked: asked.answer(200, body=BODY)) as server:
        policy = local(server.port, file_roots=(tmp_path / "in",))
        for address in (uri, f"http://pictures.test:{server.port}/", f"{(tmp_path / 'in').as_uri()}/a%20b.png"):
            assert read(address, store, policy, 10_000).data == BODY
            with pytest.raises(FetchRefused, match=r"smaller|larger"):
                read(address, store, policy, len(BODY) - 1)


def test_files_are_read_below_the_allowed_folder_only(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "inside-not"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (inside / "link").symlink_to(outside / "secret")
    os.mkfifo(inside / "pipe")
    store, policy = open_store("memory://none"), FetchPolicy(file_roots=(inside,))
    base = inside.as_uri()
    for uri in (
        f"{outside.as_uri()}/secret", f"{base}/../inside-not/secret", f"{base}/%2e%2e/inside-not/secret",
        f"{base}/link", f"{base}/pipe", base, "file:///etc/passwd", "file://example.com/etc/passwd", f"{base}/a%00b",
        "file:relative",
    ):  # fmt: skip
        with pytest.raises(FetchRefused):
            read(uri, store, policy, 1000)
    with pytest.raises(ObjectMissing):
        read(f"{base}/none", store, policy, 1000)
    with pytest.raises(FetchRefused):
        read(f"{base}/link", store, FetchPolicy(), 1000)
