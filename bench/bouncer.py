"""A real PgBouncer in transaction mode before a database: Debian's, or the one that PGBOUNCER names."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from imgsearch.dev.embedded.place import let_pass

PROGRAM = os.environ.get("PGBOUNCER") or shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def before(url: str, folder: Path, *, sessions: int = 8, statements: int = 0) -> Iterator[str]:
    """Run PgBouncer with so many sessions of the server; yield the URL that leads through it.

    statements: how many prepared statements it carries for a client, where its version can. It runs as the user
    that the server runs as.
    """
    given = conninfo_to_dict(url)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    known = version() >= (1, 21)
    (folder / "users.txt").write_text('"postgres" ""\n')
    (folder / "bouncer.ini").write_text(
        f"""[databases]
* = user=postgres host={given["host"]} port={given["port"]}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
auth_file = {folder}/users.txt
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 400
logfile = {folder}/bouncer.log
{f"max_prepared_statements = {statements}" if known else ""}
"""
    )
    let_pass(folder / "bouncer.ini")
    folder.chmod(0o777)
    owner = Path(str(given["host"])).stat().st_uid  # who reaches the server's socket; PgBouncer refuses to be root
    user = {"user": owner, "extra_groups": []} if os.geteuid() == 0 else {}
    process = subprocess.Popen([str(PROGRAM), str(folder / "bouncer.ini")], stderr=subprocess.DEVNULL, **user)  # type: ignore[call-overload]
    through = f"postgresql://postgres@127.0.0.1:{port}/{given['dbname']}"

    def answers() -> bool:
        assert process.poll() is None, (folder / "bouncer.log").read_text()[-2000:]
        with suppress(psycopg.OperationalError):
            psycopg.connect(through).close()
            return True
        return False

    try:
        deadline = time.monotonic() + 30
        while not answers():
            assert time.monotonic() < deadline, "PgBouncer does not answer"
            time.sleep(0.02)
        yield through
    finally:
        process.kill()  # SIGTERM waits for clients since 1.23; SIGQUIT is ignored by what a shell began behind itself
        process.wait(60)


def version() -> tuple[int, ...]:
    """Return the version of the program that is there."""
    said = subprocess.run([str(PROGRAM), "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    return tuple(int(part) for part in said.split("."))
