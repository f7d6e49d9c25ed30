"""A shop that has Celery, Redis and a clock of its own: imgsearch runs beside it and changes nothing of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.processes import WorkerProcess, eventually
from tests.test_readme import ROOT, blocks

Connection = psycopg.Connection[Any]
SHOP = """
import os
from celery import Celery
{imported}
app = Celery("proj", broker=os.environ["IMGSEARCH_REDIS_URL"])
app.conf.task_default_queue = {queue!r}

@app.task(name="sell")
def sell(path):
    open(path, "w").write("sold by " + str(os.getpid()))
"""
IMPORTS = {
    "nothing": "",
    "our app": "from imgsearch_workers.app import app as imgsearch_app",
    "our app first": "import imgsearch_workers.app",
}


def project(folder: Path, imported: str, more: str = "") -> Path:
    (folder / "proj.py").write_text(SHOP.format(imported=imported, queue=folder.name) + more)
    return folder


@contextmanager
def celery(folder: Path, environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "celery", "-A", "proj", *arguments]
    with (folder / f"{arguments[0]}.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait(60)


def sell(folder: Path, environment: dict[str, str]) -> Path:
    sold = folder / "sold"
    code = f"from proj import sell; sell.delay({str(sold)!r})"
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=folder, check=True, timeout=120)
    return sold


@pytest.mark.parametrize("imported", IMPORTS)
def test_a_shops_own_worker_stays_its_own(tmp_path: Path, environment: dict[str, str], imported: str) -> None:
    folder = project(tmp_path, IMPORTS[imported])
    with celery(folder, environment, "worker", "-P", "solo", "-l", "INFO") as worker:
        sold = sell(folder, environment)
        eventually(sold.exists, what="the shop's task")
        assert sold.read_text() == f"sold by {worker.pid}"
        assert b"celery" in Path(f"/proc/{worker.pid}/cmdline").read_bytes()
    assert "imgsearch." not in (folder / "worker.log").read_text(), "none of our tasks is the shop's"


def test_importing_our_application_changes_nothing_else() -> None:
    code = """
import logging, sys
from celery import Celery, current_app, signals
from celery._state import _get_current_app
shop = Celery("shop")
shop.set_default(); shop.set_current()
before = (dict(shop.conf.table()), logging.getLogger().level, len(logging.getLogger().handlers), sys.excepthook)
import imgsearch_workers.app as ours
shop.finalize(); ours.app.finalize()
after = (dict(shop.conf.table()), logging.getLogger().level, len(logging.getLogger().handlers), sys.excepthook)
later = Celery("later"); later.finalize()  # the last one made is Celery's current one
print(before == after, current_app.main, [n for app in (shop, later) for n in app.tasks if n.startswith("imgsearch")])
print(sorted(n for n in ours.app.tasks if n.startswith("imgsearch")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    first, second = done.stdout.splitlines()
    assert first == "True later []", done.stdout
    assert second == "['imgsearch.sweep', 'imgsearch.sweep_store', 'imgsearch.wake_images', 'imgsearch.wake_queries']"


@pytest.mark.parametrize("way", ["the page", "our schedule"])
def test_a_shops_own_clock_sends_the_sweeps_to_our_worker_beside_its_own(
    connection: Connection, space: Space, settings: Settings, environment: dict[str, str], tmp_path: Path, way: str
) -> None:
    [block] = blocks("py", (ROOT / "docs/celery.md").read_text())
    if way == "our schedule":
        block = "app.conf.beat_schedule = dict(imgsearch_app.conf.beat_schedule)\n"
    sooner = '\nfor entry in app.conf.beat_schedule.values():\n    entry["schedule"] = 1.0\n'
    folder = project(tmp_path, IMPORTS["our app"] if way == "our schedule" else "", block + sooner)
    connection.execute(
        "INSERT INTO imgsearch.upkeep_failure (step, error) VALUES ('refresh_sample', 'x'), ('sweep_store', 'x')"
    )
    with (
        WorkerProcess(settings, environment, tmp_path / "ours.log", "images"),
        celery(folder, environment, "worker", "-P", "solo", "-l", "INFO") as worker,
        celery(folder, environment, "beat", "--schedule", str(tmp_path / "clock")),
    ):
        failures = "SELECT * FROM imgsearch.upkeep_failure"
        eventually(lambda: connection.execute(failures).fetchall() == [], what="both sweeps")
        sold = sell(folder, environment)
        eventually(sold.exists, what="the shop's task")
        assert sold.read_text() == f"sold by {worker.pid}"
    assert "unregistered" not in (folder / "worker.log").read_text()


def test_our_clock_says_where_it_sends_and_ends_where_nobody_would_listen(
    environment: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "celery", "-A", "imgsearch_workers.app", "beat", "--schedule", str(tmp_path / "b")]
    lonely = {name: value for name, value in environment.items() if not name.startswith("IMGSEARCH_")}
    lonely["IMGSEARCH_HOME"] = str(tmp_path / "nobody")
    done = subprocess.run(command, env=lonely, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "Set IMGSEARCH_REDIS_URL" in done.stderr
    assert "Traceback" not in done.stderr
    log = tmp_path / "beat.log"
    named = lonely | {"IMGSEARCH_REDIS_URL": "redis://:sesame@127.0.0.1:1/7"}
    with log.open("wb") as output, subprocess.Popen(command, env=named, cwd=tmp_path, stderr=output) as process:
        try:
            eventually(lambda: "the sweeps go to redis://:**@127.0.0.1:1/7" in log.read_text(), what="the address")
            assert "sesame" not in log.read_text()
        finally:
            process.kill()
