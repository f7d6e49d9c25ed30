"""What a product is called on the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LONGEST = 300  # characters; two lines of a card hold a third of them


def title_of(product_id: str, title: str | None, attributes: Mapping[str, Any]) -> str:
    """Return a product's title, else the attribute `title`, else its own key; one far too long is cut."""
    found = title or attributes.get("title")
    title = (found.strip() if isinstance(found, str) else "") or product_id
    return title if len(title) <= LONGEST else title[: LONGEST - 1].rstrip() + "…"
