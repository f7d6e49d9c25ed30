"""`imgsearch serve`: the page and the HTTP API in the foreground."""

from __future__ import annotations

import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import typer

from imgsearch.errors import ExtraMissing
from imgsearch.extras import install


def serve(
    bind: str = typer.Option(None, "--bind", help="host:port; else IMGSEARCH_HTTP_BIND."),
    threads: int = typer.Option(None, "--threads", help="Requests worked on at once; else IMGSEARCH_HTTP_THREADS."),
    metrics: str = typer.Option(None, "--metrics", help="[host:]port of /metrics for Prometheus, without a key."),
) -> None:
    """Serve the page and the HTTP API. On loopback without keys; any other address needs `imgsearch key create`."""
    if not installed():
        raise ExtraMissing(f"The page needs Flask; run: {install('flask')}")
    given = {"--threads": str(threads or ""), "--bind": bind, "--metrics": metrics}
    arguments = [*command(), *(word for name, value in given.items() if value for word in (name, value))]
    os.execv(sys.executable, arguments)  # noqa: S606 - the doors do not import one another


def command() -> list[str]:
    """Return how to start it as a process of its own."""
    return [sys.executable, "-m", "imgsearch.flask"]


def installed() -> bool:
    """Return whether the extra `flask` is installed."""
    return find_spec("flask") is not None and find_spec("waitress") is not None


def wait_for_address(home: Path, seconds: float = 20) -> str | None:
    """Return where the page over this home is, once it is up; None where it does not come up."""
    deadline = time.monotonic() + (seconds if installed() else 0)
    while (found := address(home)) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def address(home: Path) -> str | None:
    """Return where the page over this home is, if it is up."""
    try:
        return (home / "page.url").read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
