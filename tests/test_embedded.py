"""The embedded servers start, survive what machines do to them, and stop for good."""

from __future__ import annotations

import contextlib
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
from kombu.connection import Connection

from imgsearch.dev import embedded
from imgsearch.dev.embedded import Servers, place, tuning
from imgsearch.dev.embedded.postgres import postgres_url, start_postgres, stop_postgres
from imgsearch.dev.embedded.postmaster import pid_lines, postmaster
from imgsearch.dev.embedded.redis import redis_url, start_redis, stop_redis

pytestmark = pytest.mark.slow  # all of them together

ROOT = Path(__file__).parents[1]


@pytest.fixture
def top() -> Iterator[Path]:
    """An empty folder for homes; at the end the servers of every home in it are stopped.

    Not pytest's own: only its owner may pass it, which is not the user that Postgres has under root.
    """
    folder = Path(tempfile.mkdtemp(prefix="ims-"))
    folder.chmod(0o755)
    yield folder
    for lock in folder.rglob("lock"):
        embedded.stop(lock.parent)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def old_home() -> Iterator[Path]:
    """A home that has been used before (making one takes longest); a test leaves it running or not, as it likes."""
    folder = Path(tempfile.mkdtemp(prefix="ims-"))
    folder.chmod(0o755)
    start(folder / "old")
    yield folder / "old"
    embedded.stop(folder / "old")
    shutil.rmtree(folder)


def start(home: Path) -> Servers:
    return embedded.start(home, memory_mb=256, durable=False)


def ask(url: str, statement: str) -> object:
    """Run one statement in a transaction of its own; return the first value, if there is one."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def server_over(home: Path) -> psutil.Process:
    server = postmaster(home / "postgres")
    assert server is not None
    return server


def processes_below(home: Path) -> list[psutil.Process]:
    """Every live process whose working folder lies below `home`: both servers and all their children do."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(home):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def names_below(home: Path) -> set[str]:
    """What lives there; a process that ends meanwhile (Postgres starts some for a moment) does not count."""
    found = set()
    for process in processes_below(home):
        with contextlib.suppress(psutil.NoSuchProcess):
            found.add(process.name())
    return found


def until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_start_gives_a_database_with_pgvector_and_stop_leaves_no_process(old_home: Path) -> None:
    servers = start(old_home)
    assert embedded.running(old_home) == servers
    assert start(old_home) == servers
    assert ask(servers.database_url, "SELECT current_database()") == "imgsearch"
    ask(servers.database_url, "CREATE EXTENSION vector")
    version = str(ask(servers.database_url, "SELECT extversion FROM pg_extension WHERE extname = 'vector'"))
    assert tuple(map(int, version.split("."))) >= (0, 8, 4)
    until(lambda: names_below(old_home) == {"postgres", "redis-server"})
    assert embedded.stop(old_home)
    assert processes_below(old_home) == []
    assert embedded.running(old_home) is None
    assert not embedded.stop(old_home)


def test_our_settings_are_in_force_and_postgres_accepts_every_one(old_home: Path) -> None:
    with psycopg.connect(start(old_home).database_url) as connection:
        bad = "SELECT name, error FROM pg_file_settings WHERE sourcefile LIKE '%imgsearch.conf' AND NOT applied"
        assert connection.execute(bad).fetchall() == []
        shown = {}
        for name, *_ in [*tuning.rows(256, durable=False), *tuning.addresses(Path(), "", 0)]:
            (shown[name],) = connection.execute(f"SHOW {name}").fetchone() or ("",)
    assert shown["jit"] == "off"
    assert shown["shared_buffers"] == "64MB"
    assert shown["random_page_cost"] == "1.1"
    assert shown["synchronous_commit"] == "on"
    assert shown["fsync"] == "off"
    assert shown["listen_addresses"] == ""


def test_users_get_fsync_and_a_share_of_their_memory() -> None:
    settings = {name: value for name, value, _ in tuning.rows(None, durable=True)}
    assert 256 <= int(settings["shared_buffers"].removesuffix("MB")) <= 4096
    assert "fsync" not in settings
    assert {row[0]: row[1] for row in tuning.rows(64_000, durable=True)}["shared_buffers"] == "4096MB"
    assert all(reason for *_, reason in tuning.rows(None, durable=False))


def test_committed_rows_survive_kill_9_even_while_a_backend_is_busy(old_home: Path) -> None:
    embedded.stop(old_home)
    url = embedded.start(old_home, memory_mb=256).database_url  # durable, as for users
    assert ask(url, "SHOW fsync") == "on"
    ask(url, "CREATE TABLE kept AS SELECT 7 AS number")
    busy = threading.Thread(target=_be_busy, args=(url,))
    busy.start()
    until(lambda: ask(url, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%million%'") == 2)
    server = server_over(old_home)
    server.kill()
    assert place.gone(server, 5)
    assert postgres_url(old_home) is None
    again = start(old_home)
    assert ask(again.database_url, "SELECT number FROM kept") == 7
    busy.join(10)
    assert not busy.is_alive()


def _be_busy(url: str) -> None:
    # Computes without ever waiting, so it does not notice that its server is gone.
    with psycopg.connect(url) as connection, pytest.raises(psycopg.OperationalError):
        connection.execute(
            "SELECT count(*) AS millions FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b"
        )


def test_pid_files_that_name_a_living_stranger_do_not_stop_a_start(old_home: Path) -> None:
    start(old_home)
    server = server_over(old_home)
    lines = pid_lines(old_home / "postgres")
    server.kill()
    assert place.gone(server, 5)
    stranger = subprocess.Popen(["sleep", "60"], user=server_user(old_home))
    try:
        number = str(stranger.pid)
        (old_home / "postgres" / "postmaster.pid").write_text("\n".join([number, *lines[1:], ""]))
        (old_home / "postgres" / ".s.PGSQL.5432.lock").write_text("\n".join([number, *lines[1:6], ""]))
        assert postgres_url(old_home) is None
        assert not stop_postgres(old_home)
        assert ask(start_postgres(old_home, memory_mb=256, durable=False), "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def server_user(home: Path) -> int | None:
    """The user that the server runs as, where that is another than ours; only root could switch to it."""
    owner = (home / "postgres").stat().st_uid
    return None if owner == os.geteuid() else owner


def test_two_homes_run_side_by_side_and_know_nothing_of_each_other(old_home: Path, top: Path) -> None:
    first, second = start(old_home), start(top / "other")
    ask(first.database_url, "CREATE TABLE mine ()")
    assert ask(second.database_url, "SELECT to_regclass('mine')") is None
    assert first.redis_url != second.redis_url
    embedded.stop(old_home)
    assert embedded.running(top / "other") == second
    assert ask(second.database_url, "SELECT 1") == 1


def test_three_processes_that_start_a_new_home_at_once_get_one_pair_of_servers(top: Path) -> None:
    home = top / "new"
    script = (
        "import sys, pathlib; from imgsearch.dev import embedded; "
        "print(embedded.start(pathlib.Path(sys.argv[1]), memory_mb=256, durable=False))"
    )
    # -W error: nothing that a wheel has to say may reach a user.
    command = [sys.executable, "-W", "error", "-c", script, str(home)]
    environ = {key: value for key, value in os.environ.items() if key != "XDG_RUNTIME_DIR"}
    starts = [
        subprocess.Popen(command, cwd=ROOT, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    answers = [process.communicate(timeout=240) for process in starts]
    assert [error for _, error in answers] == [""] * 3
    assert {said.strip() for said, _ in answers} == {str(embedded.running(home))}  # and they outlive their starters
    running = processes_below(home)
    numbers = {process.pid for process in running}
    assert sorted(process.name() for process in running if process.ppid() not in numbers) == [
        "postgres",
        "redis-server",
    ]


@pytest.mark.parametrize("name", ["x" * 120, "a b, 'c' \"d\" %41 $HOME `é`#&?"], ids=["long", "odd characters"])
def test_any_path_will_do_even_below_a_private_folder(top: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home = top / "private" / name
    home.parent.mkdir(mode=0o700)
    monkeypatch.chdir(home.parent)
    before = os.umask(0o077)
    try:
        servers = start(Path(name))
    finally:
        os.umask(before)
    assert embedded.running(home) == servers
    assert home.parent.stat().st_mode & 0o077 in {0, 0o001}  # under root: passed through, but never listed
    assert ask(servers.database_url, "SELECT 1") == 1
    with Connection(servers.redis_url) as broker:
        broker.connect()
    sockets = Path(pid_lines(home / "postgres")[4].strip())
    assert sockets.stat().st_mode & 0o077 == 0  # whoever gets here is let in without a password
    server = server_over(home)
    assert server.username() != "root"
    server.kill()  # leaves its socket behind
    assert place.gone(server, 5)
    assert start(home) == servers
    assert embedded.stop(home)
    assert sockets == home / "postgres" or not sockets.exists()


def test_what_alter_system_says_wins_and_our_own_file_is_written_anew(old_home: Path) -> None:
    url = start(old_home).database_url
    ask(url, "ALTER SYSTEM SET checkpoint_timeout = '7min'")
    embedded.stop(old_home)
    (old_home / "postgres" / "imgsearch.conf").write_text("jit = on\n")
    (old_home / "postgres.new").mkdir()  # a first start that was killed half-way
    url = start(old_home).database_url
    assert ask(url, "SHOW checkpoint_timeout") == "7min"
    assert ask(url, "SHOW jit") == "off"


def test_tcp_is_open_only_when_asked_for_and_wants_a_password(old_home: Path) -> None:
    embedded.stop(old_home)
    url = start_postgres(old_home, memory_mb=256, durable=False, listen=True)
    assert url == postgres_url(old_home)
    assert ask(url, "SELECT host(inet_server_addr())") == "127.0.0.1"
    password = old_home / "postgres.password"
    assert password.stat().st_mode & 0o077 == 0
    with pytest.raises(psycopg.OperationalError, match="password"):
        ask(url.replace(password.read_text(), "wrong"), "SELECT 1")
    stop_postgres(old_home)
    assert "127.0.0.1" not in start_postgres(old_home, memory_mb=256, durable=False)


def test_redis_carries_celerys_messages_and_refuses_rather_than_forgets(old_home: Path) -> None:
    url = start_redis(old_home)
    assert url.startswith("redis+socket:///")
    with Connection(url) as broker, broker.SimpleQueue("wakes") as queue:
        queue.put({"wake": 1})
        message = queue.get(timeout=60)
        assert message.payload == {"wake": 1}
        message.ack()
        client = broker.default_channel.client
        for name, value in {"maxmemory-policy": "noeviction", "save": "", "port": "0"}.items():
            assert client.config_get(name) == {name: value}


@pytest.mark.parametrize("blow", ["kill", "suspend"])
def test_a_redis_that_is_dead_or_hangs_is_replaced(old_home: Path, blow: str) -> None:
    url = start_redis(old_home)
    (server,) = (process for process in processes_below(old_home) if process.name() == "redis-server")
    getattr(server, blow)()
    assert place.gone(server, 1) is (blow == "kill")
    assert blow == "suspend" or redis_url(old_home) is None
    assert start_redis(old_home) == url
    assert place.gone(server, 0)
    assert stop_redis(old_home)
    assert not [process for process in processes_below(old_home) if process.name() == "redis-server"]
