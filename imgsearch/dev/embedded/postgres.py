"""How imgsearch runs a PostgreSQL of its own, from a wheel, for laptops, CI and the demo."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
from pathlib import Path
from urllib.parse import quote

from imgsearch.dev.embedded import tuning
from imgsearch.dev.embedded.place import gone, leave_socket_folder, let_pass, log_file, socket_folder, tail, usable
from imgsearch.dev.embedded.postmaster import clear_after_crash, end_backends, pid_lines, postmaster
from imgsearch.dev.embedded.wheel import MAJOR, Programs, programs
from imgsearch.errors import EmbeddedError

DATABASE = "imgsearch"
_INCLUDE = "include_if_exists = 'imgsearch.conf'"
# A recovery replays up to max_wal_size; minutes are rare, and cutting one short would only start it again.
_START_SECONDS = 300


def start_postgres(home: Path, *, memory_mb: int | None = None, listen: bool = False, durable: bool = True) -> str:
    """Start Postgres over `home/postgres` (made at the first start) and return the URL of database `imgsearch`.

    Called under the lock of `imgsearch.dev.embedded.start`. A server that runs already is left as it is.
    memory_mb: what it may count on, in MB; None: this machine's. listen: also on a free loopback port, with a
    password. durable: False leaves out fsync, for tests.
    Raises EmbeddedError when the wheel is missing or the folder is not usable.
    """
    url = postgres_url(home)
    if url is None:
        with usable(home):
            data = _data(home)
            tools = programs(data)
            _check(data)
            if not (data / "PG_VERSION").exists():
                _create_cluster(data, tools, durable)
            address, port = ("127.0.0.1", _free_port()) if listen else ("", 5432)
            folder = socket_folder(home.absolute(), data, f".s.PGSQL.{port}")
            clear_after_crash(data, folder)
            _configure(data, [*tuning.rows(memory_mb, durable), *tuning.addresses(folder, address, port)])
            _launch(data, tools, log_file(home, "postgres"))
        url = postgres_url(home)
        if url is None:
            raise EmbeddedError(f"Postgres ended right after its start; see {log_file(home, 'postgres')}.")
    _prepare_database(home, url)
    return url


def stop_postgres(home: Path) -> bool:
    """Stop the server of `home` and wait until no process of it is left; return whether there was one.

    Open transactions are rolled back (a "fast" shutdown). Raises EmbeddedError when it will not end.
    """
    with usable(home):
        data = _data(home)
        server = postmaster(data)
        if server is None:
            return False
        lines = pid_lines(data)
        for number, seconds in ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0)):
            server.send_signal(number)
            if gone(server, seconds):
                if number is signal.SIGKILL:
                    end_backends(data)
                elif len(lines) > 4:
                    leave_socket_folder(home.absolute(), Path(lines[4].strip()))
                return True
    raise EmbeddedError(f"Postgres (process {server.pid}) does not end; kill it, then try again.")


def postgres_url(home: Path) -> str | None:
    """Return the URL of the running server of `home`, or None when none is ready."""
    with usable(home):
        data = _data(home)
        lines = pid_lines(data)
        if len(lines) < 8 or lines[7].strip() != "ready" or postmaster(data) is None:
            return None
        address = lines[5].strip()
        if address:
            return f"postgresql://postgres:{_password(home)}@{address}:{lines[3].strip()}/{DATABASE}"
    return _socket_url(lines, DATABASE)


def _socket_url(lines: list[str], database: str) -> str:
    # The port is part of the socket's name; said, because PGPORT would fill the gap.
    return f"postgresql://postgres@/{database}?host={quote(lines[4].strip())}&port={lines[3].strip()}"


def _data(home: Path) -> Path:
    return home.absolute() / "postgres"


def _check(data: Path) -> None:
    """Refuse a data folder that Postgres could not use, with words that say why."""
    if not data.exists():
        return
    if not data.is_dir():
        raise EmbeddedError(f"{data} is a file where Postgres keeps its data; move it away.")
    version = data / "PG_VERSION"
    if version.exists():
        found = version.read_text().strip()
        if found != str(MAJOR):
            raise EmbeddedError(
                f"{data} was made by PostgreSQL {found}, this is {MAJOR}; dump it with the old version, "
                "or move the folder away to start over."
            )
    elif any(data.iterdir()):
        raise EmbeddedError(f"{data} holds files but no database; move them away, or set IMGSEARCH_HOME elsewhere.")


def _create_cluster(data: Path, tools: Programs, durable: bool) -> None:
    """Make the data folder, whole or not at all: under another name first, so that a killed start leaves no ruin."""
    new = data.with_name("postgres.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    if tools.account is not None:
        os.chown(new, *tools.account)
    arguments = [
        f"--pgdata={new}",
        "--username=postgres",
        # Whoever reaches the socket's folder is let in; anybody on a shared machine reaches the loopback.
        "--auth-local=trust",
        "--auth-host=scram-sha-256",
        # Builtin: the order of text does not change with the operating system's library, so indexes stay right.
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
    ]
    if not durable:
        arguments.append("--no-sync")
    status, said = tools.run("initdb", *arguments, folder=new, timeout=_START_SECONDS)
    if status != 0:
        shutil.rmtree(new, ignore_errors=True)
        raise EmbeddedError(f"initdb could not make {data}; is the disk full? It said:\n{said}")
    new.rename(data)


def _configure(data: Path, rows: list[tuning.Row]) -> None:
    """Write imgsearch.conf, and make sure that postgresql.conf includes it."""
    ours = data / "imgsearch.conf"
    ours.write_text(tuning.text(rows))
    ours.chmod(0o644)  # below a private folder; the server's user must be able to read what root wrote
    main = data / "postgresql.conf"
    if _INCLUDE not in main.read_text():
        with main.open("a") as file:
            file.write(f"\n{_INCLUDE}\n")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _launch(data: Path, tools: Programs, log: Path) -> None:
    if tools.account is not None:
        let_pass(log)
        os.chown(log, *tools.account)
    # Relative, because pg_ctl hands both paths to a shell without regard for what characters are in them.
    words = ["start", "-w", "-t", str(_START_SECONDS), "-D", ".", "-l", os.path.relpath(log, data)]
    status, said = tools.run("pg_ctl", *words, folder=data, timeout=_START_SECONDS + 30)
    if status != 0:
        raise EmbeddedError(f"Postgres does not start over {data}: {said}; the end of {log} says why:{tail(log)}")


def _prepare_database(home: Path, url: str) -> None:
    """Create database `imgsearch`, and give the role its password where TCP is open."""
    import psycopg
    from psycopg import sql

    try:
        with psycopg.connect(_socket_url(pid_lines(_data(home)), "postgres"), autocommit=True) as connection:
            if "host=" not in url:
                connection.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(sql.Literal(_password(home))))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).rowcount:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    except psycopg.OperationalError as error:
        raise EmbeddedError(f"Postgres under {home} does not answer ({error}); stop it and start again.") from error


def _password(home: Path) -> str:
    """Return the password for TCP, made at first use and readable for this user only."""
    path = home / "postgres.password"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(24))
    return path.read_text()
