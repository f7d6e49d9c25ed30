"""Requests sent ahead of their answers: a few are answered in order, many refused, and none holds a thread for ever."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from waitress.channel import HTTPChannel

from imgsearch.flask.channel import AT_ONCE, Patience
from tests.http.conftest import on_a_socket
from tests.http.test_slow_clients import get, is_cut, short
from tests.processes import eventually

ONE = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def all_of(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_few_are_answered_and_the_rest_refused() -> None:
    with on_a_socket(short) as place, socket.create_connection(place, timeout=30) as connection:
        connection.sendall(ONE * 200)
        said = all_of(connection)
    assert said.count(b"HTTP/1.1 200 OK") == AT_ONCE
    assert said.count(b"HTTP/1.1 400") == 1
    assert b"Too many requests at once" in said


def test_none_is_answered_while_they_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = HTTPChannel.received

    def interrupted(channel: HTTPChannel, data: bytes) -> bool:
        result: bool = taken(channel, data)
        time.sleep(0.2)  # as on a busy machine: other threads run
        return result

    monkeypatch.setattr(HTTPChannel, "received", interrupted)
    with on_a_socket(short) as place, socket.create_connection(place, timeout=30) as connection:
        connection.sendall(ONE * 200)
        assert all_of(connection).count(b"HTTP/1.1 200 OK") == AT_ONCE


def test_whoever_reads_none_of_them_holds_no_thread() -> None:
    """The thread waits for its reader above 16 MB: with a request behind, that was for ever."""

    def large(environ: dict[str, Any], start: Any) -> list[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            return short(environ, start)
        start("200 OK", [("Content-Length", str(20 << 20))])
        return [b"a" * (20 << 20)]

    patience = Patience(header=1, grace=1, rate=1e9)
    with (
        on_a_socket(large, threads=1, patience=patience) as place,
        socket.create_connection(place, timeout=30) as connection,
    ):
        connection.sendall(ONE * 3)
        assert get(place) == 200, "the only thread is free again"
        assert eventually(lambda: is_cut(connection))


def test_a_file_is_not_kept_open_for_a_slow_reader() -> None:
    seen: list[bool] = []

    def look(environ: dict[str, Any], start: Any) -> list[bytes]:
        seen.append("wsgi.file_wrapper" in environ)
        return short(environ, start)

    with on_a_socket(look) as place:
        assert get(place) == 200
    assert seen == [False]


def test_expecting_to_go_on_takes_no_refusal_back_and_merges_nothing() -> None:
    expecting = b"Expect: 100-continue\r\n\r\n"
    with on_a_socket(short, largest_body=1000) as place:
        with socket.create_connection(place, timeout=30) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n" + expecting)
            assert connection.recv(65536).startswith(b"HTTP/1.1 413")
        with socket.create_connection(place, timeout=30) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n" + expecting)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        with socket.create_connection(place, timeout=30) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n" + expecting)
            assert connection.recv(65536).startswith(b"HTTP/1.1 100")
            connection.sendall(b"abc")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
