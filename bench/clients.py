"""Queries per second with 1, 2, 4 and 8 clients: processes, each with a connection of its own, asking without pause."""

from __future__ import annotations

import multiprocessing
import os
import re
import time
from collections.abc import Callable, Container, Sequence
from typing import Any

import numpy as np

from bench.cells import Cell, cells
from bench.dataset import Dataset, dataset

CLIENTS = (1, 2, 4, 8)
CELLS = ("image unfiltered", "image tenant 10% unc", "image category 10% anti", "image tenant 30% & stock & colour")
METHODS = ("search-sql", "nearest", "hnsw-200", "bits-800", "exact", "bare")
_QUESTIONS = 50


def throughput(
    data: Dataset, url: str, methods: Container[str], wanted: str, seconds: float, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Measure those of METHODS that are in `methods` in those of CELLS that match `wanted`, k = 10; return the figures.

    seconds: how long each number of clients asks.
    """
    found = []
    for name in (name for name in CELLS if re.search(wanted, name)):
        for method in (method for method in METHODS if method in methods):
            for clients in CLIENTS:
                job = (data.rows, data.dim, url, name, method, seconds)
                figures = {"cell": name, "method": method, "clients": clients} | _together(job, clients)
                found.append(figures)
                say(
                    f"{name}: {method} × {clients} clients: {figures['qps']:.0f} queries/s, p95 {figures['p95']:.1f} ms"
                )
    return found


def _together(job: tuple[Any, ...], clients: int) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(clients)
    answers: Any = context.SimpleQueue()
    workers = [context.Process(target=_client, args=(job, number, barrier, answers)) for number in range(clients)]
    for worker in workers:
        worker.start()
    took: list[float] = []
    for _ in workers:
        took += answers.get()
    for worker in workers:
        worker.join()
    times = np.array(took) * 1000
    return {
        "qps": round(len(times) / job[-1], 1),
        "p50": round(float(np.median(times)), 3),
        "p95": round(float(np.percentile(times, 95)), 3),
    }


def _client(job: tuple[Any, ...], number: int, barrier: Any, answers: Any) -> None:
    from bench.everything import methods_of

    os.environ["OMP_NUM_THREADS"] = "1"
    rows, dim, url, name, wanted, seconds = job
    data = dataset(rows, dim)
    method = next(method for method in methods_of(data, url) if method.name == wanted)
    cell: Cell = next(cell for cell in cells(data) if cell.name == name)
    asks = cell.asks(_QUESTIONS, seed=number)
    runs = [method.ready(cell, ask, 10) for ask in asks]
    runs[0]()
    barrier.wait()
    took: list[float] = []
    deadline = time.perf_counter() + seconds
    while (began := time.perf_counter()) < deadline:
        runs[len(took) % len(runs)]()
        took.append(time.perf_counter() - began)
    answers.put(took)


def table(found: Sequence[dict[str, Any]]) -> Any:
    """Return the figures as a table: queries per second and p95 per number of clients."""
    from rich.table import Table

    made = Table(title="queries per second (p95 ms), k = 10", title_justify="left")
    for heading in ("cell", "method", *(f"{clients} clients" for clients in CLIENTS)):
        made.add_column(heading, no_wrap=True)
    for cell, method in dict.fromkeys((entry["cell"], entry["method"]) for entry in found):
        row = [entry for entry in found if (entry["cell"], entry["method"]) == (cell, method)]
        made.add_row(cell, method, *(f"{entry['qps']:.0f} ({entry['p95']:.1f})" for entry in row))
    return made
