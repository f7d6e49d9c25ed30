"""What somebody may like: near to the middle of what was liked, or near to any of it, and without what was seen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Unpack, cast

from imgsearch import query as questions
from imgsearch import values
from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import FilterError, QueryError, SpaceChanged
from imgsearch.query import ImageId, ProductId, Resolved, Thing
from imgsearch.query.combine import checked_weights, combine
from imgsearch.retrieval.by_filters import SearchArguments, asked_anew, hits_of, search, split, values_of
from imgsearch.retrieval.explain import explain
from imgsearch.retrieval.filters import Filters
from imgsearch.retrieval.hits import Hits
from imgsearch.retrieval.ranking import Ranking

Strategy = Literal["centroid", "best"]
STRATEGIES = ("centroid", "best")
Example = Thing | tuple[Thing, float]
Weighted = Sequence[tuple[Resolved, float]]


def recommend(
    connection: Connectable,
    like: Sequence[Example],
    unlike: Sequence[Example] = (),
    *,
    strategy: Strategy = "centroid",
    seen: Sequence[str | int | ProductId | ImageId] = (),
    filters: Filters | None = None,
    ranking: Ranking | None = None,
    k: int = 10,
    skip: int = 0,
    after: str | None = None,
    timeout: float = 10,
    **named: Unpack[SearchArguments],
) -> Hits:
    """Return the `k` (1 to 1000) products to recommend; filters, ranking and pages as in `imgsearch.search`.

    like, unlike: texts, pictures, images, products and vectors, each alone or as (thing, weight), 64 at most; weights
    are above 0. seen: products, or images of products, that were seen or bought; they are left out, and so is what was
    liked and disliked itself.
    strategy: `centroid` looks near the middle of what is liked (`imgsearch.query.combine`); `best` ranks each row by
    its best cosine to anything liked less the best to anything disliked, by their weights: tastes that differ stay
    apart. Then `distance` is 1 - that score, of the ranking only `per` counts, and the first 1,000 rows can be had.

    Raises QueryError, VectorError, UnknownImage, PictureError, FilterError, NoSpace, QueryTimeout, SpaceChanged.
    """
    wish = wish_of(connection, like, unlike, strategy, seen, *split(filters, ranking, named))
    page: dict[str, Any] = {"k": k, "skip": skip, "after": after}

    def once() -> Hits:
        near, far = wish.resolved(connection, timeout)
        if strategy == "best":
            return ranked_by_best(connection, near, far, filters=wish.filters, ranking=wish.ranking, **page)
        return search(connection, middle_of(connection, near, far), filters=wish.filters, ranking=wish.ranking, **page)

    return asked_anew(connection, once)


def explain_recommend(
    connection: Connectable,
    like: Sequence[Example],
    unlike: Sequence[Example] = (),
    *,
    strategy: Strategy = "centroid",
    seen: Sequence[str | int | ProductId | ImageId] = (),
    filters: Filters | None = None,
    ranking: Ranking | None = None,
    k: int = 10,
    skip: int = 0,
    after: str | None = None,
    timeout: float = 10,
    **named: Unpack[SearchArguments],
) -> list[str]:
    """Return in lines of words how `recommend()` with the same arguments is answered, by running it.

    Raises what `recommend()` raises.
    """
    wish = wish_of(connection, like, unlike, strategy, seen, *split(filters, ranking, named))
    near, far = wish.resolved(connection, timeout)
    page: dict[str, Any] = {"k": k, "skip": skip, "after": after}
    if strategy == "best":
        bound = best_values(near, far, filters=wish.filters, ranking=wish.ranking, **page)
        return [row["explanation"] for row in sql.rows(driver(connection), "explain", "best", bound)]
    turned = f", turned away from {len(far)} disliked" if far else ""
    middle = middle_of(connection, near, far)
    return [
        f"One search for the middle of {len(near)} liked{turned}.",
        *explain(connection, middle, filters=wish.filters, ranking=wish.ranking, **page),
    ]


@dataclass(frozen=True)
class Wish:
    """What is liked and disliked, with weights, and what may be recommended: nothing that was named or seen."""

    near: Sequence[tuple[Thing, float]]
    far: Sequence[tuple[Thing, float]]
    filters: Filters
    ranking: Ranking

    def resolved(self, connection: Connectable, timeout: float) -> tuple[Weighted, Weighted]:
        """Return both with their vectors. Raises what `resolve()` raises."""
        near, far = (
            [
                (questions.resolve(connection, thing, timeout=timeout, tenant=self.filters.tenant), weight)
                for thing, weight in one
            ]
            for one in (self.near, self.far)
        )
        return near, far


def wish_of(
    connection: Connectable,
    like: Sequence[Example],
    unlike: Sequence[Example],
    strategy: str,
    seen: Sequence[str | int | ProductId | ImageId],
    filters: Filters,
    ranking: Ranking,
) -> Wish:
    """Return what was asked for, where it makes sense. Raises QueryError."""
    if not isinstance(strategy, str) or strategy not in STRATEGIES:
        raise QueryError(f"strategy is {str(strategy)[:100]!r}; there are {' and '.join(STRATEGIES)}.")
    if ranking.space is not None:
        raise QueryError("A recommendation is of the active space; search() takes a space.")
    for name, several in (("like", like), ("unlike", unlike), ("seen", seen)):
        if isinstance(several, str | bytes | ProductId | ImageId):
            raise QueryError(f"{name} is one thing; write a list of them, for example {name}=[{str(several)[:20]!r}].")
        values.several(several, name, QueryError)
    near, far = [*map(weighted, like)], [*map(weighted, unlike)]
    checked_weights([weight for _, weight in (*near, *far)])
    if not near:
        raise QueryError("There is nothing to recommend by; name something that is liked.")
    known = [thing for thing, _ in (*near, *far) if isinstance(thing, ImageId)]
    return Wish(near, far, filters.without_products(products_of(connection, [*known, *seen], filters.tenant)), ranking)


def middle_of(connection: Connectable, near: Weighted, far: Weighted) -> Resolved:
    """Return one question for all of what is liked, turned away from what is not."""
    return combine(connection, [*near, *((one, -weight) for one, weight in far)])


def weighted(example: Example) -> tuple[Thing, float]:
    """Return an example with its weight. Raises QueryError for a weight that is no number above 0."""
    if not (isinstance(example, tuple) and len(example) == 2 and not isinstance(example[0], int | float)):
        return cast("Thing", example), 1.0
    thing, weight = example
    try:
        return thing, values.number(weight, "weight", 5e-324, 1e308, QueryError)
    except QueryError as error:
        shown = values.shown(weight)
        raise QueryError(
            f"The weight {shown} of an example is not a number above 0; what is disliked goes in unlike."
        ) from error


def ranked_by_best(
    connection: Connectable,
    near: Weighted,
    far: Weighted,
    *,
    filters: Filters,
    ranking: Ranking,
    k: int = 10,
    skip: int = 0,
    after: str | None = None,
    max_distance: float | None = None,
) -> Hits:
    """Return what scores best by any of the liked (`near`, never empty). Raises FilterError, VectorError."""
    asked = [one for one, _ in (*near, *far)]
    bound = best_values(
        near, far, filters=filters, ranking=ranking, k=k, skip=skip, after=after, max_distance=max_distance
    )
    began = time.perf_counter()
    rows = sql.rows(driver(connection), "search", "best", bound)
    took_ms = (time.perf_counter() - began) * 1000
    truncated = next((one.truncated for one in asked if one.truncated), None)
    return hits_of(rows, took_ms=took_ms, statement="best", truncated=truncated)


def best_values(near: Weighted, far: Weighted, *, filters: Filters, ranking: Ranking, **page: Any) -> dict[str, Any]:
    """Return what a statement binds that ranks by the best of several. Raises FilterError, SpaceChanged."""
    if others := sorted(set(ranking.given()) - {"per"}):
        raise FilterError(f"strategy best ranks by score alone; leave {others[0]} out, or recommend by centroid.")
    asked = [one for one, _ in (*near, *far)]
    if len({one.space_id for one in asked}) > 1:
        raise SpaceChanged("The model was changed while this was asked; ask again.")
    for one in asked:
        filters = filters.without_images(one.rejected).without_products(one.products)
    return values_of(asked[0], filters, ranking, **page) | {
        "likes": [one.vector for one, _ in near],
        "like_weights": [weight for _, weight in near],
        "unlikes": [one.vector for one, _ in far],
        "unlike_weights": [weight for _, weight in far],
    }


def products_of(
    connection: Connectable, things: Sequence[str | int | ProductId | ImageId], tenant: str | None
) -> list[str]:
    """Return the products of what is named, images by theirs. Raises QueryError for what is neither."""
    for one in things:
        if isinstance(one, bool) or not isinstance(one, str | int | ProductId | ImageId):
            raise QueryError(f"What was seen is products and images, not {type(one).__name__}; leave it out of seen.")
    images = [one.image_id for one in things if isinstance(one, ImageId)]
    found = [
        one.product_id if isinstance(one, ProductId) else values.named(one, "seen", QueryError)
        for one in things
        if not isinstance(one, ImageId)
    ]
    if images:
        rows = sql.rows(driver(connection), "search", "products_of", {"images": images, "tenant": tenant})
        found += [row["product_id"] for row in rows]
    return found
