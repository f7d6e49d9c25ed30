"""The embedded servers start, survive what machines do to them, stop for good, and say what is wrong with a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from kombu import Connection

from imgsearch import embedded
from imgsearch.embedded import Servers, place, tuning
from imgsearch.embedded.postgres import postgres_url, start_postgres, stop_postgres
from imgsearch.embedded.postmaster import pid_lines, postmaster
from imgsearch.embedded.redis import redis_url, start_redis, stop_redis
from imgsearch.errors import EmbeddedError

ROOT = Path(__file__).parents[1]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a child as another user")

NewHome = Callable[[str], Path]


@pytest.fixture
def new_home() -> Iterator[NewHome]:
    """A function that answers a new home by name; at the end every home's servers are stopped and it is removed.

    Not below pytest's own folder: its name is long, and only its owner may pass, which root's Postgres is not.
    """
    top = Path(tempfile.mkdtemp(prefix="ims-"))
    top.chmod(0o755)
    homes: list[Path] = []

    def make(name: str) -> Path:
        homes.append(top / name)
        return homes[-1]

    yield make
    for home in homes:
        if home.is_dir():
            embedded.stop(home)
    shutil.rmtree(top)


def start(home: Path, **options: bool) -> Servers:
    return embedded.start(home, memory_mb=256, durable=False, **options)


def processes_below(home: Path) -> list[str]:
    """Every live process whose working folder or command line lies below `home`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                continue
            words = " ".join(process.cmdline())
            if str(home) in words or process.cwd().startswith(str(home)):
                found.append(f"{process.pid} {words}")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def ask(url: str, statement: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(statement).fetchone()
        return row[0] if row else None


def run(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def test_first_start_gives_a_database_with_pgvector_and_stop_leaves_no_process(new_home: NewHome) -> None:
    home = new_home("a")
    assert embedded.running(home) is None
    servers = start(home)
    assert embedded.running(home) == servers
    assert start(home) == servers
    assert ask(servers.database_url, "SELECT current_database()") == "imgsearch"
    run(servers.database_url, "CREATE EXTENSION vector")
    version = str(ask(servers.database_url, "SELECT extversion FROM pg_extension WHERE extname = 'vector'"))
    assert tuple(map(int, version.split("."))) >= (0, 8, 4)
    assert processes_below(home)
    assert embedded.stop(home)
    assert processes_below(home) == []
    assert embedded.running(home) is None
    assert not embedded.stop(home)


def test_our_settings_are_in_force_and_postgres_accepts_every_one(new_home: NewHome) -> None:
    home = new_home("a")
    url = start(home).database_url
    with psycopg.connect(url) as connection:
        query = (
            "SELECT name, setting, error FROM pg_file_settings WHERE sourcefile LIKE '%imgsearch.conf' AND NOT applied"
        )
        assert connection.execute(query).fetchall() == []
        shown = {name: connection.execute(f"SHOW {name}").fetchone() for name, *_ in tuning.rows(256, False)}
    assert shown["jit"] == ("off",)
    assert shown["shared_buffers"] == ("64MB",)
    assert shown["random_page_cost"] == ("1.1",)
    assert shown["synchronous_commit"] == ("on",)
    assert shown["fsync"] == ("off",)
    assert ask(url, "SHOW listen_addresses") == ""


def test_users_get_fsync_and_a_share_of_their_memory() -> None:
    settings = {name: value for name, value, _ in tuning.rows(None, durable=True)}
    assert 256 <= int(settings["shared_buffers"].removesuffix("MB")) <= 4096
    assert "fsync" not in settings
    assert all(reason for *_, reason in tuning.rows(None, durable=True))
    assert dict(row[:2] for row in tuning.rows(64_000, True))["shared_buffers"] == "4096MB"
