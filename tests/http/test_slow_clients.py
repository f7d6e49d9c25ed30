"""A thousand clients that send a byte now and then keep nobody out, and are cut off in the end."""

from __future__ import annotations

import contextlib
import http.client
import resource
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from imgsearch.flask.channel import Patience
from tests.http.conftest import Address, on_a_socket
from tests.processes import eventually

SLOW = 1000
SHORT = Patience(header=6, grace=6, rate=1e6)


def short(environ: dict[str, Any], start: Any) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def many_files() -> Iterator[None]:
    """Both ends of each connection are files of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4 * SLOW:
        pytest.skip(f"at most {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def begin(place: Address, n: int) -> socket.socket:
    """Open a connection from an address of its own among twenty, with half a header or half a body."""
    connection = socket.create_connection(place, timeout=30, source_address=(f"127.0.0.{2 + n % 20}", 0))
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n"
    connection.sendall(head + (b"\r\nhalf" if n % 2 else b"X-Half: "))
    return connection


def is_cut(connection: socket.socket) -> bool:
    """Send one more byte; return whether the other side has closed."""
    try:
        connection.send(b"a")
        connection.setblocking(False)
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def get(place: Address, body: bytes = b"") -> int:
    connection = http.client.HTTPConnection(*place, timeout=30)
    with contextlib.closing(connection):
        connection.request("POST", "/", body)
        answer = connection.getresponse()
        assert answer.read() == body
        return answer.status


@pytest.mark.slow
def test_a_thousand_slow_clients_keep_nobody_out_and_are_cut(many_files: None) -> None:
    with on_a_socket(short, patience=SHORT, largest_body=1 << 20) as place, contextlib.ExitStack() as open_ones:
        slow = [open_ones.enter_context(begin(place, n)) for n in range(SLOW)]
        began = time.monotonic()
        for _ in range(20):
            assert get(place) == 200
        assert time.monotonic() - began < SHORT.header / 2, "twenty requests beside a thousand slow ones"
        assert get(place, b"x" * 700_000) == 200, "a whole body, too"
        assert not is_cut(slow[-1])
        assert eventually(lambda: sum(map(is_cut, slow)) == SLOW, 60, "all cut off")
        assert get(place) == 200


def test_whoever_keeps_at_it_is_not_cut_off() -> None:
    """The rate counts, not the whole time: a slow line sends a large picture. Between requests there is time, too."""
    patience = Patience(header=0.5, grace=0.5, rate=1000)
    with on_a_socket(short, patience=patience) as place, socket.create_connection(place, timeout=30) as connection:
        for _ in range(2):
            connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12000\r\n\r\n")
            for _ in range(4):
                time.sleep(0.4)
                connection.sendall(b"a" * 3000)
            answer = b""
            while not answer.endswith(b"a" * 12000):
                piece = connection.recv(65536)
                assert piece, "cut off"
                answer += piece
            time.sleep(0.8)


def test_the_time_in_which_we_work_is_not_the_clients() -> None:
    goes_on = threading.Event()

    def slow(environ: dict[str, Any], start: Any) -> list[bytes]:
        goes_on.wait(30)
        return short(environ, start)

    with (
        on_a_socket(slow, patience=Patience(header=0.3, grace=0.3)) as place,
        socket.create_connection(place, timeout=30) as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(1.5)
        goes_on.set()
        assert connection.recv(100).startswith(b"HTTP/1.1 200")


def test_a_client_that_does_not_read_is_cut_off() -> None:
    def large(environ: dict[str, Any], start: Any) -> list[bytes]:
        start("200 OK", [("Content-Length", str(8 << 20))])
        return [b"a" * (8 << 20)]

    with (
        on_a_socket(large, patience=Patience(header=0.5, grace=0.5, rate=1e6)) as place,
        socket.create_connection(place, timeout=30) as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert eventually(lambda: is_cut(connection), what="the unread answer is given up")


def test_a_proxy_is_one_address_and_has_all_connections() -> None:
    with on_a_socket(short, connections=16, behind_proxy=True) as place, contextlib.ExitStack() as opened:
        many = [opened.enter_context(socket.create_connection(place, timeout=30)) for _ in range(10)]
        assert get(place) == 200
        assert not any(is_cut(one) for one in many)


def test_one_address_has_its_share_and_a_full_house_makes_room() -> None:
    with on_a_socket(short, connections=16, patience=Patience(header=60)) as place, contextlib.ExitStack() as opened:

        def come(address: str) -> socket.socket:
            return opened.enter_context(socket.create_connection(place, timeout=30, source_address=(address, 0)))

        greedy = [come("127.0.0.2") for _ in range(3)]
        assert eventually(lambda: is_cut(greedy[2]), what="the third connection of one address is closed")
        assert not any(is_cut(one) for one in greedy[:2])
        others = [come(f"127.0.0.{n}") for n in range(3, 10) for _ in range(2)]
        assert eventually(lambda: not any(is_cut(one) for one in others))
        assert get(place) == 200, "sixteen are there, and one more"
        assert eventually(lambda: is_cut(greedy[0])), "the one that was there for longest made room"
