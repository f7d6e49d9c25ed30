"""A whole small shop for a browser: database, worker with the demo's own model, web process, drawn pictures."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.demo import catalogue
from imgsearch.dev.demo.catalogue import Item
from imgsearch.ingest import upload
from imgsearch.settings import Settings, load_settings
from tests.own_server import named, with_database
from tests.processes import WorkerProcess, eventually

PAGE = Identifier(named("page"))
ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LARGEST = 2_000_000
PATIENCE = 3  # seconds a page waits for a query worker
# A browser that talks to this machine and nobody else.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@dataclass(frozen=True)
class Site:
    """Where it is, what it sells, and its worker."""

    url: str
    items: list[Item]
    settings: Settings
    worker: WorkerProcess

    @property
    def products(self) -> int:
        """How many products it has; some have several pictures."""
        return len({(item.tenant_id, item.product_id) for item in self.items})

    @contextmanager
    def worker_away(self) -> Iterator[None]:
        """Nobody answers meanwhile: the worker stands still."""
        self.worker.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.worker.process.send_signal(signal.SIGCONT)


@contextmanager
def opened(servers: embedded.Servers, template: str, folder: Path, count: int = 200) -> Iterator[Site]:
    """Open a shop of `count` drawn pictures."""
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(
            SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(PAGE, Identifier(named(template)))
        )
    given = {
        "DATABASE_URL": with_database(servers.database_url, "page"),
        "REDIS_URL": servers.redis_url,
        "HOME": str(folder / "home"),
        "STORAGE_URL": (folder / "pictures").as_uri(),
        "MODEL": "demo",
        "HTTP_BODY": str(LARGEST),
        "QUERY_TIMEOUT": str(PATIENCE),
        "THREADS": "1",
        "DECODERS": "1",
        "PAGE_ENGINEER": "on",
    }
    settings = load_settings(given, environ={})
    environment = {**os.environ, **{f"IMGSEARCH_{name}": value for name, value in given.items()}}
    worker = WorkerProcess(settings, environment, folder / "worker.log")
    try:
        items = catalogue.items(count)
        worker.ready(180)  # it loads a real model, perhaps on a busy machine
        _fill(settings, items)
        with _served(environment, folder / "web.log") as url:
            yield Site(url, items, settings, worker)
    finally:
        worker.end()
        with psycopg.connect(servers.database_url, autocommit=True) as admin:
            admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(PAGE))


def _fill(settings: Settings, items: list[Item]) -> None:
    store = upload.open_store(settings.storage_url)
    with db.connect(settings, autocommit=True) as connection:
        for item in items:
            upload.add(
                connection,
                catalogue.draw(item),
                product_id=item.product_id,
                tenant=item.tenant_id,
                position=item.position,
                category=item.category,
                price=item.price,
                in_stock=item.in_stock,
                attributes={**item.attributes, "title": item.title},
                store=store,
            )
        ready = "SELECT ready FROM imgsearch.status"
        eventually(lambda: connection.execute(ready).fetchone() == (len(items),), 180, "the shop's pictures")


@contextmanager
def _served(environment: dict[str, str], log: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "imgsearch.flask", "--bind", "127.0.0.1:0"]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found, log.read_text()
        yield found[0]
    finally:
        process.terminate()
        process.wait(20)
