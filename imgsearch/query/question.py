"""What a question is: the things that become a vector, and what they have become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imgsearch import values
from imgsearch.errors import QueryError, RegionError
from imgsearch.picture.region import Region

Source = Literal["memory", "database", "worker", "image", "given"]


@dataclass(frozen=True)
class ImageId:
    """Means "like this image" where a query is expected."""

    image_id: int

    def __post_init__(self) -> None:
        """Raise QueryError for what is no number of an image."""
        object.__setattr__(self, "image_id", values.whole(self.image_id, "image_id", -(2**63), 2**63 - 1, QueryError))


@dataclass(frozen=True)
class ProductId:
    """Means "like this product", by all its pictures, where a query is expected; itself it does not come back.

    Without `tenant` it is the tenant that is searched; a product id that several tenants have needs it.
    """

    product_id: str
    tenant: str | None = None

    def __post_init__(self) -> None:
        """Raise QueryError for what is no name."""
        object.__setattr__(self, "product_id", values.named(self.product_id, "product_id", QueryError))
        if self.tenant is not None:
            object.__setattr__(self, "tenant", values.named(self.tenant, "tenant", QueryError))


@dataclass(frozen=True)
class Crop:
    """Means "like this part of the picture" where a query is expected.

    picture: its bytes, its file, or an image here. region: (x, y, w, h) of the picture as it is shown, from its upper
    left corner; four numbers of which none is above 1 are shares of its sides, others are pixels.
    """

    picture: bytes | Path | ImageId
    region: Sequence[float] | Region


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A query that is a vector now: `vector` in pgvector's text form, comparable within `space_id` only.

    vector is empty for words alone.
    image_id: the image here that it is the vector of. rejected: images that were "not this"; products: those that it
    was asked by; a search leaves both out. words: the text it was made of. key: what tells the question from others,
    where its vector alone may differ in the last bits from one time to the next. truncated: what to tell people where
    the model did not read the whole text.
    boxes: of a picture, parts that stand out and may be meant, (x, y, w, h) in shares of its sides.
    """

    vector: str
    space_id: int
    source: Source
    took_ms: float
    kind: Literal["text", "picture", "image", "vector"]
    image_id: int | None = None
    rejected: tuple[int, ...] = ()
    products: tuple[str, ...] = ()
    words: str | None = None
    key: str | None = None
    truncated: str | None = None
    boxes: tuple[tuple[float, ...], ...] = ()


Thing = str | bytes | Path | Crop | ImageId | ProductId | Sequence[float] | Resolved
Query = Thing | Sequence[tuple[Thing, float]]


def cropped(query: Query, region: Sequence[float] | Region | None) -> Query:
    """Return a query of which only a region is meant. Raises RegionError where it is no single picture."""
    if region is None:
        return query
    if not isinstance(query, bytes | Path | ImageId):
        raise RegionError(
            "A region is of one picture (bytes, a Path, ImageId); among several things, write Crop(picture, region)."
        )
    return Crop(query, region)
