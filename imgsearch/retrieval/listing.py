"""Lists without a question: the products that match, by age, price or an attribute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Unpack

from imgsearch import values
from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import FilterError
from imgsearch.retrieval.filters import FilterArguments, Filters, merged
from imgsearch.retrieval.hits import place_of


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One product by the first of its pictures that match.

    pictures: how many of its pictures can be searched; others: the first of the others with the digests of their bytes.
    after: continues behind this row.
    """

    image_id: int
    product_id: str
    tenant_id: str
    product_title: str | None
    category: str | None
    categories: Sequence[str] | None  # where it has several
    price: float | None
    in_stock: bool
    attributes: Mapping[str, Any]
    sha256: bytes | None
    pictures: int
    others: tuple[tuple[int, bytes | None], ...]
    after: str

    @property
    def title(self) -> str | None:
        """The product's title, else the attribute `title`, where the shop sets one."""
        title = self.product_title or self.attributes.get("title")
        return title if isinstance(title, str) else None


_PLAIN = [one.name for one in fields(Listed) if one.name != "others"]


def browse_products(
    connection: Connectable,
    *,
    filters: Filters | None = None,
    sort: str = "newest",
    k: int = 10,
    after: str | None = None,
    **named: Unpack[FilterArguments],
) -> list[Listed]:
    """Return the `k` (1 to 1000) first products that match the filters, each once, without asking for anything.

    sort: newest (in the order they were added), price, attributes.NAME, with - the other way round; what has no such
    value stands last. `after` of the last row continues behind it. By an attribute each page reads all that matches.

    Raises FilterError, NoSpace.
    """
    place_of(after)  # here, for the driver refuses some of what is no place in words of its own
    bound = {
        "filters": merged(filters, named).as_json(),
        "k": values.whole(k, "k", -(2**31), 2**31 - 1, FilterError),
        "sort": values.text(sort, "sort", values.VALUE, FilterError),
        "after": after,
    }
    found = sql.rows(driver(connection), "search", "browse", bound)
    return [Listed(**{name: row[name] for name in _PLAIN}, others=tuple(_others(row))) for row in found]


def _others(row: Mapping[str, Any]) -> list[tuple[int, bytes | None]]:
    digests = [None if one is None else bytes(one) for one in row["digests"] or ()]
    return list(zip(row["others"] or (), digests, strict=True))
