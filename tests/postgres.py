"""The core of the tests on the oldest Postgres installed here, or on another: `make postgres`.

A server of Debian's packages is started in a folder of its own, on a free loopback port, and ended. It needs pgvector:
where the package `postgresql-<version>-pgvector` does not exist, IMGSEARCH_PGVECTOR_SOURCE names a folder with its
source, of which it is built.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.places import made_folder

PACKAGES = Path("/usr/lib/postgresql")
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


def installed() -> list[str]:
    """Return the versions of Postgres that Debian's packages brought here, the oldest first."""
    found = [path.parents[1].name for path in PACKAGES.glob("*/bin/postgres")]
    return sorted(found, key=int)


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
def server(version: str) -> Iterator[str]:
    """Start a server and give its address."""
    programs = PACKAGES / version / "bin"
    folder = made_folder("imgs-pg-")
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if user:
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    run = [*user, str(programs / "pg_ctl"), "-D", str(data), "-w"]
    options = " ".join(f"-c {one}" for one in (*SETTINGS, f"port={port}", f"unix_socket_directories={folder}"))
    initdb = [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
    try:
        subprocess.run([*user, *initdb, "--locale=C.UTF-8"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
        subprocess.run([*run, "-l", str(folder / "log"), "-o", options, "start"], check=True, stdout=2, cwd=folder)
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*run, "-m", "immediate", "stop"], check=True, stdout=2, cwd=folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Run the core on one version; 0 also where there is none to run on."""
    parser = argparse.ArgumentParser(prog="python -m tests.postgres", description=__doc__)
    parser.add_argument("version", nargs="?", help="15, 16, 17, 18; the oldest that is installed")
    parser.add_argument("tests", nargs="*", default=CORE)
    asked = parser.parse_args()
    versions = [asked.version] if asked.version else installed()
    version = next((one for one in versions if one in installed() and has_pgvector(one)), None)
    if version is None:
        wanted = asked.version or "any version"
        print(f"Skipped: no Postgres ({wanted}) with pgvector is installed under {PACKAGES}.")
        return 0
    with server(version) as url:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *asked.tests]
        environ = os.environ | {"IMGSEARCH_TEST_URL": url}
        return subprocess.run(command, env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
