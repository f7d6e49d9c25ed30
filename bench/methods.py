"""Single methods: what one statement of plain SQL can do. The fastest that is good enough in a cell is its oracle."""

# ruff: noqa: S608  # statements are put together from this package's own constants; values are bound
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psycopg

from bench.cells import Ask, Cell
from bench.copying import Bits, Halfvec, register, signs
from bench.dataset import Dataset
from bench.filters import Filter, where

EFS = (40, 100, 200, 400)
BITS = (400, 800, 2000, 4000)  # the last for k = 100


class Unsupported(Exception):
    """This method cannot express this cell."""


@dataclass(frozen=True)
class Answer:
    """Ids nearest first, and how they were found, where the method says so."""

    ids: Sequence[int]
    strategy: str = ""
    complete: bool | None = None


@dataclass(frozen=True)
class Cost:
    """What EXPLAIN says of one execution: 8 kB pages touched, planning in ms, and the indexes that were used."""

    buffers: int
    planning_ms: float
    indexes: frozenset[str]


class Method(Protocol):
    """Anything that answers a question. family: single, bare, product, reference or peer."""

    name: str
    family: str

    def ready(self, cell: Cell, ask: Ask, k: int) -> Callable[[], Answer]:
        """Return what is timed. Raises Unsupported."""

    def cost(self, cell: Cell, ask: Ask, k: int) -> Cost | None:
        """Return what one execution costs, None where there is no way to know."""

    def spent(self, cell: Cell) -> float:
        """Return the CPU seconds that its server process has used so far; 0 for what runs inside this process."""

    def close(self) -> None: ...


@dataclass
class Sessions:
    """A method's connections: one as the owner, one as the walled role. settings: what the method needs set."""

    url: str
    settings: Mapping[str, str]
    role: str | None = None
    _open: dict[bool, psycopg.Connection[Any]] = field(default_factory=dict)
    _tenant: str | None = None

    def of(self, cell: Cell, ask: Ask) -> psycopg.Connection[Any]:
        """Return the connection for a cell, with the tenant of the question told where there is a wall."""
        if cell.walled and self.role is None:
            raise Unsupported("row-level security is not set up")
        if cell.walled not in self._open:
            self._open[cell.walled] = self._connect(cell.walled)
        connection = self._open[cell.walled]
        if cell.walled and self._tenant != ask.filter.tenant:
            connection.execute("SELECT set_config('imgsearch.tenant', %s, false)", [ask.filter.tenant])
            self._tenant = ask.filter.tenant
        return connection

    def _connect(self, walled: bool) -> psycopg.Connection[Any]:
        # Prepared at the first execution: what is measured is the execution and its custom planning.
        connection = psycopg.connect(self.url, autocommit=True, prepare_threshold=0, application_name="bench")
        register(connection)
        connection.execute("SELECT '[1]'::halfvec")  # loads the library, whose settings are unknown before
        for name, value in self.settings.items():
            connection.execute("SELECT set_config(%s, %s, false)", [name, value])
        if walled:
            connection.execute(psycopg.sql.SQL("SET ROLE {}").format(psycopg.sql.Identifier(self.role or "")))
        return connection

    def spent(self, cell: Cell) -> float:
        """Return the CPU seconds of the connection's server process; 0 where the system does not tell (Linux does)."""
        connection = self._open.get(cell.walled)
        if connection is None:
            return 0.0
        try:
            told = Path(f"/proc/{connection.info.backend_pid}/schedstat").read_text()
        except OSError:
            return 0.0
        return int(told.split()[0]) / 1e9

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()


_PLAIN = {"plan_cache_mode": "force_custom_plan", "max_parallel_workers_per_gather": "0"}
_EXACT = _PLAIN | {"work_mem": "64MB"}
# The walk along the HNSW, whatever the planner thinks of it. Never in a product: these poison other statements.
_FORCED = _PLAIN | {
    f"enable_{name}": "off" for name in ("sort", "hashjoin", "mergejoin", "bitmapscan", "seqscan", "material")
}


@dataclass
class Statement:
    """A method that is one SQL statement. build: (filter, k) → its text, with %(q)s, %(b)s, the filter's values."""

    name: str
    family: str
    data: Dataset
    sessions: Sessions
    build: Callable[[Filter, int], str]

    def _values(self, cell: Cell, ask: Ask) -> dict[str, Any]:
        vector = self.data.queries(cell.kind)[ask.query]
        packed = signs(vector[None], self.data.mean)[0]
        return {"q": Halfvec(vector), "b": Bits(packed, self.data.dim)} | where(ask.filter)[2]

    def ready(self, cell: Cell, ask: Ask, k: int) -> Callable[[], Answer]:
        cursor = self.sessions.of(cell, ask).cursor(binary=True)
        statement, values = self.build(ask.filter, k).encode(), self._values(cell, ask)

        def run() -> Answer:
            return Answer([row[0] for row in cursor.execute(statement, values, prepare=True).fetchall()])

        return run

    def cost(self, cell: Cell, ask: Ask, k: int) -> Cost | None:
        return explained(self.sessions.of(cell, ask), self.build(ask.filter, k), self._values(cell, ask))

    def spent(self, cell: Cell) -> float:
        return self.sessions.spent(cell)

    def close(self) -> None:
        self.sessions.close()


def explained(connection: psycopg.Connection[Any], statement: str, values: Mapping[str, Any]) -> Cost:
    """Run a statement under EXPLAIN and return its cost."""
    row = connection.execute(
        f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {statement}".encode(), values
    ).fetchone()
    assert row is not None
    top = row[0][0]
    pages = top["Plan"]["Shared Hit Blocks"] + top["Plan"]["Shared Read Blocks"]
    return Cost(pages, top["Planning Time"], frozenset(_indexes(top["Plan"])))


def _indexes(node: Mapping[str, Any]) -> Iterator[str]:
    if "Index Name" in node:
        yield node["Index Name"]
    for child in node.get("Plans", ()):
        yield from _indexes(child)


def _and(condition: str) -> str:
    return f" WHERE {condition}" if condition else ""


def _walk(table: str, source: str, k: int) -> str:
    distance = f"{table}.embedding <=> %(q)s"
    inner = f"SELECT image_id, {distance} AS d FROM {source} ORDER BY {distance} LIMIT {k}"
    return f"SELECT image_id FROM ({inner}) x ORDER BY d + 0"  # iteration may be relaxed: out of order


@dataclass(frozen=True)
class Split:
    """imgsearch's own tables: filters in image, vectors in embedding_<space>."""

    space: int
    name: str = ""
    index: str = "embedding_{}_hnsw"

    def _source(self, wanted: Filter) -> str:
        # Who asks for a tenant's pictures or all of them needs the vectors' table alone.
        if wanted == Filter(tenant=wanted.tenant):
            return f"imgsearch.embedding_{self.space} e{_and(where(wanted, 'e')[1])}"
        joins, condition, _ = where(wanted)
        both = f"imgsearch.embedding_{self.space} e JOIN imgsearch.image i USING (tenant_id, image_id)"
        return f"{both}{joins}{_and(condition)}"

    def exact(self, wanted: Filter, k: int) -> str:
        return f"SELECT image_id FROM {self._source(wanted)} ORDER BY (e.embedding <=> %(q)s) + 0 LIMIT {k}"

    def walk(self, wanted: Filter, k: int) -> str:
        return _walk("e", self._source(wanted), k)

    def bits(self, wanted: Filter, k: int, many: int) -> str:
        joins, condition, _ = where(wanted)
        return (
            f"WITH b AS MATERIALIZED (SELECT i.tenant_id, i.image_id FROM imgsearch.image i{joins}{_and(condition)}"
            f" ORDER BY i.bits_{self.space} <~> %(b)s LIMIT {many})"
            f" SELECT image_id FROM b JOIN imgsearch.embedding_{self.space} e USING (tenant_id, image_id)"
            f" ORDER BY (e.embedding <=> %(q)s) + 0 LIMIT {k}"
        )


@dataclass(frozen=True)
class Bare:
    """What people build with pgvector alone: everything in one table (`bench.bare`)."""

    def _source(self, wanted: Filter) -> str:
        joins, condition, _ = where(wanted)
        return f"bare.image i{joins}{_and(condition)}"

    def exact(self, wanted: Filter, k: int) -> str:
        return f"SELECT image_id FROM {self._source(wanted)} ORDER BY (i.embedding <=> %(q)s) + 0 LIMIT {k}"

    def walk(self, wanted: Filter, k: int) -> str:
        return _walk("i", self._source(wanted), k)


def _walking(ef: int, iterate: str) -> dict[str, str]:
    return {"hnsw.ef_search": str(ef), "hnsw.iterative_scan": iterate}


def singles(data: Dataset, url: str, space: int, role: str | None) -> Iterator[Method]:
    """Yield every single method on imgsearch's tables."""
    layout = Split(space)

    def made(name: str, settings: Mapping[str, str], build: Callable[[Filter, int], str]) -> Method:
        return Statement(name, "single", data, Sessions(url, settings, role), build)

    yield made("exact", _EXACT, layout.exact)
    for many in BITS:
        yield made(f"bits-{many}", _EXACT, lambda wanted, k, many=many: layout.bits(wanted, k, many))  # type: ignore[misc]
    for word, iterate in (("hnsw", "off"), ("relaxed", "relaxed_order"), ("strict", "strict_order")):
        for ef in EFS:
            yield made(f"{word}-{ef}", _FORCED | _walking(ef, iterate), layout.walk)


def bares(data: Dataset, url: str) -> Iterator[Method]:
    """Yield the methods on one bare table; `bare` is pgvector as it comes, everything left to the planner."""
    layout = Bare()

    def made(name: str, settings: Mapping[str, str], build: Callable[[Filter, int], str]) -> Method:
        return Statement(name, "bare", data, Sessions(url, settings), build)

    yield made("bare", _PLAIN | _walking(40, "off"), layout.walk)
    yield made("bare-iterative", _PLAIN | _walking(40, "relaxed_order"), layout.walk)
    yield made("bare-exact", _EXACT, layout.exact)
    for ef in EFS[1:]:
        yield made(f"bare-relaxed-{ef}", _FORCED | _walking(ef, "relaxed_order"), layout.walk)
