"""Attach your own tables: images follow their rows, inside its transactions (schema/functions/attach.sql)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from imgsearch import values
from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import UsageError

STEP = 2000  # rows copied per transaction


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """One attached table. `attached_at` is None where it was detached and its images kept.

    `backfilled`: the rows it had before have been copied. `failed`: rows that were written but could not be followed.
    `drift`: how many images are out of step, where asked for.
    """

    relation: str
    pictures: str | None
    mapping: Mapping[str, Any] = field(repr=False)
    prefix: str
    attached_at: datetime | None
    backfilled: bool
    images: int
    failed: int
    drift: int | None = None


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One image out of step: missing, extra or stale, and why; unreadable, with no image: the table cannot be read."""

    problem: str
    tenant_id: str | None
    product_id: str | None
    position: int | None
    cause: str


def attach(  # every argument but `table` is explained together
    connection: Connectable,
    table: str,
    *,
    key: str,
    image: str | Sequence[str],
    tenant: str | None = None,
    category: str | None = None,
    categories: str | None = None,
    price: str | None = None,
    in_stock: str | None = None,
    attributes: Sequence[str] = (),
    base: str | None = None,
    pictures: str | None = None,
    picture_of: str | None = None,
    ordinal: str | None = None,
    main: str | None = None,
    owner: str | None = None,
    fallback: str | None = None,
    follow: Mapping[str, str | None] | None = None,
    prefix: str = "",
    backfill: bool | None = None,
    if_not_exists: bool = False,
    title: str | None = None,
    words: str | None = None,
    codes: str | None = None,
) -> int:
    """Keep images in step with `table` from now on; return the attachment's number.

    Everything but `key` is a column of the table or an SQL expression over one row of it (`"stock > 0"`); an attribute
    made by an expression is named (`"lower(brand) AS brand"`). A value may come out of other tables, by a sub-select in
    brackets; `follow` then says which rows of this table a change there concerns: `{"stock": "product_id"}`, a SELECT
    of keys over `changed`, or None where you call `refresh()`. `image` is text: an address (`store:…`, `https:…`) or a
    path below `base`; several columns are several positions. `categories` is an array, or a SELECT of names: each of
    them is found by `category`. With images in a table of their own: `pictures` names it, `picture_of` its foreign
    key; they stand in the order of `main` (a condition), `ordinal` and their own key. `owner`: the key of the row whose
    product the images are (`"parent_id"`); `fallback`: that of a row whose images this one has while it has none.
    `prefix` stands before the key in `product_id`. `title`, `words` and `codes` (one code, or an array of them) are
    what words find; what is longer than a product's may be is cut. `backfill`: copy the rows that are there in this
    transaction (None: up to 10,000 of them; else see `backfill()`).

    Raises AttachmentError and DatabaseRights, which say what to write instead or what to grant.
    """
    mapping = {name: value for name, value in locals().items() if name not in ("connection", "table")}
    return int(sql.value(driver(connection), "attachment", "attach", arguments(mapping) | _relation(table)))


def attach_query(connection: Connectable, name: str, query: str, **mapping: Any) -> int:
    """Keep images in step with a view or a SELECT, `name` from now on: see `attach()` for the other arguments.

    Nothing tells when a query's rows change: call `refresh()`, or name tables to `follow`. Raises AttachmentError.
    """
    texts = {"name": values.text(name, "name", MOST), "query": values.text(query, "query", MOST)}
    return int(sql.value(driver(connection), "attachment", "attach_query", arguments(mapping) | texts))


MOST = 100_000  # characters of an expression, a query or a key
ARGUMENTS = (
    "key",
    "image",
    "images",
    "tenant",
    "category",
    "categories",
    "price",
    "in_stock",
    "attributes",
    "base",
    "pictures",
    "picture_of",
    "ordinal",
    "main",
    "owner",
    "fallback",
    "follow",
    "prefix",
    "backfill",
    "if_not_exists",
    "title",
    "words",
    "codes",
)


def arguments(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments of attach() as its statement binds them; raises UsageError for one there is not."""
    unknown = sorted(set(mapping) - set(ARGUMENTS))
    if unknown:
        raise UsageError(f"attach has no argument {unknown[0]}. It has: {', '.join(ARGUMENTS)}.")
    image, follow, flag = mapping.get("image"), mapping.get("follow"), mapping.get("if_not_exists", False)
    several = image is not None and not isinstance(image, str)
    bound: dict[str, Any] = {
        name: None if (given := mapping.get(name)) is None else values.text(given, name, MOST)
        for name in (*ARGUMENTS, "prefix")
        if name not in {"image", "images", "attributes", "follow", "backfill", "if_not_exists"}
    }
    backfill = mapping.get("backfill")
    return bound | {
        "prefix": bound["prefix"] or "",
        "image": None if image is None or several else values.text(image, "image", MOST),
        "images": _texts("image", image if several else mapping.get("images")),
        "attributes": _texts("attributes", mapping.get("attributes")) or [],
        "follow": None if follow is None else json.dumps(_follow(follow)),
        "backfill": None if backfill is None else values.truth(backfill, "backfill"),
        "if_not_exists": values.truth(flag, "if_not_exists"),
    }


def _texts(name: str, given: object) -> list[str] | None:
    return None if given is None else [values.text(part, name, MOST) for part in values.several(given, name)]


def _follow(given: object) -> dict[str, str | None]:
    if not isinstance(given, Mapping):
        raise UsageError(f"follow is a mapping of tables to what a change there concerns, not {type(given).__name__}.")
    texts = {values.text(name, "follow", MOST): rows for name, rows in given.items()}
    return {name: None if rows is None else values.text(rows, "follow", MOST) for name, rows in texts.items()}


def _relation(table: object) -> dict[str, str]:
    return {"relation": values.text(table, "table", MOST)}


def detach(connection: Connectable, table: str, *, keep: bool = False, if_exists: bool = False) -> int:
    """Take the triggers off `table` and its images out of the search, or `keep` them; return how many went.

    Raises AttachmentError where the table is not attached, unless `if_exists`.
    """
    flags = {"keep": values.truth(keep, "keep"), "if_exists": values.truth(if_exists, "if_exists")}
    return int(sql.value(driver(connection), "attachment", "detach", _relation(table) | flags))


def backfill(connection: Connectable, table: str, *, size: int = STEP) -> Iterator[int]:
    """Copy the rows `table` had before it was attached, `size` of them per transaction; yield how many so far.

    `connection` is in autocommit. Interrupted at any point, it continues from there when it is called again.
    """
    lent = driver(connection)
    if not lent.autocommit:
        raise UsageError("Backfilling commits as it goes; use a connection in autocommit.")
    total, bound = 0, {**_relation(table), "size": values.whole(size, "size", 1, 2**31 - 1)}
    while True:
        step = sql.rows(lent, "attachment", "step", bound)[0]
        if step["finished"]:
            return
        total += step["copied"]
        yield total


def repair(connection: Connectable, table: str) -> int:
    """Bring the images of an attached table back in step; return how many were written or removed."""
    return int(sql.value(driver(connection), "attachment", "repair", _relation(table)))


def refresh(connection: Connectable, table: str, keys: Sequence[object]) -> int:
    """Write the images of these rows of an attached table or query anew; return how many changed.

    keys: of the rows, at most 100,000; of a key of several columns its parts with "/" between. Raises AttachmentError.
    """
    named = [values.text(str(key), "keys", MOST) for key in values.several(keys, "keys")]
    return int(sql.value(driver(connection), "attachment", "refresh", {**_relation(table), "keys": named}))


def drift(connection: Connectable, table: str) -> list[Drift]:
    """Return the images of an attached table that are out of step, each with its cause; reads all of its rows."""
    return [Drift(**row) for row in sql.rows(driver(connection), "attachment", "drift", _relation(table))]


def attachments(connection: Connectable, *, drift: bool = False) -> list[Attachment]:
    """Return the attached tables; with `drift`, all their rows are read and compared."""
    name = "attachments_with_drift" if drift else "attachments"
    return [Attachment(**row) for row in sql.rows(driver(connection), "attachment", name)]


def rows_of(connection: Connectable, table: str) -> int:
    """Return about how many rows a table has, from its statistics."""
    return int(sql.value(driver(connection), "attachment", "rows", _relation(table)) or 0)
