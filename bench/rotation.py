"""Would a rotation before the signs are taken make bits tell more? And how would a space know?

    python -m bench.rotation                      drawn vectors, evenly spread and ever less so, and the demo's model
    python -m bench.rotation --rows 20000 --queries 40

A picture's bits are the signs of its vector less the mean. Where a model's numbers vary unevenly most bits say the same
of nearly every pair; a fixed random rotation spreads what differs over all of them. How uneven: the effective
dimensions, (sum of variances)^2 / sum of squared variances (the participation ratio). What is told is the pool: of how
many pictures, nearest by bits, vectors must be compared until the pool holds a share of 0.99 of the true first ten.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.dataset import OUT, dataset
from bench.unlike import shop

Floats = NDArray[np.float32]
K, WANTED = 10, 0.99
SHOP = 2000  # pictures of the demo's shop
UNEVEN = (0.0, 0.5, 1.0)  # each number of a vector is scaled by exp(UNEVEN * normal)


@dataclass(frozen=True)
class Vectors:
    """Pictures (n, dim), questions by kind (queries, dim), all of length 1; where each kind lies (dim,)."""

    name: str
    pictures: Floats
    questions: dict[str, Floats]
    centres: dict[str, Floats]


def effective_dimensions(pictures: Floats) -> float:
    """Return (sum of variances)^2 / sum of squared variances of (n, dim)."""
    variances = pictures.var(axis=0, dtype=np.float64)
    return float(variances.sum() ** 2 / (variances**2).sum())


def rotation(dim: int, seed: int = 7) -> Floats:
    """Return a random orthogonal matrix (dim, dim): Q of the QR of normal numbers (Mezzadri 2007)."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))
    return np.asarray(q * np.sign(np.diag(r)), dtype=np.float32)


def pool(pictures: Floats, asked: Floats, centre: Floats, turn: Floats | None) -> int:
    """Return how many pictures, nearest by bits, hold WANTED of the true first K, over all questions."""
    stored = _signs(pictures - pictures.mean(axis=0), turn)
    ranks: list[int] = []
    for question, bits in zip(asked, _signs(asked - centre, turn), strict=True):
        true = np.argpartition(-(pictures @ question), K)[:K]
        apart = np.bitwise_count(stored ^ bits).sum(axis=1, dtype=np.int32)
        ranks += [int((apart <= apart[one]).sum()) for one in true]
    return int(np.quantile(ranks, WANTED, method="higher"))


def _signs(centred: Floats, turn: Floats | None) -> NDArray[np.uint8]:
    return np.packbits((centred if turn is None else centred @ turn.T) > 0, axis=1)


def drawn(rows: int, queries: int, uneven: float) -> Vectors:
    """Return the drawn pictures, each number scaled by its own factor."""
    data = dataset(rows, 768)
    factor = np.exp(uneven * np.random.default_rng(5).normal(size=data.dim)).astype(np.float32)
    pictures = _unit(data.vectors[:].astype(np.float32) * factor)
    asked = {kind: _unit(data.queries(kind).astype(np.float32) * factor) for kind in ("image", "text")}
    centres = {"image": pictures.mean(axis=0), "text": asked["text"].mean(axis=0)}
    return Vectors(f"drawn, {uneven:g}", pictures, {kind: all_[:queries] for kind, all_ in asked.items()}, centres)


def of_the_demo(queries: int) -> Vectors:
    """Return the demo's shop as its own model sees it; asked by every n-th picture."""
    found = _unit(shop(SHOP).vectors.astype(np.float32))
    every = found[:: max(1, len(found) // queries)]
    return Vectors("the demo's model", found, {"image": every}, {"image": found.mean(axis=0)})


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a row per draw and kind of question; keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--no-demo", action="store_true", help="leave the demo's model out")
    given = parser.parse_args(arguments)
    found = []
    print("| vectors | numbers | effective | questions | pool as it is | pool rotated |\n|-|-|-|-|-|-|")
    several = [drawn(given.rows, given.queries, uneven) for uneven in UNEVEN]
    for one in several + ([] if given.no_demo else [of_the_demo(given.queries)]):
        dim, effective = one.pictures.shape[1], effective_dimensions(one.pictures)
        for kind, asked in one.questions.items():
            pools = [pool(one.pictures, asked, one.centres[kind], turn) for turn in (None, rotation(dim))]
            found.append({"vectors": one.name, "effective": round(effective), "kind": kind, "pools": pools})
            print(f"| {one.name} | {dim} | {effective:.0f} | {kind} | {pools[0]:,} | {pools[1]:,} |", flush=True)
    (OUT / "rotation.json").write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
