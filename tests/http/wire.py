"""A proxy before Postgres that counts round trips as the server sees them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from psycopg.conninfo import conninfo_to_dict, make_conninfo


@dataclass
class Wire:
    """`trips`: how often a client spoke after the server had; `url` leads through the proxy."""

    url: str
    trips: int = 0
    links: list[socket.socket] = field(default_factory=list)

    def cut(self) -> None:
        """Break every connection, as a restarted server does."""
        for link in self.links:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        self.links.clear()


@contextmanager
def through_proxy(url: str) -> Iterator[Wire]:
    """Listen on a port of this machine and pass everything on to the server of `url`."""
    given = conninfo_to_dict(url)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    wire = Wire(make_conninfo(url, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable"))

    def serve() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{given['host']}/.s.PGSQL.{given['port']}")
            wire.links += [client, server]
            spoke = {"last": "server"}
            for source, target, name in ((client, server, "client"), (server, client, "server")):
                threading.Thread(target=_pass_on, args=(source, target, name, spoke, wire), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield wire
    finally:
        listening.close()
        wire.cut()


def _pass_on(source: socket.socket, target: socket.socket, name: str, spoke: dict[str, str], wire: Wire) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            if name == "client" and spoke["last"] == "server":
                wire.trips += 1
            spoke["last"] = name
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
