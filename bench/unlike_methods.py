"""The methods that `bench.unlike` compares. Each scores every picture; the rejected ones are left out by the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Scores = Callable[[Vectors, Vectors, Sequence[int]], NDArray[np.floating]]
"""(pictures, question, rejected rows) → a score per picture."""
PAGE = 10
POOL = 100  # candidates that a re-rank looks at


def page_of(scores: NDArray[np.floating], without: Sequence[int] = (), count: int = PAGE) -> NDArray[np.int64]:
    """Return the best rows."""
    scores = np.array(scores)
    scores[list(without)] = -np.inf
    return np.argsort(-scores, kind="stable")[:count]


def unit(vector: Vectors) -> Vectors:
    """Return a vector at length one."""
    return vector / np.linalg.norm(vector)


def left_out(v: Vectors, q: Vectors, rejected: Sequence[int]) -> NDArray[np.floating]:
    """Only leave the rejected out: what the others are compared with."""
    return v @ q


def whole(v: Vectors, q: Vectors, rejected: Sequence[int]) -> NDArray[np.floating]:
    """Weight -1 each, as it was."""
    return v @ (q - v[list(rejected)].sum(0))


def rocchio(weight: float, *, centred: bool = False) -> Scores:
    """Take a part of the rejected ones' mean away (Rocchio 1971; Salton & Buckley 1990)."""

    def scores(v: Vectors, q: Vectors, rejected: Sequence[int]) -> NDArray[np.floating]:
        middle = v.mean(0) if centred else 0
        return v @ (q - weight * (v[list(rejected)] - middle).mean(0))

    return scores


def orthogonal(share: float, most: float = np.inf, *, centred: bool = False, each: bool = False) -> Scores:
    """Take a share of what the question has in common with the rejected away; all of it: Widdows (2003).

    most: no more than this of the question's length. each: of the space that the rejected span, not of their mean.
    """

    def scores(v: Vectors, q: Vectors, rejected: Sequence[int]) -> NDArray[np.floating]:
        away = v[list(rejected)] - (v.mean(0) if centred else 0)
        axes = np.linalg.qr(away.T)[0] if each else unit(away.sum(0))[:, None]
        common = axes @ (axes.T @ q)
        length = np.linalg.norm(common)
        if not each and axes[:, 0] @ q <= 0:
            return v @ q
        return v @ (q - min(share, most / max(length, 1e-9)) * common)

    return scores


def own_part(weight: float) -> Scores:
    """Take away what the rejected ones have and the question has not: their part at right angles to it."""

    def scores(v: Vectors, q: Vectors, rejected: Sequence[int]) -> NDArray[np.floating]:
        away = (v[list(rejected)] - v.mean(0)).mean(0)
        return v @ (q - weight * (away - (away @ q) * q))

    return scores


def around_page(weight: float) -> Scores:
    """Take away how the rejected differ from the question's own first page: a search before the search."""

    def scores(v: Vectors, q: Vectors, rejected: Sequence[int]) -> NDArray[np.floating]:
        page = v[page_of(v @ q, rejected)].mean(0)
        common = (v[list(rejected)] - v.mean(0)).mean(0)
        scale = (common @ q) / (common @ common)
        return v @ (q - weight * scale * (v[list(rejected)].mean(0) - page))

    return scores


def best_score(v: Vectors, q: Vectors, rejected: Sequence[int]) -> NDArray[np.floating]:
    """Re-rank as Qdrant's best_score: behind all others, what is nearer to a rejected one than to the question.

    Both as standard deviations of the catalogue: a text is never as near to a picture as another picture is.
    """
    near, far = v @ q, (v[list(rejected)] @ v.T).max(0)
    near, far = (near - near.mean()) / near.std(), (far - far.mean()) / far.std()
    made = np.full(len(v), -np.inf)
    pool = page_of(v @ q, count=POOL)
    made[pool] = np.where(near > far, near, -(far**2))[pool]
    return made


def penalty(weight: float, threshold: float = -1.0) -> Scores:
    """Re-rank: less a part of the cosine to the nearest rejected one, above a threshold (Carbonell, Goldstein 1998)."""

    def scores(v: Vectors, q: Vectors, rejected: Sequence[int]) -> NDArray[np.floating]:
        made = np.full(len(v), -np.inf)
        pool = page_of(v @ q, count=POOL)
        far = (v[list(rejected)] @ v.T).max(0)
        made[pool] = (v @ q - weight * np.maximum(0, far - threshold))[pool]
        return made

    return scores


METHODS: dict[str, Scores] = {
    "left out only": left_out,
    "weight -1 (as it was)": whole,
    **{f"Rocchio {weight}": rocchio(weight) for weight in (0.1, 0.2, 0.25, 0.3, 0.5)},
    "Rocchio 0.25, centred": rocchio(0.25, centred=True),
    "orthogonal negation": orthogonal(1),
    "orthogonal negation, centred": orthogonal(1, centred=True),
    "a third of it": orthogonal(1 / 3, 0.25),
    "half of it, not capped": orthogonal(0.5),
    "half of it, at most 1/4 (chosen)": orthogonal(0.5, 0.25),
    "the same, of each": orthogonal(0.5, 0.25, each=True),
    "0.4 of it, centred": orthogonal(0.4, 0.25, centred=True),
    **{f"own part {weight}": own_part(weight) for weight in (0.2, 0.3)},
    **{f"around the page {weight}": around_page(weight) for weight in (0.5, 1.0)},
    "re-rank: best score": best_score,
    **{f"re-rank: penalty {weight}": penalty(weight) for weight in (0.2, 0.5)},
    "re-rank: penalty 0.5 above 0.7": penalty(0.5, 0.7),
}
