"""What a search answers: the pictures, and how they were found."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from imgsearch.errors import FilterError
from imgsearch.retrieval.rerank import Reranked

Strategy = Literal["hnsw", "bits", "exact", "words"]


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One product by its best picture, or one picture. `distance` is cosine, to the query: 0 (the same) to 2.

    Found by its words before a worker has embedded it, its `distance` is 2.
    Found by words alone, its `distance` is from 0 (an id or code) to 1: how few of the words its product has.
    """

    image_id: int
    product_id: str
    tenant_id: str
    category: str | None
    price: float | None
    in_stock: bool
    attributes: Mapping[str, Any]
    distance: float
    sha256: bytes | None = None  # of the picture's bytes; None until a worker has fetched an address
    match: float | None = None  # the probability that it fits, from 0 to 1, where the space can tell
    pictures: int | None = None  # how many pictures its product has; None where a row is an image
    others: tuple[int, ...] = ()  # the next best of them, at most four image ids
    after: str | None = None  # what continues behind this row
    product_title: str | None = None  # as it was given beside its pictures
    categories: Sequence[str] | None = None  # where it has several: `category` finds it by each of them
    look: Mapping[str, Any] | None = None  # what the steps of a second look say of it, by their names
    box: tuple[float, float, float, float] | None = None  # searched by parts: the one that lies nearer than the whole
    label: str | None = None  # what that part is called, where whoever proposed it said so

    @property
    def title(self) -> str | None:
        """The product's title, else the attribute `title`, where the shop sets one."""
        title = self.product_title or self.attributes.get("title")
        return title if isinstance(title, str) else None


class Hits(list[Hit]):
    """One page, nearest first; equal distances by image_id.

    `strategy` says which arm found it: hnsw, bits, exact or words (alone). `complete` is False
    only where the page is short because of `max_distance` and the search cannot rule out that one more picture lies
    within it. `matches` products (or images) match the filters, `matching_images` images; where `more` is True there
    are more than that.
    `took_ms` is the statement alone, `sql` its text. `truncated` tells people where the model did not read the whole
    text. `reranked`: what the second look did that was asked for, or why the first ranking stands.
    """

    def __init__(
        self,
        hits: Iterable[Hit] = (),
        *,
        strategy: Strategy = "exact",
        complete: bool = True,
        matches: int = 0,
        matching_images: int | None = None,
        more: bool = False,
        took_ms: float = 0.0,
        sql: str = "",
        truncated: str | None = None,
        reranked: Reranked | None = None,
    ) -> None:
        super().__init__(hits)
        self.strategy: Strategy = strategy
        self.complete = complete
        self.matches = matches
        self.matching_images = matches if matching_images is None else matching_images
        self.more = more
        self.took_ms = took_ms
        self.sql = sql
        self.truncated = truncated
        self.reranked = reranked

    @property
    def doubtful(self) -> bool:
        """Whether it is likelier than not of every row that it does not fit; False where nobody can tell."""
        known = [hit.match for hit in self if hit.match is not None]
        return bool(known) and len(known) == len(self) and max(known) < 0.5

    @property
    def after(self) -> str | None:
        """What to pass as `after` for the next page; None when this page is empty."""
        return self[-1].after if self else None


_PLACE = re.compile(r"(-?[0-9][0-9.e+-]*),([0-9]{1,18})((?:,[0-9A-Za-z_.-]*){0,4})")


def place_of(after: str | None) -> tuple[float, int, str] | None:
    """Return the (distance, image_id, rest) of a page's `after`. Raises FilterError when no page gave it."""
    if after is None:
        return None
    found = _PLACE.fullmatch(after) if isinstance(after, str) else None
    try:
        place = (float(found[1]), int(found[2]), found[3]) if found else None
    except ValueError:
        place = None
    if place is None or not math.isfinite(place[0]):
        raise FilterError("`after` is no place of a page; pass the `after` of the page before, as it is.")
    return place


SHOWN_CATEGORIES = 5


def named_categories(category: str | None, categories: Sequence[str] | None) -> str | None:
    """Return the categories of a row as people read them: the one, then the first of several."""
    names = list(dict.fromkeys([*([category] if category else []), *(categories or ())]))
    more = ["…"] if len(names) > SHOWN_CATEGORIES else []
    return ", ".join([*names[:SHOWN_CATEGORIES], *more]) or None
