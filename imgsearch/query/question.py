"""What a question is: the things that become a vector, and what they have become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Source = Literal["memory", "database", "worker", "image", "given"]


@dataclass(frozen=True)
class ImageId:
    """Means "like this image" where a query is expected."""

    image_id: int


@dataclass(frozen=True)
class ProductId:
    """Means "like this product", by all its pictures, where a query is expected; itself it does not come back.

    Without `tenant` it is the tenant that is searched; a product id that several tenants have needs it.
    """

    product_id: str
    tenant: str | None = None


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A query that is a vector now: `vector` in pgvector's text form, comparable within `space_id` only.

    vector is empty for words alone.
    image_id: the image here that it is the vector of. rejected: images that were "not this"; products: those that it
    was asked by; a search leaves both out. words: the text it was made of. key: what tells the question from others,
    where its vector alone may differ in the last bits from one time to the next. truncated: what to tell people where
    the model did not read the whole text. elsewhere: the same question in further spaces that are searched with it.
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
    elsewhere: tuple[str, ...] = ()


Thing = str | bytes | Path | ImageId | ProductId | Sequence[float] | Resolved
Query = Thing | Sequence[tuple[Thing, float]]
