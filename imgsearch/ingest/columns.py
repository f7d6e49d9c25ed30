"""What stands beside a picture, and which pictures are meant, checked and as statements bind it."""

from __future__ import annotations

import json
from typing import Any

from imgsearch import values
from imgsearch.errors import UsageError


def chosen(tenant: object, product_id: object, position: object, image_id: object) -> dict[str, Any]:
    """Return which images are meant as statements bind it. Raises UsageError."""
    return {
        "tenant_id": values.named(tenant, "tenant"),
        "product_id": None if product_id is None else values.named(product_id, "product_id"),
        "position": None if position is None else values.whole(position, "position", 0, values.POSITION),
        "image_id": None if image_id is None else values.whole(image_id, "image_id", 1, 2**63 - 1),
    }


def checked_price(price: object) -> float | None:
    """Return a price as a number, None for none. Raises UsageError for what is no price."""
    if price is None:
        return None
    try:
        read = float(price) if isinstance(price, str) else price
    except ValueError:
        read = price
    try:
        return values.number(read, "price", 0, values.PRICE)
    except UsageError as error:
        raise UsageError(
            f"The price is {values.shown(price)}; write a number such as 19.99, or leave it out."
        ) from error


def checked_category(category: object) -> str | None:
    """Return a category as it is stored, None for none. Raises UsageError."""
    return None if category is None else values.line(category, "category")


def checked_attributes(attributes: object) -> str:
    """Return attributes as JSON. Raises UsageError for what JSON does not know, and for more than an image may have."""
    written = json.dumps(values.mapping(attributes, "attributes"), ensure_ascii=False, allow_nan=False)
    if (size := len(written.encode())) > values.ATTRIBUTES_BYTES:
        raise UsageError(f"attributes take {size} bytes, the limit is {values.ATTRIBUTES_BYTES}; leave some out.")
    return written
