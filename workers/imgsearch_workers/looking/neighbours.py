"""Steps that need vectors alone: k-reciprocal neighbours, and a question made better by its first answers."""

from __future__ import annotations

import numpy as np

from imgsearch_workers.looking.step import Candidate, Look, Ranked, Vector

NO_VECTOR = "The question has no vector, so there are no neighbours to compare."
COPY = 0.97  # cosine from which a candidate is nearly the question itself, and says nothing new


class KReciprocal:
    """Ranks by what is near to what is near (Zhong, Zheng, Cao and Li, CVPR 2017)."""

    def rank(self, look: Look, *, k1: int = 20, k2: int = 6, weight: float = 0.3) -> Ranked:
        with_vectors, vectors = _vectors(look)
        if look.vector is None or not with_vectors:
            return Ranked(looked=0, why=NO_VECTOR)
        distances = k_reciprocal(look.vector, vectors, k1=k1, k2=k2, weight=weight)
        return Ranked(_ascending(with_vectors, distances), looked=len(with_vectors))


class Expansion:
    """Ranks by the question and what its first answers look like together (alpha query expansion)."""

    def rank(self, look: Look, *, nearest: int = 10, alpha: float = 3.0) -> Ranked:
        with_vectors, vectors = _vectors(look)
        if look.vector is None or not with_vectors:
            return Ranked(looked=0, why=NO_VECTOR)
        better = expanded(look.vector, vectors, nearest=nearest, alpha=alpha)
        return Ranked(_ascending(with_vectors, 1 - vectors @ better), looked=len(with_vectors))


def k_reciprocal(query: Vector, vectors: Vector, *, k1: int = 20, k2: int = 6, weight: float = 0.3) -> Vector:
    """Return the distance of each of `vectors` (n, d) to `query` (d,), all of length one.

    With D the squared distances of query and candidates among each other, each column divided by its largest and
    transposed: N(i, k) are the k + 1 nearest of i, itself among them; R(i, k) those of them that have i in their own.
    R(i, k1) grows by R(c, k1/2) of each c in it where more than two thirds of that lie in R(i, k1). V(i, j) = exp(-D)
    there, else 0, each row of sum 1, then the mean of the rows of its k2 nearest. The Jaccard distance is
    1 - m / (2 - m) with m = sum of min(V(q), V(i)); the result is (1 - weight) times that plus weight * D(q).
    """
    everything = np.vstack([query[None, :], vectors])
    distances = np.maximum(2 - 2 * (everything @ everything.T), 0)
    np.fill_diagonal(distances, 0)
    largest = distances.max(axis=0)
    distances = (distances / np.where(largest > 0, largest, 1)).T
    ranks = np.argsort(distances, axis=1, kind="stable")
    whole, half = _mutual(ranks, k1), _mutual(ranks, round(k1 / 2))
    shared = whole.astype(np.float32) @ half.T.astype(np.float32)  # counts: exact
    joins = whole & (3 * shared > 2 * half.sum(axis=1)[None, :])
    grown = whole | ((joins.astype(np.float32) @ half.astype(np.float32)) > 0)
    weights = np.where(grown, np.exp(-distances), 0)
    weights /= weights.sum(axis=1, keepdims=True)
    if k2 > 1:
        weights = weights[ranks[:, :k2]].mean(axis=1)
    common = np.minimum(weights[0], weights[1:]).sum(axis=1)
    jaccard = 1 - common / (2 - common)
    found: Vector = (1 - weight) * jaccard + weight * distances[0, 1:]
    return found


def expanded(query: Vector, vectors: Vector, *, nearest: int = 10, alpha: float = 3.0) -> Vector:
    """Return normalise(query + sum of max(s, 0)^alpha * x) over the nearest x that are not nearly the query itself.

    Chum et al. 2007; Radenovic, Tolias and Chum 2019: s is the cosine. The same as imgsearch_internal.expanded().
    """
    cosines = vectors @ query
    order = [one for one in np.argsort(-cosines, kind="stable") if cosines[one] <= COPY][:nearest]
    made = query + sum((max(cosines[one], 0.0) ** alpha * vectors[one] for one in order), np.zeros_like(query))
    length = float(np.linalg.norm(made))
    return made / length if length > 0 else query


def _mutual(ranks: np.ndarray, k: int) -> np.ndarray:
    """Return whether j is among the k + 1 nearest of i, and i among those of j, as a matrix."""
    near = np.zeros(ranks.shape, bool)
    np.put_along_axis(near, ranks[:, : k + 1], True, axis=1)
    return near & near.T


def _vectors(look: Look) -> tuple[list[Candidate], Vector]:
    found = [one for one in look.candidates if one.vector is not None]
    return found, np.array([one.vector for one in found], np.float64)


def _ascending(candidates: list[Candidate], distances: Vector) -> list[int]:
    return [candidates[one].index for one in np.argsort(distances, kind="stable")]
