"""FAISS: HNSW in this process' memory. It knows no filters: the bitmap of matching rows is given to it for nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from bench.cells import Ask, Cell
from bench.dataset import Dataset
from bench.filters import Columns, mask
from bench.methods import Answer, Cost, Method
from bench.progress import Say

# Name → ef, None: compare with every row.
SETTINGS = {"faiss-64": 64, "faiss-128": 128, "faiss-256": 256, "faiss-flat": None}
_CHUNK = 20_000


def methods(data: Dataset, say: Say) -> Iterator[Method]:
    """Yield one method per setting, all on one index; its vectors are read once for both kinds of search."""
    index, columns = _index(data, say), Columns(data)
    for name, ef in SETTINGS.items():
        yield Faiss(name, data, columns, index, ef)


def _index(data: Dataset, say: Say) -> Any:
    import faiss

    kept = data.folder / "faiss.index"
    if not kept.exists():
        began = time.perf_counter()
        index = faiss.IndexHNSWFlat(data.dim, 16, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 128
        for start in range(0, data.rows, _CHUNK):
            vectors = data.vectors[start : start + _CHUNK].astype("f4")
            index.add(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
        faiss.write_index(index, str(kept))
        say(f"faiss: HNSW in {time.perf_counter() - began:.0f} s")
    return faiss.read_index(str(kept))


@dataclass
class Faiss:
    """FAISS at one ef, or exact."""

    name: str
    data: Dataset
    columns: Columns
    index: Any
    ef: int | None
    family: str = "peer"

    def ready(self, cell: Cell, ask: Ask, k: int) -> Callable[[], Answer]:
        faiss: Any = import_module("faiss")  # its stubs know neither selectors nor parameters
        bitmap = np.packbits(mask(ask.filter, self.columns), bitorder="little")
        selector = None if ask.filter.empty else faiss.IDSelectorBitmap(bitmap)
        query = self.data.queries(cell.kind)[ask.query].astype("f4")[None]
        if self.ef is None:
            searched, parameters = faiss.downcast_index(self.index.storage), faiss.SearchParameters(sel=selector)
        else:
            searched, parameters = self.index, faiss.SearchParametersHNSW(efSearch=max(self.ef, k), sel=selector)

        def run() -> Answer:
            found = searched.search(query, k, params=parameters)[1][0]
            return Answer((found[found >= 0] + 1).tolist())

        return run

    def cost(self, cell: Cell, ask: Ask, k: int) -> Cost | None:
        return None

    def spent(self, cell: Cell) -> float:
        return 0.0

    def close(self) -> None: ...
