"""A Django project of examples/ on a database of the embedded server, and its worker. It needs a process of its own."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier

from imgsearch.dev import embedded
from imgsearch.dev.testing import FAKE
from imgsearch.settings import load_settings
from tests.adopt.conftest import step
from tests.own_server import named, with_database
from tests.processes import WorkerProcess

EXAMPLES = Path(__file__).parents[2] / "examples"


@contextmanager
def database(servers: embedded.Servers, example: str) -> Iterator[Path]:
    """Make a database and point the environment at it; yield a folder for pictures."""
    folder = Path(tempfile.mkdtemp(prefix="imgs-adopt-"))
    folder.chmod(0o755)
    name = named(example)
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {} STRATEGY file_copy").format(Identifier(name)))
    os.environ |= {
        "DATABASE_URL": with_database(servers.database_url, name),
        "IMGSEARCH_REDIS_URL": servers.redis_url,
        "IMGSEARCH_HOME": str(folder),
        "IMGSEARCH_MODEL": FAKE,
    }
    yield folder
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def started(servers: embedded.Servers, example: str, app: str) -> Iterator[Path]:
    """Start a project of examples/ and migrate all but its own app, which attaches; yield a folder for pictures."""
    with database(servers, example) as folder:
        os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
        sys.path.insert(0, str(EXAMPLES / example))
        import django
        from django.core.management import call_command
        from django.db import connection, connections
        from django.db.migrations.executor import MigrationExecutor
        from django.test.utils import setup_test_environment

        with step("start Django"):
            django.setup()
            setup_test_environment()
        with step("migrate: the package and imgsearch"):
            executor = MigrationExecutor(connection)
            executor.migrate([node for node in executor.loader.graph.leaf_nodes() if node[0] != app])
            call_command("check", databases=["default"])
        yield folder
        connections.close_all()


def worker(folder: Path) -> WorkerProcess:
    """Return a worker with the stand-in encoder, started as `manage.py imgsearch worker` starts one."""
    from imgsearch.django import site

    settings = load_settings({k: v for k, v in site.environment().items() if k.startswith("IMGSEARCH_")}, environ={})
    return WorkerProcess(settings, site.environment(), folder / "worker.log")
