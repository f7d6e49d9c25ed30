"""What a search answers: the pictures, and how they were found."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from imgsearch.errors import FilterError

Strategy = Literal["hnsw", "bits", "exact"]


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One picture. `distance` is the cosine distance to the query, from 0 (the same) to 2."""

    image_id: int
    product_id: str
    tenant_id: str
    category: str | None
    price: float | None
    in_stock: bool
    attributes: Mapping[str, Any]
    distance: float
    sha256: bytes | None = None  # of the picture's bytes; None until a worker has fetched an address

    @property
    def title(self) -> str | None:
        """The attribute `title`, where the shop sets one."""
        title = self.attributes.get("title")
        return title if isinstance(title, str) else None


class Hits(list[Hit]):
    """One page, nearest first; equal distances by image_id.

    `strategy` says which arm found it: hnsw, bits or exact. `complete` is False only where the page is short because
    of `max_distance` and the search cannot rule out that one more picture lies within it. `matches` pictures match
    the filters; where `more` is True there are more than that. `took_ms` is the statement alone, `sql` its text.
    """

    def __init__(
        self,
        hits: Iterable[Hit] = (),
        *,
        strategy: Strategy = "exact",
        complete: bool = True,
        matches: int = 0,
        more: bool = False,
        took_ms: float = 0.0,
        sql: str = "",
    ) -> None:
        super().__init__(hits)
        self.strategy: Strategy = strategy
        self.complete = complete
        self.matches = matches
        self.more = more
        self.took_ms = took_ms
        self.sql = sql

    @property
    def after(self) -> str | None:
        """What to pass as `after` for the next page; None when this page is empty."""
        return f"{self[-1].distance!r},{self[-1].image_id}" if self else None


def place_of(after: str | None) -> tuple[float, int] | None:
    """Return the (distance, image_id) of a page's `after`. Raises FilterError when no page gave it."""
    if after is None:
        return None
    distance, comma, image_id = after.partition(",")
    try:
        place = float(distance), int(image_id)
    except ValueError:
        place = math.nan, 0
    if not comma or not math.isfinite(place[0]) or not 0 <= place[1] < 2**63:
        raise FilterError(f"after is {after[:100]!r}; pass the `after` of the page before, as it is.")
    return place
