"""Filtered recall on vectors that our own drawing did not make. `python -m bench.given`

    python -m bench.given --rows 20000                 both sets, with the rotation of a space and without
    python -m bench.given --set sparse --seed 5        one of them, drawn again as before

photos: EfficientNet-Lite0 over crops of real photographs (bench/photos.py), asked by crops of photographs that are not
there. sparse: numbers of unlike size of which three quarters are zero and none lies below, as behind a ReLU. Each is
given to a space of its own; questions go through imgsearch.search(), and NumPy says what is right.
"""

from __future__ import annotations

import argparse
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from bench import photos
from bench.home import fresh_home
from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.ingest import vectors
from imgsearch.ops import lifecycle
from imgsearch.settings import Settings, load_settings
from imgsearch.spaces.space import vector_literal

Halves = NDArray[np.float16]
K = 10
SETS = ("photos", "sparse")
TENANTS = {"large": 0.26, "middle": 0.12, "small": 0.05}  # the rest is of "other"
PRICES = (50, 20, 10, 5, 2)  # in each hundred
ASK = """SELECT s.image_id, s.strategy, s.complete FROM imgsearch.search(%(query)s::halfvec, tenant => %(tenant)s,
    max_price => %(max_price)s, k => %(k)s, per => 'image') s"""


@dataclass(frozen=True, kw_only=True)
class Given:
    """A set: vectors (n, dim), questions (m, dim), and of each picture its price and tenant."""

    vectors: Halves
    questions: Halves
    prices: NDArray[np.float64]
    tenants: NDArray[np.str_]

    def cells(self) -> dict[str, tuple[Mapping[str, Any], NDArray[np.bool_]]]:
        """Return each filter, and which pictures match it, by its name."""
        every = np.ones(len(self.prices), bool)
        found: dict[str, tuple[Mapping[str, Any], NDArray[np.bool_]]] = {"none": ({}, every)}
        found |= {f"price {part} %": ({"max_price": part}, self.prices <= part) for part in PRICES}
        found |= {f"tenant {share:.0%}": ({"tenant": name}, self.tenants == name) for name, share in TENANTS.items()}
        return found


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one filter found: recall, that of the worst page, ms, ways; false: pages that said complete and were not."""

    name: str
    recall: float
    worst: float
    p50_ms: float
    ways: Mapping[str, int] = field(repr=False)
    false: int = 0


def drawn(name: str, rows: int, questions: int, seed: int, dimension: int = 512, skew: float = 1.5) -> Given:
    """Draw a set. dimension, and skew (how unlike numbers are in size), are of `sparse`; `photos` has 1,280 numbers."""
    make = photos.drawn if name == "photos" else _sparse(dimension, skew)
    stored, asked = make(rows, questions, seed)
    numbers = np.random.default_rng(seed)
    shares = [*TENANTS.values(), 1 - sum(TENANTS.values())]
    tenants = numbers.choice([*TENANTS, "other"], rows, p=shares)
    return Given(vectors=stored, questions=asked, prices=numbers.uniform(0, 100, rows), tenants=tenants)


def _sparse(dimension: int, skew: float) -> Callable[[int, int, int], tuple[Halves, Halves]]:
    def make(rows: int, questions: int, seed: int) -> tuple[Halves, Halves]:
        numbers = np.random.default_rng(seed)
        latent = 40
        mixed = numbers.standard_normal((latent, dimension), dtype=np.float32)
        size = np.exp(skew * numbers.standard_normal(dimension)).astype(np.float32)
        floor = numbers.uniform(0.3, 1.2, dimension).astype(np.float32) * np.float32(latent**0.5)
        centres = numbers.standard_normal((max(1, rows // 100), latent), dtype=np.float32)

        def some(count: int) -> Halves:
            near = centres[numbers.integers(0, len(centres), count)]
            points = near + 0.7 * numbers.standard_normal((count, latent), dtype=np.float32)
            positive = np.maximum(points @ mixed - floor, 0) * size
            positive[:, 0] += 1e-3  # none is zero all over
            units: Halves = (positive / np.linalg.norm(positive, axis=1, keepdims=True)).astype(np.float16)
            return units

        return some(rows), some(questions)

    return make


def load(settings: Settings, given: Given, *, turned: bool = True) -> None:
    """Give the vectors to a new space, which is searched then; `turned`: with its rotation, as a space begins."""
    dimension = given.vectors.shape[1]
    with db.connect(settings, autocommit=True) as connection:
        name = lifecycle.add_given(connection, "mine", dimension)
        lifecycle.activate(connection, name)
        if not turned:
            connection.execute("UPDATE imgsearch.space SET rotation = NULL, signs = NULL")
        connection.execute(
            "INSERT INTO imgsearch.image (tenant_id, product_id, price, uri) SELECT tenant, 'p' || n, price, 'x:' || n"
            " FROM unnest(%s::text[], %s::float8[]) WITH ORDINALITY u (tenant, price, n) ORDER BY n",
            (given.tenants.tolist(), given.prices.tolist()),
        )
        connection.execute("DROP INDEX IF EXISTS imgsearch.embedding_1_hnsw")  # made anew behind the load
        listed = ({"image_id": n, "vector": vector} for n, vector in enumerate(given.vectors.astype(np.float32), 1))
        vectors.give_vectors(connection, name, listed)
    lifecycle.fill(settings, name)


def measure(connection: psycopg.Connection[Any], given: Given) -> list[Cell]:
    """Ask every question with every filter; return what each filter found."""
    stored = given.vectors.astype(np.float32)
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    exact = 1 - given.questions.astype(np.float32) @ stored.T
    return [
        _cell(connection, name, filters, np.where(matching, exact, np.inf), given.questions)
        for name, (filters, matching) in given.cells().items()
    ]


def _cell(
    connection: psycopg.Connection[Any], name: str, filters: Mapping[str, Any], exact: NDArray[Any], asked: Halves
) -> Cell:
    recalls, took, ways, false = [], [], Counter[str](), 0
    for question, distances in zip(asked, exact, strict=True):
        values = {"tenant": None, "max_price": None, **filters, "query": vector_literal(question), "k": K}
        began = time.perf_counter()
        rows = connection.execute(ASK.encode(), values).fetchall()
        took.append(1000 * (time.perf_counter() - began))
        edge = np.partition(distances, K - 1)[K - 1] + 1e-4  # what halfvec rounds away
        right = sum(distances[image_id - 1] <= edge for image_id, _, _ in rows)
        recalls.append(right / min(K, np.isfinite(distances).sum()))
        ways.update(way for _, way, _ in rows[:1])
        false += recalls[-1] < 1 and rows[0][2]
    return Cell(
        name=name,
        recall=float(np.mean(recalls)),
        worst=float(min(recalls)),
        p50_ms=float(np.median(took)),
        ways=dict(ways),
        false=false,
    )


def measured(given: Given, *, turned: bool) -> Iterator[Cell]:
    """Load a set into servers of its own and yield its cells."""
    with fresh_home("given-") as home:
        settings = load_settings({"DATABASE_URL": embedded.start(home, memory_mb=2048).database_url}, environ={})
        schema.upgrade(settings)
        load(settings, given, turned=turned)
        with db.connect(settings, autocommit=True) as connection:
            yield from measure(connection, given)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a row per set and filter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--set", choices=SETS, action="append", help="default: each")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="default: a fresh one")
    chosen = parser.parse_args(arguments)
    print(
        f"seed {chosen.seed}\n\n| set | filter | as they are | ms | turned | worst page | ms | found by |\n"
        + "|-" * 8
        + "|"
    )
    for name in chosen.set or SETS:
        if name == "photos" and (why := photos.lacking()):
            print(f"photos: left out. {why}")
            continue
        given = drawn(name, chosen.rows, chosen.queries, chosen.seed)
        before = list(measured(given, turned=False))
        for one, other in zip(before, measured(given, turned=True), strict=True):
            ways = ", ".join(sorted(other.ways))
            print(
                f"| {name} | {one.name} | {one.recall:.3f} ({one.worst:.1f}) | {one.p50_ms:.1f}"
                f" | {other.recall:.3f} | {other.worst:.1f} | {other.p50_ms:.1f} | {ways} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
