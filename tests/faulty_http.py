"""A small HTTP server that misbehaves on purpose: each path is a behaviour that the test writes as a function.

It speaks on loopback only, closes every connection after one answer, and counts what it was asked.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from imgsearch.storage.policy import FetchPolicy


@dataclass
class Asked:
    """One request: method, path with query, headers in lower case, and the socket to answer on."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    socket: socket.socket

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        lines = [f"HTTP/1.1 {status} x", "Connection: close"]
        lines += [f"{key}: {value}" for key, value in ({"Content-Length": str(len(body))} | (headers or {})).items()]
        self.send("\r\n".join([*lines, "", ""]).encode())
        if self.method != "HEAD":
            self.send(body)


Behaviour = Callable[[Asked], None]


@dataclass
class Server:
    """`behave` answers every request; `asked` remembers them; `accepted` counts TCP connections."""

    behave: Behaviour
    family: socket.AddressFamily = socket.AF_INET
    tls: ssl.SSLContext | None = None
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    accepted: int = 0

    def start(self) -> None:
        host = "127.0.0.1" if self.family == socket.AF_INET else "::1"
        self._listener = socket.create_server((host, self.port), family=self.family, backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ssl.SSLError), connection:
            connection.settimeout(10)
            wrapped = self.tls.wrap_socket(connection, server_side=True) if self.tls else connection
            with wrapped:
                asked = _read(wrapped)
                if asked:
                    self.asked.append(asked)
                    self.behave(asked)


def _read(connection: socket.socket) -> Asked | None:
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(65536)
        if not more:
            return None
        head += more
    text, _, body = head.partition(b"\r\n\r\n")
    first, *rest = text.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in rest)}
    if headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return Asked(method, path, headers, body, connection)


@contextlib.contextmanager
def serving(
    behave: Behaviour, tls: ssl.SSLContext | None = None, family: socket.AddressFamily = socket.AF_INET, port: int = 0
) -> Iterator[Server]:
    """Run a server until the block ends."""
    server = Server(behave, family, tls, port)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def local(port: int, host: str = "pictures.test", **rest: object) -> FetchPolicy:
    """Return a policy that knows one intranet host, on loopback."""
    return FetchPolicy(
        **{"allow_hosts": frozenset({f"{host}:{port}"}), "resolve": lambda *_: ["127.0.0.1"], "deadline": 3.0} | rest  # type: ignore[arg-type]
    )
