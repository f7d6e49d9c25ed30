"""Serve the page and the API alone, with a production WSGI server: `python -m imgsearch.flask`.

On loopback it runs without keys, for whoever sits at this machine, and says so. Any other address needs keys.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

from imgsearch import db
from imgsearch.db import sql
from imgsearch.errors import DatabaseRights, UsageError
from imgsearch.flask.extension import create_app
from imgsearch.flask.server import Server
from imgsearch.http.cross_site import is_loopback
from imgsearch.http.metrics_server import MetricsServer
from imgsearch.http.state import EXTENSION, AppState
from imgsearch.http.waiting import THREADS
from imgsearch.ops import api_keys as keys
from imgsearch.settings import Settings, load_settings

NEARBY = 20  # ports tried one after the other where nobody chose one


def serve(bind: str | None = None, threads: int | None = None, metrics: str | None = None) -> None:
    """Serve until SIGTERM. `bind` is host:port; `metrics` [host:]port, for Prometheus.

    Raises UsageError, SettingsError and the database's typed errors.
    """
    given = {name: str(value) for name, value in (("HTTP_BIND", bind), ("HTTP_THREADS", threads)) if value}
    settings = load_settings(given)
    given["HTTP_THREADS"] = str(settings.http_threads or THREADS)
    host, port = settings.http_bind
    allow_anonymous = guard(settings, host)
    listening = listen(host, port, nearby=bind is None and "IMGSEARCH_HTTP_BIND" not in settings.environment())
    where = address(listening)
    note = settings.home / "page.url"
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # that requests wait for a thread is no fault
    app = create_app(given, allow_anonymous=allow_anonymous)
    if metrics:
        MetricsServer(app.extensions[EXTENSION], metrics).start()
    server = Server(
        app,
        listening,
        threads=int(given["HTTP_THREADS"]),
        largest_body=settings.http_body,
        connections=settings.http_connections,
        behind_proxy=settings.trusted_proxies > 0,
    )
    signal.signal(signal.SIGTERM, _end)
    _leave_note(note, where)
    whom = "without keys, for this machine alone" if allow_anonymous else "with keys (imgsearch key create)"
    print(f"imgsearch listens on {where} {whom}", flush=True)
    try:
        server.run()
    finally:
        with suppress(OSError):
            note.unlink(missing_ok=True)


def guard(settings: Settings, host: str) -> bool:
    """Return whether to serve without keys. Raises UsageError for an address that others reach where no key exists."""
    if is_loopback(host):
        return settings.http_keys == "auto" and not settings.trusted_proxies  # a proxy brings strangers
    if not _may_have_keys(settings):
        raise UsageError(
            f"{host} can be reached from other machines, and there is no key yet. "
            "Make one with `imgsearch key create --tenant …`, or listen on 127.0.0.1."
        )
    state = AppState(settings)
    try:
        with state.sessions.session(None, writes=False) as connection:
            behind = state.sessions.can_set_role(connection) or bool(
                sql.value(connection, "http", "is_tenant_restricted")
            )
            role = connection.info.user
    finally:
        state.close()
    if not behind:
        raise UsageError(
            f"The database role {role} sees every tenant's pictures, so nothing would stand between tenants but our "
            f"own code. Run as an administrator: GRANT imgsearch_writer TO {role}; or connect as a role that is in it."
        )
    return False


def _may_have_keys(settings: Settings) -> bool:
    """Return whether a key works; a role that may only look keys up cannot tell: each request then needs one."""
    try:
        with db.connect(settings, autocommit=True) as connection:
            return any(key.works for key in keys.listed(connection))
    except DatabaseRights:
        return True


def listen(host: str, port: int, *, nearby: bool = False) -> socket.socket:
    """Return a socket that listens; with `nearby` on the next free port. Raises UsageError when there is none."""
    candidates = [*range(port, port + NEARBY), 0] if nearby else [port]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    error: OSError | None = None
    for candidate in candidates:
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, candidate))
        except OSError as refused:
            listening.close()
            error = refused
        else:
            return listening
    raise UsageError(f"{host}:{port} cannot be listened on ({error}); choose another with --bind.")


def address(listening: socket.socket) -> str:
    """Return where a browser finds it."""
    host, port = listening.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}/"


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


def _leave_note(note: Path, where: str) -> None:
    """Write where the page is, for `imgsearch demo` and whoever else started us."""
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(where, encoding="utf-8")
