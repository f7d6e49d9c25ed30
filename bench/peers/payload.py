"""The filter columns as peers get them: one flat record per picture, the user's product table joined in beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench import filters, shop
from bench.dataset import Dataset

KEYWORDS = ("tenant", "category", "brand", "colour", "style", "grade", "sale")
NUMBERS = ("price",)
INTEGERS = ("size", "supplier")


def columns(data: Dataset) -> dict[str, Any]:
    """Return {column: one value per picture}; '' where a picture has no such attribute."""
    goods, of = data.products, data.product_of
    found: dict[str, Any] = {name: values[of] for name, values in filters.attribute_values(goods).items()}
    found["size"] = goods.size[of].astype(np.int64)
    found["tenant"] = np.array(shop.tenant_names())[goods.tenant[of]]
    found["category"] = np.array([filters.category_name(number) for number in range(1000)])[goods.category[of]]
    return found | {
        "price": goods.price[of],
        "in_stock": goods.in_stock[of],
        "supplier": goods.supplier[of].astype(np.int64),
    }
