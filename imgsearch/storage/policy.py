"""What may be fetched, from where and how much of it; and what a fetch answers."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ssl

Resolver = Callable[[str, int], list[str]]


class Fetched(NamedTuple):
    """What was fetched: the bytes, where they really came from, and what the host calls them (Content-Type)."""

    data: bytes
    final_url: str
    kind: str = ""


def addresses(host: str, port: int) -> list[str]:
    """Ask the system's resolver for all addresses of a name; raises OSError (socket.gaierror)."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in found))


@dataclass(frozen=True)
class FetchPolicy:
    """What an operator allows. The default is right for addresses that strangers hand in.

    allow_hosts: intranet hosts, `host` or `host:port`, which may have a private or loopback address (link-local,
    multicast and metadata addresses stay refused) and, where named, that port.
    allow_private: the same for every host.
    ports: allowed besides 80 and 443.
    max_bytes: of one picture, before and after unpacking. deadline: seconds for everything, redirects included.
    file_roots: folders below which `file:` addresses may be read.
    resolve, tls: the resolver and the trust store, where the system's are not wanted.
    """

    allow_hosts: frozenset[str] = frozenset()
    allow_private: bool = False
    ports: frozenset[int] = frozenset()
    max_bytes: int = 64 << 20
    deadline: float = 10.0
    max_redirects: int = 3
    file_roots: tuple[Path, ...] = ()
    resolve: Resolver = addresses
    tls: ssl.SSLContext | None = None

    def knows(self, host: str, port: int) -> bool:
        """Return whether the operator named this host (a private address is then fine)."""
        return self.allow_private or host in self.allow_hosts or self._names(host, port)

    def allows_port(self, host: str, port: int) -> bool:
        """Return whether this port may be connected to."""
        return port in {80, 443} or port in self.ports or self._names(host, port)

    def _names(self, host: str, port: int) -> bool:
        shown = f"[{host}]" if ":" in host else host
        return f"{shown}:{port}" in self.allow_hosts
