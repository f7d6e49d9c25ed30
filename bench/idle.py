"""What do idle workers cost the database? Statements per second of four of them with nothing to do.

python -m bench.idle --workers 4 --seconds 30
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

from bench.ingest import pipeline
from bench.ingest.bare import ROOT
from bench.ingest.run import environment
from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.dev.testing import FAKE
from imgsearch.settings import load_settings

COMMITS = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"


def per_second(connection: psycopg.Connection[Any], seconds: float) -> float:
    """Return how many transactions others ran per second: a worker's statement is one each."""
    before = _commits(connection)
    began = time.monotonic()
    time.sleep(seconds)
    return (_commits(connection) - before) / (time.monotonic() - began)


def _commits(connection: psycopg.Connection[Any]) -> int:
    time.sleep(1.5)  # backends tell of their transactions once a second
    row = connection.execute(COMMITS).fetchone()
    return int(row[0]) if row else 0


def main(arguments: list[str] | None = None) -> int:
    """Start servers and workers, let them idle, count."""
    parser = argparse.ArgumentParser(prog="python -m bench.idle", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=30)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="idl-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        try:
            servers = embedded.start(home, memory_mb=512)
            urls = {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
            settings = load_settings({**urls, "HOME": str(home), "MODEL": FAKE}, environ={})
            schema.upgrade(settings)
            command = [sys.executable, "-m", "imgsearch_workers", "--log-level", "WARNING"]
            made = [subprocess.Popen(command, cwd=ROOT, env=environment(settings)) for _ in range(given.workers)]
            try:
                with db.connect(settings, autocommit=True) as connection:
                    pipeline.until_ready(connection, [*made, *made], home / "none")  # two queues each
                    spent = sum(map(pipeline.cpu_of, [one.pid for one in made]))
                    rate = per_second(connection, given.seconds)
                    spent = sum(map(pipeline.cpu_of, [one.pid for one in made])) - spent
            finally:
                for one in made:
                    one.terminate()
                    one.wait(20)
        finally:
            embedded.stop(home)
    cpu = spent / (given.seconds + 3) / given.workers
    print(f"{given.workers} idle workers: {rate:.1f} statements/s, {1000 * cpu:.1f} ms of CPU per second each")
    return 0


if __name__ == "__main__":
    sys.exit(main())
