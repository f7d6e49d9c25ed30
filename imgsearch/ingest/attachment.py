"""Attach your own tables: images follow their rows, inside its transactions (schema/functions/attach.sql)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import UsageError

STEP = 2000  # rows copied per transaction


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """One attached table. `attached_at` is None where it was detached and its images kept.

    `backfilled`: the rows it had before have been copied. `drift`: how many images are out of step, where asked for.
    """

    relation: str
    pictures: str | None
    mapping: Mapping[str, Any] = field(repr=False)
    prefix: str
    attached_at: datetime | None
    backfilled: bool
    images: int
    drift: int | None = None


def attach(
    connection: Connectable,
    table: str,
    *,
    key: str,
    image: str | Sequence[str],
    tenant: str | None = None,
    category: str | None = None,
    price: str | None = None,
    in_stock: str | None = None,
    attributes: Sequence[str] = (),
    base: str | None = None,
    pictures: str | None = None,
    picture_of: str | None = None,
    ordinal: str | None = None,
    prefix: str = "",
    backfill: bool | None = None,
    if_not_exists: bool = False,
    title: str | None = None,
    words: str | None = None,
    codes: str | None = None,
) -> int:
    """Keep images in step with `table` from now on; return the attachment's number.

    Everything but `key` is a column of the table or an SQL expression over one row of it (`"stock > 0"`); an attribute
    made by an expression is named (`"lower(brand) AS brand"`). `image` is text: an address (`store:…`, `https:…`) or a
    path below `base`; several columns are several positions. With images in a table of their own: `pictures` names
    it, `picture_of` its foreign key, `ordinal` an integer that tells a product's images apart. `prefix` stands before
    the key in `product_id`. `title`, `words` and `codes` (one code, or an array of them) are what words find; what is
    longer than a product's may be is cut. `backfill`: copy the rows that are there in this transaction (None: up to
    10,000 of them; else see `backfill()`).

    Raises AttachmentError and DatabaseRights, which say what to write instead or what to grant.
    """
    values = {
        "relation": table,
        "key": key,
        "image": image if isinstance(image, str) else None,
        "images": None if isinstance(image, str) else list(image),
        "tenant": tenant,
        "category": category,
        "price": price,
        "in_stock": in_stock,
        "attributes": list(attributes),
        "base": base,
        "pictures": pictures,
        "picture_of": picture_of,
        "ordinal": ordinal,
        "prefix": prefix,
        "backfill": backfill,
        "if_not_exists": if_not_exists,
        "title": title,
        "words": words,
        "codes": codes,
    }
    return int(sql.value(driver(connection), "attachment", "attach", values))


def detach(connection: Connectable, table: str, *, keep: bool = False, if_exists: bool = False) -> int:
    """Take the triggers off `table` and its images out of the search, or `keep` them; return how many went.

    Raises AttachmentError where the table is not attached, unless `if_exists`.
    """
    values = {"relation": table, "keep": keep, "if_exists": if_exists}
    return int(sql.value(driver(connection), "attachment", "detach", values))


def backfill(connection: Connectable, table: str, *, size: int = STEP) -> Iterator[int]:
    """Copy the rows `table` had before it was attached, `size` of them per transaction; yield how many so far.

    `connection` is in autocommit. Interrupted at any point, it continues from there when it is called again.
    """
    lent = driver(connection)
    if not lent.autocommit:
        raise UsageError("Backfilling commits as it goes; use a connection in autocommit.")
    total = 0
    while True:
        step = sql.rows(lent, "attachment", "step", {"relation": table, "size": size})[0]
        if step["finished"]:
            return
        total += step["copied"]
        yield total


def repair(connection: Connectable, table: str) -> int:
    """Bring the images of an attached table back in step; return how many were written or removed."""
    return int(sql.value(driver(connection), "attachment", "repair", {"relation": table}))


def attachments(connection: Connectable, *, drift: bool = False) -> list[Attachment]:
    """Return the attached tables; with `drift`, all their rows are read and compared."""
    name = "attachments_with_drift" if drift else "attachments"
    return [Attachment(**row) for row in sql.rows(driver(connection), "attachment", name)]


def rows_of(connection: Connectable, table: str) -> int:
    """Return about how many rows a table has, from its statistics."""
    return int(sql.value(driver(connection), "attachment", "rows", {"relation": table}) or 0)
