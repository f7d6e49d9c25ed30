"""Oscar's products, ranked by what they look like."""

from __future__ import annotations

from typing import Any

from oscar.core.loading import get_model

from imgsearch.django import image_search

Product = get_model("catalogue", "Product")


def products() -> Any:
    """Return what Oscar lists, parents and products without variants, with `similar_to()`."""
    return image_search(Product.objects.browsable().base_queryset())
