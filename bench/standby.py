"""A real standby of an embedded server, by streaming replication: made, left behind, promoted."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from imgsearch.dev.embedded.wheel import Programs, programs

SECONDS = 120
NAME = "standby"  # what the primary calls it: synchronous_standby_names


@dataclass(frozen=True)
class Standby:
    """A server that follows another one."""

    data: Path
    tools: Programs
    primary: str
    address: dict[str, str]

    def url(self, database: str) -> str:
        """Return the URL of a database here."""
        at = self.address
        return f"postgresql://{at['user']}@/{database}?host={at['host']}&port={at['port']}"

    def copy_of(self, url: str) -> str:
        """Return the URL of the database here that follows the one of a URL."""
        return self.url(str(conninfo_to_dict(url)["dbname"]))

    def either(self, url: str) -> str:
        """Return the URL of a database on whichever of the two servers takes writes."""
        given = conninfo_to_dict(url)
        hosts, ports = f"{given['host']},{self.address['host']}", f"{given.get('port', 5432)},{self.address['port']}"
        end = f"host={hosts}&port={ports}&target_session_attrs=read-write"
        return f"postgresql://{self.address['user']}@/{given['dbname']}?{end}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(self.url(database), autocommit=True)

    def catch_up(self) -> None:
        """Wait until all that the primary has written by now is seen here."""
        with psycopg.connect(self.primary, autocommit=True) as primary:
            row = primary.execute("SELECT pg_current_wal_lsn()").fetchone()
        deadline = time.monotonic() + SECONDS
        with self.connect() as here:
            while here.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", row).fetchone() != (True,):
                assert time.monotonic() < deadline, "the standby does not follow"
                time.sleep(0.01)

    def promote(self) -> None:
        """Make it a server that takes writes."""
        self.run("pg_ctl", "promote", "-w", "-D", ".")

    def run(self, program: str, *arguments: str) -> None:
        """Run a program of Postgres in the folder of this server's data."""
        status, said = self.tools.run(program, *arguments, folder=self.data, timeout=SECONDS)
        assert status == 0, said


@contextmanager
def standby(primary: str, *, tools: Programs | None = None) -> Iterator[Standby]:
    """Copy a running server, follow it, and end that at the end. tools: other programs than the primary's."""
    given = conninfo_to_dict(primary)
    folder = Path(tempfile.mkdtemp(prefix="imgs-sb-"))
    folder.chmod(0o755)
    data = folder / "data"
    data.mkdir(mode=0o700)
    own = programs(data)
    if own.account:
        shutil.chown(folder, *own.account)
        shutil.chown(data, *own.account)
    address = {"user": "postgres", "host": str(folder), "port": str(given.get("port") or 5432)}
    made = Standby(data, tools or own, primary, address)
    source = make_conninfo(user="postgres", host=str(given["host"]), port=address["port"], application_name=NAME)
    words = ["-D", ".", "-d", source, "-R", "-X", "stream", "-c", "fast", "-N"]
    try:
        status, said = own.run("pg_basebackup", *words, folder=data, timeout=SECONDS)
        assert status == 0, said
        # The copied settings name the primary's socket; what stands on the command line wins.
        options = f"-c unix_socket_directories={folder} -c listen_addresses= -c shared_buffers=64MB"
        made.run("pg_ctl", "start", "-w", "-D", ".", "-l", "log", "-o", options)
        try:
            yield made
        finally:
            made.run("pg_ctl", "stop", "-m", "immediate", "-D", ".")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
