"""LanceDB: a table on disk, IVF_HNSW_SQ on the vectors, scalar indexes on the filter columns, prefiltering."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from bench.cells import Ask, Cell
from bench.dataset import Dataset
from bench.filters import Filter
from bench.methods import Answer, Cost, Method
from bench.peers import payload
from bench.progress import Say

# (ef, refine factor)
SETTINGS = {"lancedb-64": (64, 2), "lancedb-128": (128, 5), "lancedb-256": (256, 10)}
_CHUNK = 20_000


def methods(data: Dataset, say: Say) -> Iterator[Method]:
    """Yield one method per setting, all on one table."""
    table = _table(data, say)
    for name in SETTINGS:
        yield Lance(name, data, table)


def _table(data: Dataset, say: Say) -> Any:
    import lancedb

    folder = data.folder / "lancedb"
    done = folder / "done"
    if done.exists():
        return lancedb.connect(folder).open_table("image")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.perf_counter()
    table = lancedb.connect(folder).create_table("image", data=_batches(data))
    loaded = time.perf_counter()
    table.create_index(
        metric="cosine",
        vector_column_name="vector",
        index_type="IVF_HNSW_SQ",
        num_partitions=1,
        m=16,
        ef_construction=128,
    )
    for name in (*payload.KEYWORDS, "in_stock"):
        table.create_scalar_index(name, index_type="BITMAP")
    for name in (*payload.NUMBERS, *payload.INTEGERS, "image_id"):
        table.create_scalar_index(name, index_type="BTREE")
    say(f"lancedb: loaded in {loaded - began:.0f} s, indexes in {time.perf_counter() - loaded:.0f} s")
    done.touch()
    return table


def _batches(data: Dataset) -> Any:
    import numpy as np

    pa: Any = import_module("pyarrow")

    columns = payload.columns(data)

    def batch(start: int) -> Any:
        part = slice(start, start + _CHUNK)
        flat = pa.array(np.ascontiguousarray(data.vectors[part], dtype="f4").reshape(-1))
        arrays = {"image_id": pa.array(np.arange(start, min(start + _CHUNK, data.rows)) + 1)}
        arrays["vector"] = pa.FixedSizeListArray.from_arrays(flat, data.dim)
        arrays |= {name: pa.array(values[part].tolist()) for name, values in columns.items()}
        return pa.table(arrays)

    return pa.concat_tables([batch(start) for start in range(0, data.rows, _CHUNK)])


def _where(wanted: Filter) -> str:
    """Return the filter in LanceDB's SQL; the values are the bench's own words and numbers."""

    def words(values: tuple[str, ...]) -> str:
        return "(" + ", ".join(f"'{value}'" for value in values) + ")"

    conditions = [f"{name} = '{value}'" for name, value in wanted.equal]
    conditions += [f"{name} IN {words(values)}" for name, values in wanted.one_of]
    if wanted.tenant is not None:
        conditions.append(f"tenant = '{wanted.tenant}'")
    if wanted.categories:
        conditions.append(f"category IN {words(wanted.categories)}")
    if wanted.min_price is not None:
        conditions.append(f"price >= {wanted.min_price}")
    if wanted.max_price is not None:
        conditions.append(f"price <= {wanted.max_price}")
    if wanted.in_stock is not None:
        conditions.append("in_stock" if wanted.in_stock else "NOT in_stock")
    if wanted.supplier is not None:
        conditions.append(f"supplier = {wanted.supplier}")
    conditions += [f"{name} BETWEEN {low} AND {high}" for name, low, high in wanted.between]
    conditions += [f"{name} = 'yes'" for name in wanted.has]
    conditions += [f"{name} <> '{value}'" for name, value in wanted.without]
    return " AND ".join(conditions)


@dataclass
class Lance:
    """One setting of LanceDB's search."""

    name: str
    data: Dataset
    table: Any
    family: str = "peer"

    def ready(self, cell: Cell, ask: Ask, k: int) -> Callable[[], Answer]:
        ef, refine = SETTINGS[self.name]
        vector, condition = self.data.queries(cell.kind)[ask.query].astype("f4"), _where(ask.filter)

        def run() -> Answer:
            asked = (
                self.table.search(vector).distance_type("cosine").ef(max(ef, k * refine)).refine_factor(refine).limit(k)
            )
            if condition:
                asked = asked.where(condition, prefilter=True)
            return Answer(asked.select(["image_id", "_distance"]).to_arrow()["image_id"].to_pylist())

        return run

    def cost(self, cell: Cell, ask: Ask, k: int) -> Cost | None:
        return None

    def spent(self, cell: Cell) -> float:
        return 0.0

    def close(self) -> None: ...
