"""On the wire: what two servers could read in two ways is refused, and every refusal is a problem document."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from imgsearch.flask.server import HEADER_BYTES
from tests.http.conftest import Address, on_a_socket

LARGEST = 100_000


def echo(environ: dict[str, Any], start: Any) -> list[bytes]:
    """An app that says what it was sent."""
    body = environ["PATH_INFO"].encode() + b" " + environ["wsgi.input"].read()
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture(scope="module")
def place() -> Iterator[Address]:
    with on_a_socket(echo, threads=2, largest_body=LARGEST) as found:
        yield found


def ask(place: Address, sent: bytes, *more: bytes) -> bytes:
    """Send bytes, and return all that comes back until the server closes."""
    with socket.create_connection(place, timeout=30) as connection:
        connection.sendall(sent)
        for one in more:
            connection.sendall(one)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def refusal(answer: bytes, status: int, code: str) -> dict[str, Any]:
    """Check that all of an answer is one problem document."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1:2] == [b"%d" % status], answer[:300]
    assert b"Content-Type: application/problem+json" in head
    assert b"Connection: close" in head
    found: dict[str, Any] = json.loads(body)
    assert (found["status"], found["code"]) == (status, code)
    assert found["detail"]
    return found


END = b"Connection: close\r\n\r\n"
SECOND = b"GET /second HTTP/1.1\r\nHost: a\r\n" + END


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: a:80\r\n" + END,
        b"GET / HTTP/1.1\r\nHost: [::1]:8000\r\n" + END,
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET http://a:80/ HTTP/1.1\r\nHost: A:80\r\n" + END,
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n" + END,
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        + END
        + b"3;x=1\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n" + END,
    ],
)
def test_what_is_a_request_is_answered(place: Address, sent: bytes) -> None:
    answer = ask(place, sent)
    assert answer.split(b" ")[1] == b"200", answer


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "both"),
        (b"POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\nCONTENT-LENGTH: 4\r\n\r\n0\r\n\r\n", "both"),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.0"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", "Content-Length"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", "Content-Length"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"1" * 5000 + b"\r\n\r\na", "Content-Length"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"0" * 18 + b"1\r\n\r\na", "Content-Length"),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding",
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "2 Host"),
        (b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "2 Host"),
        (b"GET / HTTP/1.1\r\n\r\n", "0 Host"),
        (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "no host"),
        (b"GET / HTTP/1.1\r\nHost: a/x@b\r\n\r\n", "no host"),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "header"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-Folded: one\r\n two\r\n\r\n", "folded"),
        (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", "folded"),
        (b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "another host"),
        (b"GET http://a@b/ HTTP/1.1\r\nHost: a\r\n\r\n", "another host"),
        (b"GET file:///etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", "another host"),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", "another host"),
        (b"POST / HTTP/2.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1"),
        (b"GET /\r\nHost: a\r\n\r\n", "HTTP/1.1"),
        (b"GET / HTTP/1.1\nHost: a\n\n\r\n\r\n", "CR or LF"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "chunk"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 5000, "chunk"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: " + b"1" * 20000, "trailer"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_and_nothing_after_it_is_read(
    place: Address, sent: bytes, why: str
) -> None:
    found = refusal(ask(place, sent, SECOND), 400, "bad_request")
    assert why in found["detail"]


def test_an_unknown_encoding_is_not_implemented(place: Address) -> None:
    sent = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
    refusal(ask(place, sent, SECOND), 501, "not_implemented")


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("length", [LARGEST + 1, 80 << 20])
def test_too_large_a_body_is_refused_and_the_client_can_read_why(place: Address, length: int, chunked: bool) -> None:
    """It is still sending when it is refused: a connection that closed at once would lose the answer."""
    said = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % length
    first = b"%x\r\n" % length if chunked else b""
    pieces = [b"a" * (1 << 16)] * min(length >> 16, 64)
    head = b"POST / HTTP/1.1\r\nHost: a\r\n" + said + b"\r\n\r\n" + first
    rest = b"a" * (LARGEST + 1) if chunked else b""
    found = refusal(ask(place, head, *pieces, rest), 413, "request_entity_too_large")
    assert "too large" in found["detail"]


def test_as_much_as_is_allowed_is_read(place: Address) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % LARGEST
    assert ask(place, head, b"a" * LARGEST).endswith(b"/ " + b"a" * LARGEST)


def test_headers_have_a_limit(place: Address) -> None:
    sent = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * HEADER_BYTES + b"\r\n\r\n"
    refusal(ask(place, sent), 431, "request_header_fields_too_large")


def test_unknown_places_are_problems_on_the_wire_too(open_app: Flask) -> None:
    with on_a_socket(open_app, threads=1) as place:
        head, _, body = ask(place, b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n" + END).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert json.loads(body)["code"] == "not_found"
