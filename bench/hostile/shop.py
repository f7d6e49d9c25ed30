"""A small shop on servers of its own: drawn pictures of two tenants, a worker with the demo's model, web processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.home import fresh_home
from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.dev.demo import catalogue
from imgsearch.dev.embedded.postmaster import postmaster
from imgsearch.ingest import upload
from imgsearch.ops import api_keys
from imgsearch.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
TENANTS = ("acme", "bazaar")
TEXTS = (
    "red shoes",
    "blue shirt",
    "green dress",
    "white lamp",
    "black bag",
    "yellow chair",
    "brown boots",
    "grey sofa",
)


@dataclass(frozen=True)
class Shop:
    """Where it is, who may ask, which processes serve it."""

    settings: Settings
    port: int
    open_port: int
    keys: dict[str, str]
    web: psutil.Process
    worker: psutil.Process
    postmaster: psutil.Process

    def backends(self) -> list[psutil.Process]:
        """Return the processes of the database server."""
        return self.postmaster.children()

    @contextmanager
    def worker_away(self) -> Iterator[None]:
        """Stop the worker for a block: it holds its place and answers nothing."""
        self.worker.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.worker.send_signal(signal.SIGCONT)


@contextmanager
def opened(count: int, fetch_allow: str, say: Callable[[str], None]) -> Iterator[Shop]:
    """Open a shop of `count` drawn pictures; one web process wants keys, a second one is open on loopback."""
    with ExitStack() as stack:
        home = stack.enter_context(fresh_home("hostile-"))
        servers = embedded.start(home, memory_mb=2_048)
        settings = load_settings(
            {
                "DATABASE_URL": servers.database_url,
                "REDIS_URL": servers.redis_url,
                "HOME": str(home),
                "STORAGE_URL": (home / "pictures").as_uri(),
                "MODEL": "demo",
                "FETCH_ALLOW": fetch_allow,
                "DECODERS": "1",
                "THREADS": "1",
            },
            environ={},
        )
        schema.upgrade(settings)
        say(f"{count:,} pictures of {' and '.join(TENANTS)} are drawn and embedded")
        worker = stack.enter_context(_process(settings, ["imgsearch_workers", "--queue", "both"], home / "worker.log"))
        with db.connect(settings, autocommit=True) as connection:
            keys = {
                f"{tenant} {scope}": api_keys.create(connection, tenant=tenant, scope=scope, name="bench")
                for tenant in TENANTS
                for scope in ("search", "write")
            }
        _fill(settings, count)
        web, port = stack.enter_context(_served(settings, home / "web.log", HTTP_KEYS="required"))
        _, open_port = stack.enter_context(_served(settings, home / "open.log", HTTP_KEYS="auto"))
        server = postmaster(home.absolute() / "postgres")
        assert server is not None
        yield Shop(settings, port, open_port, keys, web, worker, psutil.Process(server.pid))


def _fill(settings: Settings, count: int) -> None:
    store = upload.open_store(settings.storage_url)
    with db.connect(settings, autocommit=True) as connection:
        for number, item in enumerate(catalogue.items(count)):
            upload.add(
                connection,
                catalogue.draw(item),
                product_id=item.product_id,
                tenant=TENANTS[number % len(TENANTS)],
                position=item.position,
                category=item.category,
                price=item.price,
                in_stock=item.in_stock,
                attributes={**item.attributes, "title": item.title},
                store=store,
            )
        deadline = time.monotonic() + 600
        while connection.execute("SELECT ready FROM imgsearch.status").fetchone() != (count,):
            if time.monotonic() > deadline:
                raise TimeoutError("the shop's pictures were not embedded within 10 minutes")
            time.sleep(0.5)


@contextmanager
def _process(settings: Settings, words: list[str], log: Path) -> Iterator[psutil.Process]:
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], env=_environment(settings), stdout=said, stderr=said, cwd=ROOT
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def _served(settings: Settings, log: Path, **more: str) -> Iterator[tuple[psutil.Process, int]]:
    environment = _environment(settings) | {f"IMGSEARCH_{name}": value for name, value in more.items()}
    command = [sys.executable, "-m", "imgsearch.flask", "--bind", "127.0.0.1:0"]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        listens = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
        if listens is None:
            raise RuntimeError(log.read_text())
        yield psutil.Process(process.pid), int(listens[1])
    finally:
        process.terminate()
        process.wait(20)


def _environment(settings: Settings) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("IMGSEARCH_")}
    path = os.pathsep.join(filter(None, (str(ROOT), str(ROOT / "workers"), os.environ.get("PYTHONPATH"))))
    return kept | settings.environment() | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
