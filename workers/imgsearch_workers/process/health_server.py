"""The worker's small HTTP server: /healthz (the process lives), /readyz (it really works), /metrics (Prometheus)."""

from __future__ import annotations

import json
import logging
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import psycopg

from imgsearch.errors import DatabaseError, SettingsError
from imgsearch.ops import metrics
from imgsearch.settings import Settings
from imgsearch_workers.process.connect import connect
from imgsearch_workers.process.worker import Worker

log = logging.getLogger("imgsearch.worker")


class HealthServer(ThreadingHTTPServer):
    """Answers on `address`: "9100" is on the loopback alone, "0.0.0.0:9100" for a cluster's own probes and scrapes.

    There is no password: what it tells is how many pictures wait, never whose. Raises SettingsError for an address
    that cannot be used, or where prometheus-client is not installed.
    """

    daemon_threads = True

    def __init__(self, settings: Settings, worker: Worker, address: str) -> None:
        metrics.enable()
        host, _, port = address.rpartition(":")
        try:
            super().__init__((host.strip("[]") or "127.0.0.1", int(port)), _Handler)
        except (OSError, ValueError, OverflowError) as error:
            raise SettingsError(f"--listen {address} cannot be used ({error}); give a free port.") from error
        self.settings, self.worker = settings, worker

    def start(self) -> None:
        """Return from now on, in threads."""
        threading.Thread(target=self.serve_forever, name="health-server", daemon=True).start()
        log.info("answering /healthz, /readyz and /metrics on port %d", self.server_address[1])

    def metrics(self) -> bytes:
        """Return the numbers of this process, and of the queue unless the database is away."""
        ready = not self.worker.ready()
        try:
            with connect(self.settings, "imgsearch metrics") as connection:
                return metrics.exposition(connection, ready=ready, store=self.settings.storage_url)
        except (DatabaseError, psycopg.Error):
            return metrics.exposition(ready=ready)


class _Handler(BaseHTTPRequestHandler):
    server_version = "imgsearch"
    timeout = 20

    def do_GET(self) -> None:
        server = cast(HealthServer, self.server)
        if self.path == "/healthz":
            self._answer(HTTPStatus.OK, {"ok": True})
        elif self.path == "/readyz":
            wrong = server.worker.ready()
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK, {"ok": not wrong, "wrong": wrong})
        elif self.path == "/metrics":
            self._send(HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", server.metrics())
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"ok": False, "wrong": ["ask for /healthz, /readyz or /metrics"]})

    def _answer(self, status: HTTPStatus, document: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(document).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name it has in the base class
        """Probes come every few seconds: nobody wants a line for each."""
