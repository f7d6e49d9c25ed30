"""examples/oscar_shop on a database of the embedded server, with a real worker. A process of its own: `make oscar`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from imgsearch.dev import embedded
from imgsearch.dev.testing import FAKE
from imgsearch.settings import load_settings
from tests.own_server import named, with_database
from tests.processes import WorkerProcess

SHOP = Path(__file__).parents[2] / "examples/oscar_shop"
DATABASE = named("oscar_shop")
PRODUCTS = 120
TIMES: list[tuple[str, float]] = []


@contextmanager
def step(name: str) -> Iterator[None]:
    """Note how long a step of the story takes."""
    began = time.perf_counter()
    yield
    TIMES.append((name, time.perf_counter() - began))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if TIMES:
        terminalreporter.section("django-oscar, step by step")
        for name, seconds in TIMES:
            terminalreporter.write_line(f"{seconds:8.2f} s  {name}")


@pytest.fixture(scope="session")
def shop(servers: embedded.Servers) -> Iterator[Path]:
    """A shop of Oscar's own tables, filled before anybody thought of pictures; answers its folder."""
    folder = Path(tempfile.mkdtemp(prefix="imgs-oscar-"))
    folder.chmod(0o755)
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {} STRATEGY file_copy").format(Identifier(DATABASE)))
    os.environ |= {
        "DATABASE_URL": with_database(servers.database_url, DATABASE),
        "IMGSEARCH_REDIS_URL": servers.redis_url,
        "IMGSEARCH_HOME": str(folder),
        "IMGSEARCH_MODEL": FAKE,
        "DJANGO_SETTINGS_MODULE": "settings",
    }
    sys.path.insert(0, str(SHOP))
    import django
    from django.db import connection, connections
    from django.db.migrations.executor import MigrationExecutor
    from django.test.utils import setup_test_environment

    with step("start Django with Oscar"):
        django.setup()
        setup_test_environment()
    with step("migrate: Oscar and imgsearch"):
        executor = MigrationExecutor(connection)
        executor.migrate([node for node in executor.loader.graph.leaf_nodes() if node[0] != "looks"])
    from looks.filling import fill

    with step(f"{PRODUCTS} products with pictures, stock and categories"):
        fill(PRODUCTS)
    yield folder
    connections.close_all()
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(DATABASE)))
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def working(shop: Path) -> Iterator[WorkerProcess]:
    """A worker with the stand-in encoder, started as `manage.py imgsearch worker` starts one."""
    from imgsearch.django import site

    settings = load_settings({k: v for k, v in site.environment().items() if k.startswith("IMGSEARCH_")}, environ={})
    with WorkerProcess(settings, site.environment(), shop / "worker.log") as process:
        yield process
