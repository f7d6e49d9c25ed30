"""How a connection is opened so that no name leads to a forbidden address: resolve once, check all, connect by number.

The check sits where the connection is made, so a second DNS answer, a redirect or a second parser has no say. The name
stays in TLS (SNI, certificate) and in the Host header.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from typing import Any

import httpcore

from imgsearch.errors import FetchRefused, StoreError
from imgsearch.storage.address import Address, is_intranet, refuse_address
from imgsearch.storage.policy import FetchPolicy

SLACK = 64 << 10  # bytes of headers and chunk marks that may come on top of the body
# getaddrinfo knows no timeout: we leave it behind in a thread, and this bounds how many a dead resolver can hold.
_LOOKUPS = threading.BoundedSemaphore(32)


class Allowance:
    """What is left for one fetch: seconds until its deadline, and bytes from the wire."""

    def __init__(self, policy: FetchPolicy) -> None:
        self._end = time.monotonic() + policy.deadline
        self.bytes = policy.max_bytes + SLACK
        self.total_seconds = policy.deadline
        self.total_bytes = policy.max_bytes

    def seconds(self) -> float:
        """Return the seconds left; raises StoreError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.too_slow()
        return left

    def too_slow(self) -> StoreError:
        return StoreError(f"The picture did not arrive within {self.total_seconds:g} s; try again later.")

    def too_large(self) -> FetchRefused:
        return FetchRefused(f"The answer is larger than {self.total_bytes} bytes; use a smaller picture.")


class Dialler(httpcore.NetworkBackend):
    """Opens the connections of one fetch."""

    def __init__(self, policy: FetchPolicy, allowance: Allowance) -> None:
        self._policy = policy
        self._allowance = allowance
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        checked = self._checked(host, port)
        for left, address in zip(range(len(checked), 0, -1), checked, strict=True):
            try:
                stream = self._sockets.connect_tcp(str(address), port, timeout=self._allowance.seconds() / left)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if left == 1:
                    raise
                continue
            peer = ip_address(stream.get_extra_info("server_addr")[0])
            if peer != address:
                stream.close()
                message = f"{host} cannot be fetched from; use another address."
                raise FetchRefused(message, advice=f"It led to {peer} instead of {address}: check this network.")
            return Metered(stream, self._allowance)
        raise StoreError(f"{host} has no address; check the name and try again.")

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        raise FetchRefused("Pictures are not fetched from Unix sockets; use an http address.")

    def _checked(self, host: str, port: int) -> list[Address]:
        """Return the addresses of `host`; one bad apple spoils them all."""
        known = self._policy.knows(host, port)
        found: list[Address] = []
        for text in self._answers(host, port, absolute=not known):
            reason = refuse_address(text)
            if reason and not (known and is_intranet(text)):
                raise FetchRefused(
                    f"{host} has an address that must not be fetched from ({reason}); use a public one.",
                    advice=f"The address is {text}; intranet hosts are named in IMGSEARCH_FETCH_ALLOW.",
                )
            found.append(ip_address(text))
        return found

    def _answers(self, host: str, port: int, *, absolute: bool) -> list[str]:
        try:
            return [str(ip_address(host))]
        except ValueError:
            pass
        # A final dot keeps the search domains of resolv.conf out: `db` must not become db.corp.example.
        name = f"{host.rstrip('.')}." if absolute else host
        answer: SimpleQueue[list[str] | OSError | UnicodeError] = SimpleQueue()

        def look_up() -> None:
            try:
                answer.put(self._policy.resolve(name, port))
            except (OSError, UnicodeError) as error:
                answer.put(error)
            finally:
                _LOOKUPS.release()

        if not _LOOKUPS.acquire(timeout=self._allowance.seconds()):
            raise self._allowance.too_slow()
        threading.Thread(target=look_up, name="resolve", daemon=True).start()
        try:
            found = answer.get(timeout=self._allowance.seconds())
        except Empty:
            raise self._allowance.too_slow() from None
        if isinstance(found, OSError | UnicodeError):
            raise StoreError(f"The name {host} cannot be resolved ({found}); check it and try again.") from found
        return found


class Metered(httpcore.NetworkStream):
    """A connection whose read and write takes from the allowance, so that a trickle of bytes gains no time."""

    def __init__(self, stream: httpcore.NetworkStream, allowance: Allowance) -> None:
        self._stream = stream
        self._allowance = allowance

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._allowance.bytes <= 0:
            raise self._allowance.too_large()
        data = self._stream.read(min(max_bytes, self._allowance.bytes), timeout=self._allowance.seconds())
        self._allowance.bytes -= len(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=self._allowance.seconds())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        # OpenSSL's handshake in Python counts the timeout over the whole of it, not per packet.
        tls = self._stream.start_tls(ssl_context, server_hostname, timeout=self._allowance.seconds())
        return Metered(tls, self._allowance)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
