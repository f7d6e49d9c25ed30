"""Measures filtered search: every single method, the product and its peers, interleaved, in every cell.

python -m bench                                   everything on 200,000 pictures
python -m bench --cells 'image category' --k 10   some cells
python -m bench --rows 5000 --queries 5           a quick look
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console

from bench import bare, clients, figures, load, memory, report
from bench.cells import Cell, cells
from bench.dataset import OUT, Dataset, dataset
from bench.everything import methods_of
from bench.methods import Method
from bench.peers import peers
from bench.runs import measure
from bench.truth import Judge
from bench.vectors import STRUCTURES


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000, help="pictures (default 200000)")
    parser.add_argument("--dim", type=int, default=768, help="numbers per vector (default 768)")
    parser.add_argument("--alike", action="store_true", help="products of 1, 5 and 20 near-alike pictures")
    parser.add_argument(
        "--structure", choices=sorted(STRUCTURES), default="usual", help="how pictures lie (default usual)"
    )
    parser.add_argument("--queries", type=int, default=100, help="questions per cell (default 100)")
    parser.add_argument("--k", default="10,100", help="page sizes (default 10,100)")
    parser.add_argument("--cells", default=".", metavar="REGEX", help="only cells whose name matches")
    parser.add_argument("--methods", default=".", metavar="REGEX", help="only methods whose name matches")
    parser.add_argument(
        "--seconds-budget", type=float, default=3600, help="all cells together; each gets an equal part (default 3600)"
    )
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="what p50, p95 and ratios are made of; cpu: processor time of server and client, for a busy machine",
    )
    parser.add_argument(
        "--clients-seconds",
        type=float,
        default=2,
        help="how long 1, 2, 4 and 8 clients ask each (default 2; 0: not at all)",
    )
    parser.add_argument("--seed", type=int, default=1, help="which questions are asked (default 1)")
    parser.add_argument("--keep", action="store_true", help="leave the database server running for the next run")
    parser.add_argument("--reload", action="store_true", help="load the database anew")
    parser.add_argument("--load-only", action="store_true", help="draw and load, measure nothing")
    parser.add_argument("--list", action="store_true", help="list the cells and go")
    parser.add_argument("--json", type=Path, default=None, help="where the figures go (default bench/out/<time>.json)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; return the exit status."""
    chosen = options(arguments)
    console = Console(width=None if sys.stdout.isatty() else 260, log_path=False)
    data = dataset(chosen.rows, chosen.dim, alike=chosen.alike, structure=chosen.structure)
    wanted = [cell for cell in cells(data) if re.search(chosen.cells, cell.name)]
    if chosen.list:
        console.print("\n".join(cell.name for cell in wanted), highlight=False)
        return 0
    kept = chosen.keep or chosen.load_only or load.running(data)
    url = load.ready(data, console.log, anew=chosen.reload)
    try:
        if re.search(chosen.methods, "bare"):
            bare.ready(data, url, console.log)
        if chosen.load_only:
            console.print(url, highlight=False, soft_wrap=True)
        else:
            run(chosen, data, url, wanted, console)
    finally:
        if not kept:
            load.stop(data)
    return 0


def run(chosen: argparse.Namespace, data: Dataset, url: str, wanted: Sequence[Cell], console: Console) -> None:
    """Measure the chosen cells with the chosen methods; show and keep the figures."""
    path = chosen.json or OUT / f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}.json"
    everything = [*methods_of(data, url), *peers(data, console.log, chosen.methods)]
    methods = [method for method in everything if re.search(chosen.methods, method.name)]
    result: dict[str, Any] = {
        "meta": meta(chosen, url),
        "cells": [],
        "summary": {},
        "memory": memory.sizes(data, url),
        "clients": [],
    }
    began = time.monotonic()
    try:
        for figures_of_cell in measured(chosen, Judge(data), wanted, methods, console):
            result["cells"].append(figures_of_cell)
            console.log(report.line(figures_of_cell), highlight=False)
    except KeyboardInterrupt:
        console.log("stopped; these are the cells so far")
    finally:
        for method in methods:
            method.close()
    result["summary"] = figures.summary(result["cells"])
    result["meta"]["seconds"] = round(time.monotonic() - began, 1)
    report.save(path, result)
    if chosen.clients_seconds:
        names = {method.name for method in methods}
        result["clients"] = clients.throughput(data, url, names, chosen.cells, chosen.clients_seconds, console.log)
        report.save(path, result)
    report.show(console, result)
    console.print(str(path), highlight=False, soft_wrap=True)


def measured(
    chosen: argparse.Namespace, judge: Judge, wanted: Sequence[Cell], methods: Sequence[Method], console: Console
) -> Iterator[dict[str, Any]]:
    """Yield the figures of each cell at each k, within the budget of seconds."""
    sizes, began = [int(k) for k in chosen.k.split(",")], time.monotonic()
    for number, cell in enumerate(wanted):
        asks = cell.asks(chosen.queries, chosen.seed)
        if not asks:
            console.log(f"{cell.name}: no question of this kind in this dataset")
            continue
        truth = judge.truth(cell, asks)
        for k in sizes:
            left = chosen.seconds_budget - (time.monotonic() - began)
            # What one cell leaves over, the next ones have; none takes more than four shares.
            seconds = 4 * max(1.0, left / max(1, (len(wanted) - number) * len(sizes)))
            limits: Any = {"seed": chosen.seed, "seconds": seconds, "clock": chosen.clock}
            yield figures.of_cell(measure(cell, k, asks, truth, judge, methods, **limits))


def meta(chosen: argparse.Namespace, url: str) -> dict[str, Any]:
    """Return what the figures were made with."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            """SELECT current_setting('server_version'), current_setting('shared_buffers'),
                      (SELECT extversion FROM pg_extension WHERE extname = 'vector')"""
        ).fetchone()
    assert row is not None
    asked = {
        name: getattr(chosen, name) for name in ("rows", "dim", "queries", "k", "cells", "methods", "seed", "clock")
    }
    return asked | {
        "postgres": row[0],
        "pgvector": row[2],
        "shared_buffers": row[1],
        "load_average": os.getloadavg()[0],
        "cores": os.cpu_count(),
        "machine": f"{platform.machine()}, {platform.system()}",
        "measured_at": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}",
    }


if __name__ == "__main__":
    raise SystemExit(main())
