"""The whole way at once: JPEGs in the store, rows in the queue, real worker processes, and the clock until COMMIT."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from bench.ingest import pictures
from bench.ingest.bare import ROOT
from bench.ingest.stages import cpu_of
from imgsearch.dev.embedded.postmaster import postmaster
from imgsearch.settings import Settings

PATIENCE = 120.0  # seconds without a delivery: then something is wrong


@dataclass
class Round:
    """What one lot of pictures took: seconds, all and from a tenth to nine tenths; CPU seconds by who spent them."""

    pictures: int
    wall: float
    steady: float
    cpu: dict[str, float]


@contextmanager
def workers(count: int, environment: dict[str, str], log: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run image workers around a block."""
    command = [sys.executable, "-m", "imgsearch_workers", "--queue", "images", "--log-level", "WARNING"]
    with log.open("wb") as out:
        made = [
            subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out) for _ in range(max(1, count))
        ]
    try:
        yield made
    finally:
        for process in made:
            process.terminate()
        for process in made:
            process.wait(30)


def until_ready(connection: psycopg.Connection[Any], made: list[subprocess.Popen[bytes]], log: Path) -> None:
    """Wait until every worker has left a sign of life."""
    while _value(connection, "SELECT count(*) FROM imgsearch.worker") < len(made):
        if any(process.poll() is not None for process in made):
            raise RuntimeError(f"a worker ended: {log.read_text()[-2000:]}")
        time.sleep(0.1)


def run(
    connection: psycopg.Connection[Any],
    settings: Settings,
    made: list[subprocess.Popen[bytes]],
    rows: list[tuple[str, bytes]],
    first: int,
) -> Round:
    """Queue `rows` and measure until the last one is ready."""
    before = _value(connection, "SELECT count(*) FROM imgsearch.vectors")
    spent = _spent(settings, made)
    pictures.insert(connection, rows, first)
    began = changed = time.perf_counter()
    seen: list[tuple[float, int]] = [(0.0, 0)]
    while seen[-1][1] < len(rows):
        time.sleep(0.02)
        ready, failed = _row(
            connection, "SELECT (SELECT count(*) FROM imgsearch.vectors), count(*) FROM imgsearch.failures"
        )
        now = time.perf_counter()
        if failed:
            why = _row(connection, "SELECT error_code, error FROM imgsearch.failures")
            raise RuntimeError(f"{failed} pictures failed, one because of {why}")
        if ready - before > seen[-1][1]:
            seen.append((now - began, ready - before))
            changed = now
        if now - changed > PATIENCE:
            raise TimeoutError(f"{ready - before} of {len(rows)} pictures after {now - began:.0f} s, then none")
    after = _spent(settings, made)
    cpu = {who: sum(max(0.0, v - spent[who].get(pid, 0.0)) for pid, v in all_.items()) for who, all_ in after.items()}
    return Round(len(rows), seen[-1][0], _steady(seen), cpu)


def _steady(seen: list[tuple[float, int]]) -> float:
    """Return pictures per second between the first tenth and the last; 0 where there were too few deliveries."""
    total = seen[-1][1]
    middle = [(at, count) for at, count in seen if total / 10 <= count <= total * 9 / 10]
    if len(middle) < 5:
        return 0.0
    return (middle[-1][1] - middle[0][1]) / (middle[-1][0] - middle[0][0])


def _spent(settings: Settings, made: list[subprocess.Popen[bytes]]) -> dict[str, dict[int, float]]:
    """Return CPU seconds so far by process: workers, decoders, Postgres."""
    decoders = [child.pid for one in made for child in psutil.Process(one.pid).children()]
    server = postmaster(settings.home / "postgres")
    backends = [child.pid for child in server.children()] if server else []
    who = {"worker": [one.pid for one in made], "decoders": decoders, "postgres": backends}
    return {name: {pid: cpu_of(pid) for pid in pids} for name, pids in who.items()}


def _value(connection: psycopg.Connection[Any], query: str) -> int:
    return int(_row(connection, query)[0])


def _row(connection: psycopg.Connection[Any], query: str) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()  # type: ignore[call-overload]
    return tuple(row or (0,))
