"""The server of `imgsearch serve`: waitress, which reads requests outside its threads, with an end to its patience.

Slow clients hold a connection and nothing else; each must send its header, then its body, within a time; where all
connections are taken, the one that has been at it for longest makes room. docs/decisions/0008-serving.md
"""

from __future__ import annotations

import resource
import socket
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.wasyncore import close_all

from imgsearch.flask.channel import Channel, Patience
from imgsearch.http.limiter import origin

SHARE = 8  # one address may have the eighth part of all connections
FILES = 3  # that a connection may need: its socket, a long request, a long response
OTHER_FILES = 256  # the database's connections, libraries, the log
HEADER_BYTES = 64 << 10
MEMORY_BYTES = 64 << 10  # of a body; what is longer goes to a temporary file
AT_ONCE = 64  # connections accepted before the others have their turn


class Server(TcpWSGIServer):  # type: ignore[misc]
    """waitress's server on one socket; `connections` at once, `of_one_address` from each."""

    channel_class = Channel
    stopped = False
    next_channel_cleanup: float = 0

    def __init__(
        self,
        application: Any,
        listening: socket.socket,
        *,
        threads: int,
        largest_body: int,
        connections: int,
        patience: Patience | None = None,
        behind_proxy: bool = False,
    ) -> None:
        self.patience = patience or Patience()
        self.connections = min(connections, _allowed(connections))
        self.of_one_address = self.connections if behind_proxy else max(1, self.connections // SHARE)
        self.addresses: Counter[str] = Counter()
        adjustments = Adjustments(
            sockets=[listening],
            threads=threads,
            max_request_body_size=largest_body + 1,
            max_request_header_size=HEADER_BYTES,
            inbuf_overflow=MEMORY_BYTES,
            asyncore_use_poll=True,  # select() ends at 1,024 files
            ident=None,
            # Whom to believe is decided in the app, which also refuses an open site to whoever comes by a proxy.
            clear_untrusted_proxy_headers=False,
        )
        family = (listening.family, listening.type, listening.proto, listening.getsockname())
        super().__init__(application, {}, True, listening, adj=adjustments, bind_socket=False, sockinfo=family)

    def readable(self) -> bool:
        """Look after the connections once a second; then new ones are always welcome."""
        if self.stopped:
            raise SystemExit  # what ends waitress's loop
        now = time.time()
        if now >= self.next_channel_cleanup:
            self.next_channel_cleanup = now + min(1.0, self.patience.header / 4)
            self.maintenance(now)
        return bool(self.accepting)

    def run(self) -> None:
        """Serve until SIGTERM, or until `stop()`."""
        super().run()
        close_all(self._map)

    def maintenance(self, now: float) -> None:
        """End the connections of clients that are too slow."""
        for channel in list(self.active_channels.values()):
            if channel.is_overdue(now, self.patience):
                channel.handle_close()

    def handle_accept(self) -> None:
        """Take the connections that wait; too many of one address are closed at once."""
        for _ in range(AT_ONCE):
            try:
                accepted = self.accept()
                if accepted is None:
                    return
                connection, address = accepted
                self.set_socket_options(connection)
            except OSError:
                return
            if self.addresses[origin(address[0])] >= self.of_one_address:
                connection.close()
                continue
            if len(self.active_channels) >= self.connections and not self._make_room():
                connection.close()
                continue
            self.channel_class(self, connection, self.fix_addr(address), self.adj, map=self._map)

    def stop(self) -> None:
        """End `run()` from another thread; requests that are worked on have five seconds."""
        self.stopped = True
        self.pull_trigger()

    def came(self, channel: Channel) -> None:
        """Count a connection."""
        self.addresses[channel.origin] += 1

    def went(self, channel: Channel) -> None:
        """Count it no longer."""
        self.addresses[channel.origin] -= 1
        if not self.addresses[channel.origin]:
            del self.addresses[channel.origin]

    def _make_room(self) -> bool:
        """End the connection that has kept us waiting for longest; one that keeps a decent pace after all others."""
        now = time.time()
        waiting = [channel for channel in self.active_channels.values() if not channel.requests]
        if waiting:
            min(waiting, key=lambda one: (not one.lags(now, self.patience), one.began)).handle_close()
        return bool(waiting)


def _allowed(connections: int) -> int:
    """Return how many connections this process has files for, after asking for as many as it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return connections
    wanted = connections * FILES + OTHER_FILES
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(SHARE, (soft - OTHER_FILES) // FILES)
