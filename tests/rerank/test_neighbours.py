"""k-reciprocal re-ranking and query expansion, against plain loops over their formulas."""

from __future__ import annotations

import numpy as np
import pytest
from imgsearch_workers.looking.neighbours import Expansion, KReciprocal, expanded, k_reciprocal
from imgsearch_workers.looking.step import Candidate, Look
from numpy.typing import NDArray

Vectors = NDArray[np.float64]


def drawn(seed: int, many: int, groups: int = 6, dimension: int = 24) -> tuple[Vectors, Vectors]:
    """Return a query and vectors around a few middles, all of length one."""
    random = np.random.default_rng(seed)
    middles = random.normal(size=(groups, dimension))
    found = middles[random.integers(groups, size=many + 1)] + 0.8 * random.normal(size=(many + 1, dimension))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found[0], found[1:]


def plain_k_reciprocal(query: Vectors, vectors: Vectors, k1: int, k2: int, weight: float) -> Vectors:
    """The formula, one set after another."""
    everything = [query, *vectors]
    n = len(everything)
    squared = np.array(
        [[0.0 if i == j else sum((everything[i] - everything[j]) ** 2) for j in range(n)] for i in range(n)]
    )
    d = (squared / squared.max(axis=0)).T
    near = [sorted(range(n), key=lambda j, i=i: d[i][j]) for i in range(n)]

    def mutual(i: int, k: int) -> set[int]:
        return {j for j in near[i][: k + 1] if i in near[j][: k + 1]}

    v = np.zeros((n, n))
    for i in range(n):
        grown = own = mutual(i, k1)
        for c in own:
            more = mutual(c, round(k1 / 2))
            if len(more & own) > 2 / 3 * len(more) + 1e-9:
                grown = grown | more
        for j in grown:
            v[i, j] = np.exp(-d[i][j])
        v[i] /= v[i].sum()
    v = np.array([np.mean([v[j] for j in near[i][:k2]], axis=0) for i in range(n)])
    jaccard = np.array([1 - np.minimum(v[0], v[i]).sum() / np.maximum(v[0], v[i]).sum() for i in range(1, n)])
    return (1 - weight) * jaccard + weight * d[0][1:]


@pytest.mark.parametrize(
    ("many", "k1", "k2", "weight"), [(60, 20, 6, 0.3), (40, 7, 1, 0.0), (25, 3, 2, 1.0), (5, 20, 6, 0.3)]
)
def test_k_reciprocal_is_the_formula(many: int, k1: int, k2: int, weight: float) -> None:
    for seed in range(3):
        query, vectors = drawn(seed, many)
        found = k_reciprocal(query, vectors, k1=k1, k2=k2, weight=weight)
        assert np.abs(found - plain_k_reciprocal(query, vectors, k1, k2, weight)).max() < 1e-9


def test_expansion_is_the_formula() -> None:
    for seed in range(5):
        query, vectors = drawn(seed, 50)
        vectors = np.vstack([query, vectors])  # its own copy says nothing new
        for alpha in (0.0, 0.5, 3.0):
            cosines = [float(x @ query) for x in vectors]
            best = sorted((i for i in range(51) if cosines[i] <= 0.97), key=lambda i: -cosines[i])[:10]
            made = query + sum(max(cosines[i], 0.0) ** alpha * vectors[i] for i in best)
            found = expanded(query, vectors, nearest=10, alpha=alpha)
            assert np.abs(found - made / np.linalg.norm(made)).max() < 1e-9


def test_what_has_no_vector_is_left_where_it_is() -> None:
    query, vectors = drawn(1, 30)
    some = [
        Candidate(index=i, image_id=i, product_id=str(i), distance=0.0, vector=None if i % 7 == 0 else vectors[i])
        for i in range(30)
    ]
    look = Look(candidates=some, pictures=None, deadline=0, vector=query)  # type: ignore[arg-type]
    for step in (KReciprocal(), Expansion()):
        ranked = step.rank(look)
        assert sorted(ranked.order) == [i for i in range(30) if i % 7]
        nothing = step.rank(Look(candidates=some, pictures=None, deadline=0))  # type: ignore[arg-type]
        assert (nothing.order, nothing.looked) == ((), 0)
        assert nothing.why


def test_one_candidate_and_equal_ones_are_no_trouble() -> None:
    query, vectors = drawn(2, 1)
    assert k_reciprocal(query, vectors).shape == (1,)
    same = np.repeat(query[None, :], 4, axis=0)
    assert np.isfinite(k_reciprocal(query, same)).all()
    assert np.allclose(expanded(query, same), query)
