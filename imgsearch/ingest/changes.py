"""Change what is stored beside pictures, without the pictures: nothing is embedded again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from imgsearch import values
from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import UsageError
from imgsearch.ingest import vectors, words
from imgsearch.ingest.columns import checked_attributes, checked_category, checked_price, chosen
from imgsearch.ingest.vectors import Vector


class Changes(TypedDict, total=False):
    """What `change()` changes: what is not named stays, None empties it.

    attributes are merged: a name with a value is set, one with None goes, the others stay. title, words and codes are
    the product's, so they need a product_id. vector is of one image, in `space`, whose vectors are given.
    order: positions of the product's pictures that come first from now on, as `[3]` or `[1, 0]`; the others stand
    behind them as they stood.
    """

    category: str | None
    categories: Iterable[str] | str | None
    price: float | None
    in_stock: bool
    attributes: Mapping[str, Any]
    title: str | None
    words: str | None
    codes: Iterable[str] | str | None
    vector: Vector
    space: str | None
    order: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Changed:
    """The images that were meant, and which of them (or whether the product's words) were not so already.

    largest: bytes of the longest attributes that were written, as JSON.
    """

    images: tuple[int, ...]
    changed: tuple[int, ...]
    words: bool = False
    largest: int = 0


_OF_IMAGES = frozenset({"category", "categories", "price", "in_stock", "attributes"})
_OF_VECTORS = frozenset({"vector", "space"})
_OF_WORDS = frozenset({"title", "words", "codes"})
_OF_PRODUCTS = _OF_WORDS | {"order"}


def change(
    connection: Connectable,
    *,
    tenant: str = "default",
    product_id: str | int | None = None,
    position: int | None = None,
    image_id: int | None = None,
    **changes: Unpack[Changes],
) -> Changed:
    """Change the filters of a product's images, of one of them, or a product's words, in the caller's transaction.

    Rows that are as asked already are not written. An answer without images: there is no such image.
    Raises UsageError for nothing to change, for no images named, and for images that follow an attached table.
    """
    given = dict(changes)
    vector = vectors.bound(changes.get("vector"), changes.get("space"))
    given = {name: value for name, value in given.items() if name not in _OF_VECTORS}
    if unknown := set(given) - _OF_IMAGES - _OF_PRODUCTS:
        raise UsageError(f"There is no {sorted(unknown)[0]!r} to change; see imgsearch.ingest.changes.Changes.")
    if not given and vector["vector"] is None:
        raise UsageError("Say what to change, for example price=19.99 or in_stock=False.")
    if product_id is None and image_id is None:
        raise UsageError("Say which images to change: a product_id or an image_id.")
    if vector["vector"] is not None and position is None and image_id is None:
        raise UsageError("A vector is of one image: say which, by its position or its image_id.")
    if _OF_PRODUCTS & set(given) and (product_id is None or position is not None or image_id is not None):
        raise UsageError("title, words and codes, and order, are a product's: change them by its product_id alone.")
    title, more, codes = (given.get(name) for name in ("title", "words", "codes"))
    named_words = words.checked(title, more, codes)
    which = chosen(tenant, product_id, position, image_id)
    rows = sql.rows(driver(connection), "change", "image", _values(given) | which | vector)
    if given and any(row["follows"] for row in rows):
        raise UsageError("These images follow an attached table; change its rows, and they follow.")
    named, moved = False, set[int]()
    if rows and "order" in given:
        moved = _ordered(connection, which, given["order"])
    if rows and _OF_WORDS & set(given):
        called = {**named_words, **which, "named": sorted(given)}
        named = sql.run(driver(connection), "change", "words", called).fetchone() is not None
    return Changed(
        images=tuple(row["image_id"] for row in rows),
        changed=tuple(row["image_id"] for row in rows if row["changed"] or row["image_id"] in moved),
        words=named,
        largest=max((row["size"] for row in rows), default=0),
    )


def _ordered(connection: Connectable, which: Mapping[str, Any], order: object) -> set[int]:
    """Let a product's pictures change places; return those that stand elsewhere now. Raises UsageError."""
    positions = [values.whole(place, "order", 0, values.POSITION) for place in values.several(order, "order")]
    if len(set(positions)) < len(positions):
        raise UsageError("order names a position twice; name each once.")
    rows = sql.rows(driver(connection), "change", "order", {**which, "positions": positions})
    if missing := sorted(set(positions) - {row["position"] for row in rows}):
        raise UsageError(f"The product has no picture at position {missing[0]}; order names positions that there are.")
    return {row["image_id"] for row in rows if row["changed"]}


def _values(given: Mapping[str, Any]) -> dict[str, Any]:
    attributes = values.mapping({} if given.get("attributes") is None else given["attributes"], "attributes")
    return {
        "named": sorted(given),
        "category": checked_category(given.get("category")),
        "categories": words.checked_categories(given.get("categories")),
        "price": checked_price(given.get("price")),
        "in_stock": values.truth(given["in_stock"], "in_stock") if "in_stock" in given else None,
        "merged": checked_attributes({name: value for name, value in attributes.items() if value is not None}),
        "unset": [name for name, value in attributes.items() if value is None],
    }
