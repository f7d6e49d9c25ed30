"""What do 1, 5 and 9 regions a picture cost imgsearch.search()? p50 beside whole pictures, recall, bytes.

The drawn shop of `bench.dataset` with regions that show other products than the whole, asked per image without a filter
and under four. The truth is plain numpy; of three tries in turn the fastest counts.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.sql import SQL, Identifier

from bench import copying, load, shop, vectors
from bench.choice import Choice
from bench.dataset import Dataset, dataset
from bench.filters import Columns, Filter, category_name, mask
from bench.product import search_sql
from bench.timed import fastest

MOST = 9
K = 10
WEIGHTS = (1.0, 0.5)
_COLUMNS = ("image_id", "tenant_id", "position", "sha256", "x", "y", "w", "h", "score", "embedding")
Halves = NDArray[np.float16]


def measured(rows: int, dim: int, each: Sequence[int], questions: int) -> dict[str, Any]:
    """Return p50, recall and bytes of a shop whose pictures have so many regions each."""
    data = dataset(rows, dim)
    stored = _drawn(data)
    figures: dict[str, Any] = {"pictures": rows, "dimension": dim, "questions": questions}
    with psycopg.connect(load.ready(data, lambda said: print(said, flush=True)), autocommit=True) as connection:
        copying.register(connection)
        for many in each:
            built = _fill(connection, data, stored, many)
            figures[f"{many} per picture"] = built | _asked(connection, data, stored[:, :many], questions)
    return figures


def _drawn(data: Dataset) -> NDArray[np.float16]:
    """Return regions (pictures, MOST, dim), drawn once and kept: each shows a product of its own."""
    path = data.folder / "regions.npy"
    if not path.exists():
        made, rng = vectors.world(7, data.rows, data.dim), np.random.default_rng(31)
        shape = (data.rows, MOST, data.dim)
        kept = np.lib.format.open_memmap(path.with_suffix(".part"), mode="w+", dtype=np.float16, shape=shape)
        for first in range(0, data.rows, vectors.CHUNK):
            for place in range(MOST):
                part = kept[first : first + vectors.CHUNK, place]
                clusters = rng.choice(len(made.weight), len(part), p=made.weight)
                part[:] = vectors.pictures(made, vectors.products(made, clusters, rng), rng).astype(np.float16)
        kept.flush()
        path.with_suffix(".part").rename(path)
    found: NDArray[np.float16] = np.load(path, mmap_mode="r")
    return found


def _fill(connection: psycopg.Connection[Any], data: Dataset, stored: Halves, many: int) -> dict[str, Any]:
    """Store `many` regions of each picture, unless they are there, and build their graph."""
    row = connection.execute("SELECT space_id FROM imgsearch.space WHERE state = 'active'").fetchone()
    assert row is not None
    table, graph = (Identifier("imgsearch", f"region_{row[0]}{suffix}") for suffix in ("", "_hnsw"))
    there = connection.execute(SQL("SELECT count(*) FROM {}").format(table)).fetchone()
    if there != (data.rows * many,):
        connection.execute(SQL("DROP INDEX IF EXISTS {}").format(graph))
        connection.execute(SQL("TRUNCATE {}").format(table))
        connection.execute("SET session_replication_role = replica")
        copying.copy(connection, table, _COLUMNS, _regions(data, stored, many))
        connection.execute("SET session_replication_role = origin")
    began = time.perf_counter()
    memory = load.graph_memory(data.rows * many, data.dim)
    connection.execute("SELECT set_config('maintenance_work_mem', %s, false)", [memory])
    connection.execute("SET max_parallel_maintenance_workers = 2")
    connection.execute(
        SQL(
            "CREATE INDEX IF NOT EXISTS {} ON {} USING hnsw (embedding halfvec_cosine_ops)"
            " WITH (m = 24, ef_construction = 200)"  # as space_regions.sql builds it
        ).format(Identifier(f"region_{row[0]}_hnsw"), table)
    )
    print(f"{many} regions a picture: graph built in {time.perf_counter() - began:.0f} s", flush=True)
    connection.execute(SQL("VACUUM ANALYZE {}").format(table))
    names = [f"imgsearch.region_{row[0]}{suffix}" for suffix in ("", "_hnsw")]
    sizes = connection.execute("SELECT pg_total_relation_size(%s), pg_relation_size(%s)", names).fetchone()
    assert sizes is not None
    return {"bytes_per_picture": {"table": (sizes[0] - sizes[1]) // data.rows, "hnsw": sizes[1] // data.rows}}


def _regions(data: Dataset, stored: Halves, many: int) -> Iterator[tuple[bytes, ...]]:
    names = [copying.text(name) for name in shop.tenant_names()]
    tenants = [names[owner] for owner in data.pictures.tenant.tolist()]
    share, digest = b"\0\0\0\4\x3e\x80\0\0", copying.raw(bytes(32))  # 0.25 as real
    for first in range(0, data.rows, vectors.CHUNK):
        for number, regions in enumerate(np.asarray(stored[first : first + vectors.CHUNK, :many]), first):
            for place, vector in enumerate(copying.halfvecs(regions)):
                at = b"\0\0\0\2" + place.to_bytes(2, "big")
                yield copying.bigint(number + 1), tenants[number], at, digest, share, share, share, share, share, vector


def filters(data: Dataset, question: int) -> dict[str, Filter]:
    """Return no filter and four: half by price, the question's category, a tenant of 30 %, and one in ten thousand."""
    choice = Choice(data, "image")
    low, high = choice.price(question, 0.5, "unc")
    rare = choice.price(question, 0.0001, "unc")
    return {
        "no filter": Filter(),
        "price, half": Filter(min_price=low, max_price=high),
        "its category": Filter(categories=(category_name(int(data.asked.category[question])),)),
        "tenant, 30 %": Filter(tenant="general-30"),
        "rare, 0.01 %": Filter(min_price=rare[0], max_price=rare[1]),
    }


def _asked(connection: psycopg.Connection[Any], data: Dataset, stored: Halves, questions: int) -> dict[str, Any]:
    chosen = np.random.default_rng(3).choice(len(data.image_queries), questions, replace=False).tolist()
    asked = _unit(data.image_queries[chosen])
    whole, best = _distances(data, stored, asked)
    columns, found = Columns(data), dict[str, dict[str, Any]]()
    for place, question in enumerate(chosen):
        for name, wanted in filters(data, question).items():
            keep = mask(wanted, columns)
            runs = [_run(connection, data, question, wanted, weight) for weight in (None, *WEIGHTS)]
            answers = [run() for run in runs]  # warms caches, too
            cell = found.setdefault(name, {"ms": [[], *([] for _ in WEIGHTS)], "recall": {}, "by": {}, "short": 0})
            for times, took in zip(cell["ms"], fastest(runs), strict=True):
                times.append(took)
            for weight, rows in zip(WEIGHTS, answers[1:], strict=True):
                away = np.where(keep, (1 - weight) * whole[place] + weight * np.minimum(whole[place], best[place]), 9)
                most = min(K, int(keep.sum()))
                edge = np.partition(away, most - 1)[most - 1] + 1e-5 if most else 0
                right = sum(away[row[0] - 1] <= edge for row in rows)
                cell["recall"].setdefault(weight, []).append(right / most if most else 1.0)
                cell["by"].setdefault(weight, Counter())[rows[0][2] if rows else "none"] += 1
                cell["short"] += len(rows) < most
    return {name: _said(cell) for name, cell in found.items()}


def _said(cell: dict[str, Any]) -> dict[str, Any]:
    without, *with_regions = (statistics.median(times) for times in cell["ms"])
    said: dict[str, Any] = {"whole_ms": round(without, 2), "short": cell["short"]}
    for weight, ms in zip(WEIGHTS, with_regions, strict=True):
        said[f"regions {weight:g}"] = {
            "ms": round(ms, 2),
            "ratio": round(ms / without, 2),
            "recall@10": round(statistics.fmean(cell["recall"][weight]), 4),
            "by": dict(cell["by"][weight]),
        }
    return said


def _run(
    connection: psycopg.Connection[Any], data: Dataset, question: int, wanted: Filter, weight: float | None
) -> Callable[[], list[Any]]:
    text, values = search_sql(
        "image_id, distance, strategy", data.image_queries[question], wanted, k=K, per="image", regions=weight
    )
    cursor = connection.cursor(binary=True)
    return lambda: cursor.execute(text.encode(), values, prepare=True).fetchall()


def _distances(
    data: Dataset, stored: Halves, asked: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (questions, pictures) twice: how far each whole lies, and the best of its regions."""
    whole, best = (np.empty((len(asked), data.rows), dtype=np.float32) for _ in range(2))
    for first in range(0, data.rows, vectors.CHUNK):
        part = slice(first, first + vectors.CHUNK)
        whole[:, part] = 1 - asked @ _unit(data.vectors[part]).T
        near = asked @ _unit(np.asarray(stored[part]).reshape(-1, data.dim)).T
        best[:, part] = 1 - near.reshape(len(asked), -1, stored.shape[1]).max(axis=2)
    return whole, best


def _unit(stored: Halves) -> NDArray[np.float32]:
    """Return vectors of length one: halves are off by their rounding, and the database's cosine is not."""
    found = stored.astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)  # type: ignore[no-any-return]
