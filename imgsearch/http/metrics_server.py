"""A small HTTP server beside the page, for Prometheus alone: what this process counted, and the gauges.

It has no password, as a worker's has none: it tells how many and how fast, never whose. So it listens on a port of its
own, which no visitor should reach.
"""

from __future__ import annotations

import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from imgsearch.errors import ImgsearchError, UsageError
from imgsearch.http.state import AppState
from imgsearch.ops.exposition import CONTENT_TYPE
from imgsearch.ops.gauges import gauges_exposition


class MetricsServer(ThreadingHTTPServer):
    """Answers /metrics on `address`: "9101" is on the loopback alone, "0.0.0.0:9101" for scrapes from elsewhere.

    Raises UsageError for an address that cannot be used.
    """

    daemon_threads = True

    def __init__(self, state: AppState, address: str) -> None:
        host, _, port = address.rpartition(":")
        try:
            super().__init__((host.strip("[]") or "127.0.0.1", int(port)), _Handler)
        except (OSError, ValueError, OverflowError) as error:
            raise UsageError(f"--metrics {address} cannot be used ({error}); give a free port.") from error
        self.state = state

    def start(self) -> None:
        """Serve from now on, in threads."""
        threading.Thread(target=self.serve_forever, name="metrics-server", daemon=True).start()

    def text(self) -> bytes:
        """Return the numbers of this process, and the gauges unless the database is away."""
        own = self.state.metrics.exposition()
        try:
            with self.state.sessions.session(None, writes=False, patience=1) as connection:
                return own + gauges_exposition(connection, store=self.state.settings.storage_url)
        except ImgsearchError:
            return own


class _Handler(BaseHTTPRequestHandler):
    server_version = "imgsearch"
    timeout = 20

    def do_GET(self) -> None:
        if self.path != "/metrics":
            self.send_error(HTTPStatus.NOT_FOUND, "ask for /metrics")
            return
        body = cast(MetricsServer, self.server).text()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name it has in the base class
        """Scrapes come every few seconds: nobody wants a line for each."""
