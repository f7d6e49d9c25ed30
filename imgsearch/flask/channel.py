"""One connection to a client: whoever sends slowly is cut off, and whoever is refused still reads why."""

from __future__ import annotations

import secrets
import socket
import time
from dataclasses import dataclass
from html import escape
from threading import RLock
from typing import Any

from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import BadRequest

from imgsearch.flask.parser import StrictParser
from imgsearch.http.limiter import origin
from imgsearch.http.problem import CONTENT_TYPE, Problem, document

_CODES = {
    400: ("bad_request", ""),
    413: ("request_entity_too_large", "The request is too large; send fewer or smaller files."),
    431: ("request_header_fields_too_large", "The headers are too large; send fewer or shorter ones."),
    501: ("not_implemented", ""),
}
AT_ONCE = 8  # requests sent before the first is answered: their answers wait in memory while nobody reads them
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<h1>{title}</h1><p>{detail}</p><p>Go back, and try it another way.</p></html>
"""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How slow a client may be. A body, and a response, may take `grace` seconds and one more for each `rate` bytes."""

    header: float = 10  # seconds for the whole header of a request
    grace: float = 20
    rate: float = 16_000
    idle: float = 75  # seconds between two requests; proxies keep connections for 60, and end them before we do
    farewell: float = 3  # seconds to read on after a refusal: whoever still sends would not see it otherwise


class ProblemTask(ErrorTask):  # type: ignore[misc]
    """The answer to what is no request at all: a problem document, and the end of the connection."""

    def execute(self) -> None:
        error = self.request.error
        code, detail = _CODES.get(error.code, ("internal", "Internal error."))
        problem = Problem(error.code, code, detail or error.body)
        kind, said = CONTENT_TYPE, document(problem, secrets.token_hex(6))
        if "text/html" in getattr(self.request, "headers", {}).get("ACCEPT", ""):  # somebody who looks at it
            kind, said = "text/html; charset=utf-8", _PAGE.format(title=error.reason, detail=escape(problem.detail))
        body = said.encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [("Content-Type", kind), ("X-Content-Type-Options", "nosniff")]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.channel.refused = True
        self.write(body)


class Task(WSGITask):  # type: ignore[misc]
    """A request that our app answers; files are read at once: an answer that nobody reads would keep one open."""

    def get_environment(self) -> dict[str, Any]:
        found: dict[str, Any] = super().get_environment()
        found.pop("wsgi.file_wrapper", None)
        return found


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that knows how long the request takes that arrives now."""

    parser_class = StrictParser
    task_class = Task
    error_task_class = ProblemTask
    is_new = True  # no request has arrived yet
    refused = False
    close_when_flushed: bool = False
    leaves_at = 0.0  # when to stop reading on after a refusal
    body_began = 0.0  # 0: the header still arrives, or nothing does
    sent = 0  # bytes
    unread: tuple[float, int] | None = None  # since when a response waits to be read, and what had been sent then

    def __init__(self, server: Any, sock: socket.socket, addr: Any, adj: Any, map: Any = None) -> None:  # noqa: A002
        self.began = time.time()  # the request that arrives now; the first one begins with the connection
        self.origin = origin(addr[0])
        super().__init__(server, sock, addr, adj, map=map)
        self.requests_lock = RLock()  # what arrived is taken and cut in one go: a thread would answer some in between

    def received(self, data: bytes) -> bool:
        """Take what arrived, and note when a request and its body began."""
        now = time.time()
        if self.request is None and not self.is_new:
            self.began = now
        with self.requests_lock:
            taken: bool = super().received(data)
            if len(self.requests) > AT_ONCE:
                for one in self.requests[AT_ONCE + 1 :]:
                    one.close()
                del self.requests[AT_ONCE + 1 :]
                self.requests[AT_ONCE].error = BadRequest(
                    "Too many requests at once; wait for an answer before the next."
                )
        arriving = self.request
        if arriving is None:
            self.is_new, self.body_began = False, 0.0
        elif arriving.headers_finished and not self.body_began:
            self.body_began = now
        return taken

    def is_overdue(self, now: float, patience: Patience) -> bool:
        """Return whether the client was too slow. The time in which we work is not counted."""
        if self.leaves_at:
            return now > self.leaves_at
        if self.total_outbufs_len:  # also while a thread works for it: one that waits for the reader is held by it
            since, sent = self.unread = self.unread or (now, self.sent)
            if now - since > patience.grace + (self.sent - sent) / patience.rate:
                return True
        else:
            self.unread = None
        if self.requests or self.total_outbufs_len:
            self.began = now
            self.body_began = now if self.body_began else 0.0
            return False
        if self.body_began:
            return bool(now - self.body_began > patience.grace + self.request.body_bytes_received / patience.rate)
        if self.is_new or self.request is not None:
            return now - self.began > patience.header
        return bool(now - self.last_activity > patience.idle)

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Send what the client takes; return how many bytes."""
        taken: int = super().send(data, do_close=do_close)
        self.sent += taken
        return taken

    def lags(self, now: float, patience: Patience) -> bool:
        """Return whether no request is under way that keeps a decent pace: whoever lags makes room for others."""
        if self.total_outbufs_len:
            return False
        if self.request is None or not self.body_began:
            return True
        return bool(self.request.body_bytes_received < patience.rate * (now - self.body_began))

    def readable(self) -> bool:
        return not self.will_close if self.leaves_at else bool(super().readable())

    def handle_read(self) -> None:
        if self.leaves_at:
            self.recv(self.adj.recv_bytes)  # thrown away; at its end recv() closes the connection
        else:
            super().handle_read()

    def handle_write(self) -> None:
        if not (self.refused and self.close_when_flushed):
            super().handle_write()
            return
        self._flush_exception(self._flush_some)
        if self.will_close:
            self.handle_close()
        elif not self.total_outbufs_len:
            # Closed now, with bytes of the client's unread, the connection would be reset, and the answer lost.
            self.close_when_flushed = False
            self.leaves_at = time.time() + self.server.patience.farewell
            self.socket.shutdown(socket.SHUT_WR)

    def add_channel(self, map: Any = None) -> None:  # noqa: A002
        super().add_channel(map)
        self.server.came(self)

    def del_channel(self, map: Any = None) -> None:  # noqa: A002
        is_known = self._fileno in self.server.active_channels
        super().del_channel(map)
        if is_known:
            self.server.went(self)
