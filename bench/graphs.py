"""What do m and ef_construction buy? Graphs over the same vectors: recall, cost of a walk, build, bytes.

    python -m bench.graphs                                    200,000 x 768: m 16, 24 and 32
    python -m bench.graphs --rows 50000 --dim 256 --graphs 16/128,24/200

Each question is asked of every graph in turn, at every width; cost is the processor time of the server's process, of
three tries the least. Told are recall@10, and of the part that a search believes, the first sixth of a walk, how much
of what truly lies within its edge is there: that is what a filter's answer is made of.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.sql import SQL, Identifier, Literal

from bench import copying, vectors
from bench.dataset import OUT, Dataset, dataset
from bench.home import fresh_home
from bench.timed import fastest
from imgsearch.dev import embedded

WIDTHS = (40, 80, 120, 200, 400)
BELIEVED = 6  # 1 / the part of a walk that is believed where nobody measured more
Graph = tuple[int, int]


def measured(data: Dataset, graphs: Sequence[Graph], questions: int) -> list[dict[str, Any]]:
    """Return a row of figures per graph, kind of question and width."""
    with fresh_home("graphs-") as home:
        url = embedded.start(home, durable=False).database_url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
            connection.execute("SET maintenance_work_mem = '2GB'; SET max_parallel_maintenance_workers = 2")
            made = [_built(connection, data, graph) for graph in graphs]
            connection.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
            found = list[dict[str, Any]]()
            for kind in ("image", "text"):
                asked = data.queries(kind)[np.random.default_rng(5).choice(len(data.queries(kind)), questions)]
                truth = _truth(data, asked)
                for ef in WIDTHS:
                    found += _asked(connection, graphs, kind, ef, asked, truth)
    for row in found:
        row |= made[graphs.index((row["m"], row["ef_construction"]))]
    return found


def _table(graph: Graph) -> Identifier:
    return Identifier(f"embedding_{graph[0]}_{graph[1]}")


def _built(connection: psycopg.Connection[Any], data: Dataset, graph: Graph) -> dict[str, Any]:
    table = _table(graph)
    connection.execute(
        SQL("CREATE TABLE {} (image_id bigint, embedding halfvec({}) STORAGE PLAIN)").format(table, Literal(data.dim))
    )
    starts = [*range(0, data.rows, vectors.CHUNK), data.rows]
    rows = (
        (copying.bigint(number), vector)
        for start, end in pairwise(starts)
        for number, vector in enumerate(copying.halfvecs(data.vectors[start:end]), start)
    )
    copying.copy(connection, table, ("image_id", "embedding"), rows)
    began = time.perf_counter()
    connection.execute(
        SQL("CREATE INDEX ON {} USING hnsw (embedding halfvec_cosine_ops) WITH (m = {}, ef_construction = {})").format(
            table, *map(Literal, graph)
        )
    )
    took = time.perf_counter() - began
    size = connection.execute("SELECT pg_indexes_size(%s::regclass)", [table.as_string(connection)]).fetchone()
    assert size is not None
    print(f"m {graph[0]}, ef_construction {graph[1]}: built in {took:.0f} s", flush=True)
    return {"built_s": round(took), "bytes": size[0] // data.rows}


def _truth(data: Dataset, asked: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return (questions, 100): the distances of the nearest, ascending."""
    most = 100
    unit = _unit(asked)
    best = np.full((len(asked), most), np.inf, dtype=np.float32)
    for start in range(0, data.rows, vectors.CHUNK):
        away = 1 - unit @ _unit(data.vectors[start : start + vectors.CHUNK]).T
        best = np.partition(np.concatenate([best, away], axis=1), most - 1, axis=1)[:, :most]
    found: NDArray[np.float32] = np.sort(best, axis=1)
    return found


def _unit(stored: NDArray[np.float16]) -> NDArray[np.float32]:
    found = stored.astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)  # type: ignore[no-any-return]


def _asked(
    connection: psycopg.Connection[Any],
    graphs: Sequence[Graph],
    kind: str,
    ef: int,
    asked: NDArray[np.float16],
    truth: NDArray[np.float32],
) -> list[dict[str, Any]]:
    connection.execute(SQL("SET hnsw.ef_search = {}").format(Literal(ef)))
    times: list[list[float]] = [[] for _ in graphs]
    nearest: list[list[float]] = [[] for _ in graphs]
    believed: list[list[float]] = [[] for _ in graphs]
    for vector, true in zip(asked, truth, strict=True):
        text = "[" + ",".join(map(str, vector.tolist())) + "]"
        runs = [partial(_walk, connection, graph, text) for graph in graphs]
        clocks = [partial(_spent, connection)] * len(graphs)
        for place, took in enumerate(fastest(runs, clocks)):
            times[place].append(took)
        for place, run in enumerate(runs):
            met = np.array(run(), dtype=np.float32)
            nearest[place].append(float((met[:10] <= true[9] + 1e-5).mean()))
            edge = met[min(len(true), ef // BELIEVED) - 1]
            within = (true <= edge - 1e-5).sum()
            believed[place].append(min(1.0, float((met < edge - 1e-5).sum() / within)) if within else 1.0)
    return [
        {
            "m": m,
            "ef_construction": width,
            "kind": kind,
            "ef": ef,
            "recall@10": round(statistics.fmean(nearest[place]), 4),
            "recall_believed": round(statistics.fmean(believed[place]), 4),
            "cpu_ms": round(statistics.median(times[place]), 2),
        }
        for place, (m, width) in enumerate(graphs)
    ]


def _spent(connection: psycopg.Connection[Any]) -> float:
    """Return the processor time of the server's process, in seconds."""
    return int(Path(f"/proc/{connection.info.backend_pid}/schedstat").read_text().split()[0]) / 1e9


def _walk(connection: psycopg.Connection[Any], graph: Graph, text: str) -> list[float]:
    rows = connection.execute(
        SQL(
            "SELECT d FROM (SELECT embedding <=> %(asked)s::halfvec AS d FROM {}"
            " ORDER BY embedding <=> %(asked)s::halfvec LIMIT 400) w"
        ).format(_table(graph)),
        {"asked": text},
        prepare=True,
    ).fetchall()
    return [row[0] for row in rows]


def main() -> None:
    """Print a table and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--graphs", default="16/128,24/128,24/200,32/128", help="m/ef_construction, several")
    parser.add_argument("--questions", type=int, default=100)
    given = parser.parse_args()
    graphs = [(int(m), int(width)) for m, width in (one.split("/") for one in given.graphs.split(","))]
    found = measured(dataset(given.rows, given.dim), graphs, given.questions)
    names = ("kind", "ef", "m", "ef_construction", "recall@10", "recall_believed", "cpu_ms", "built_s", "bytes")
    print("|".join(names))
    for row in found:
        print("|".join(str(row[name]) for name in names))
    OUT.mkdir(exist_ok=True)
    (OUT / f"graphs-{given.rows}x{given.dim}.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
