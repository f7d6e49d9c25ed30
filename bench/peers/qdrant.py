"""Qdrant Edge: a shard on disk, payload indexes on every filter column, its own planner for filtered searches."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bench.cells import Ask, Cell
from bench.dataset import Dataset
from bench.filters import Filter
from bench.methods import Answer, Cost, Method
from bench.peers import payload
from bench.progress import Say

SETTINGS: dict[str, dict[str, Any]] = {
    "qdrant-64": {"hnsw_ef": 64},
    "qdrant-128": {"hnsw_ef": 128},
    "qdrant-256": {"hnsw_ef": 256},
    "qdrant-acorn-128": {"hnsw_ef": 128, "acorn": True},
    "qdrant-exact": {"exact": True},
}
_CHUNK = 2000
_STOCK = {True: "yes", False: "no"}


def methods(data: Dataset, say: Say) -> Iterator[Method]:
    """Yield one method per setting, all on one shard."""
    shard = _shard(data, say)
    for name in SETTINGS:
        yield Qdrant(name, data, shard)


def _shard(data: Dataset, say: Say) -> Any:
    import qdrant_edge as q

    folder = data.folder / "qdrant"
    config = q.EdgeConfig(
        vectors=q.EdgeVectorParams(size=data.dim, distance=q.Distance.Cosine),
        hnsw_config=q.HnswIndexConfig(m=16, ef_construct=128, full_scan_threshold=10_000),
    )
    done = folder / "done"
    if done.exists():
        return q.EdgeShard.load(str(folder / "shard"))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.perf_counter()
    shard = q.EdgeShard.create(str(folder / "shard"), config)
    for field, kind in _indexes(q):
        shard.update(q.UpdateOperation.create_field_index(field, kind))
    columns = {name: values.tolist() for name, values in payload.columns(data).items()}
    # As words: in version 0.9.0 MatchValue(True) asks for the number 1 and finds nothing.
    columns["in_stock"] = [_STOCK[value] for value in columns["in_stock"]]
    for start in range(0, data.rows, _CHUNK):
        rows = range(start, min(start + _CHUNK, data.rows))
        vectors = data.vectors[start : start + _CHUNK].astype("f4").tolist()
        points = [
            q.Point(row + 1, vector, {name: values[row] for name, values in columns.items() if values[row] != ""})
            for row, vector in zip(rows, vectors, strict=True)
        ]
        shard.update(q.UpdateOperation.upsert_points(points))
    loaded = time.perf_counter()
    shard.optimize()
    shard.flush()
    say(f"qdrant: loaded in {loaded - began:.0f} s, HNSW in {time.perf_counter() - loaded:.0f} s")
    done.touch()
    return shard


def _indexes(q: Any) -> Iterator[tuple[str, Any]]:
    for name in payload.KEYWORDS:
        yield name, q.KeywordIndexParams(is_tenant=True) if name == "tenant" else q.PayloadSchemaType.Keyword
    for name in payload.NUMBERS:
        yield name, q.PayloadSchemaType.Float
    for name in payload.INTEGERS:
        yield name, q.PayloadSchemaType.Integer
    yield "in_stock", q.PayloadSchemaType.Keyword


def _filter(wanted: Filter) -> Any:
    import qdrant_edge as q

    def is_one(key: str, *values: Any) -> Any:
        match = q.MatchValue(values[0]) if len(values) == 1 else q.MatchAny(list(values))
        return q.FieldCondition(key, match=match)

    must: list[Any] = [is_one(name, value) for name, value in wanted.equal]
    must += [is_one(name, *values) for name, values in wanted.one_of]
    if wanted.tenant is not None:
        must.append(is_one("tenant", wanted.tenant))
    if wanted.categories:
        must.append(is_one("category", *wanted.categories))
    if wanted.min_price is not None or wanted.max_price is not None:
        must.append(q.FieldCondition("price", range=q.RangeFloat(gte=wanted.min_price, lte=wanted.max_price)))
    if wanted.in_stock is not None:
        must.append(is_one("in_stock", _STOCK[wanted.in_stock]))
    if wanted.supplier is not None:
        must.append(is_one("supplier", wanted.supplier))
    must += [q.FieldCondition(name, range=q.RangeFloat(gte=low, lte=high)) for name, low, high in wanted.between]
    must += [is_one(name, "yes") for name in wanted.has]  # the one attribute asked for this way has the one value
    without = [is_one(name, value) for name, value in wanted.without]
    return q.Filter(must=must or None, must_not=without or None) if must or without else None


@dataclass
class Qdrant:
    """One setting of Qdrant's search."""

    name: str
    data: Dataset
    shard: Any
    family: str = "peer"

    def ready(self, cell: Cell, ask: Ask, k: int) -> Callable[[], Answer]:
        import qdrant_edge as q

        setting = dict(SETTINGS[self.name])
        if setting.pop("acorn", False):
            setting["acorn"] = q.AcornSearchParams(enable=True)
        vector = self.data.queries(cell.kind)[ask.query].astype("f4").tolist()
        request = q.SearchRequest(
            query=q.Query.Nearest(vector), limit=k, filter=_filter(ask.filter), params=q.SearchParams(**setting)
        )
        return lambda: Answer([point.id for point in self.shard.search(request)])

    def cost(self, cell: Cell, ask: Ask, k: int) -> Cost | None:
        return None

    def spent(self, cell: Cell) -> float:
        return 0.0

    def close(self) -> None: ...
