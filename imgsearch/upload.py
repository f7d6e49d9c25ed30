"""Add pictures: bytes into the picture store, a row into the caller's transaction, a nudge to the workers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal

from imgsearch import config, picture, sql, storage
from imgsearch.errors import UsageError
from imgsearch.sql.lend import driver
from imgsearch.storage import Store

Outcome = Literal["added", "replaced", "changed", "unchanged"]
Picture = bytes | str | Path | IO[bytes]


@dataclass(frozen=True, kw_only=True)
class Added:
    """What became of one picture. `changed`: only its filters; `unchanged`: nothing was written."""

    image_id: int
    outcome: Outcome

    @property
    def waits(self) -> bool:
        """Whether the picture now waits for a worker."""
        return self.outcome in {"added", "replaced"}


def add(
    connection: Any,
    image: Picture,
    *,
    product_id: str | int,
    tenant_id: str = "default",
    position: int = 0,
    category: str | None = None,
    price: float | None = None,
    in_stock: bool = True,
    attributes: Mapping[str, Any] | None = None,
    store: Store | None = None,
) -> Added:
    """Add one picture of a product inside the caller's transaction; the same key again replaces it.

    `connection` is psycopg's, a SQLAlchemy Session or Connection, or Django's. `image` is bytes, a file, a path, or
    an http(s) address (fetched later, by a worker). Bytes go to the store first: a rolled-back transaction leaves no
    row, and at most an orphan object, which the sweep removes.

    Raises PictureError for what no worker could ever decode, UsageError, StoreError, and the database's typed errors.
    """
    row = {
        "tenant_id": _name("tenant_id", tenant_id),
        "product_id": _name("product_id", product_id),
        "position": position,
        "category": category,
        "price": _price(price),
        "in_stock": in_stock,
        "attributes": json.dumps(dict(attributes or {}), default=str),
    }
    if isinstance(image, str) and image.lower().startswith(("http://", "https://")):
        row |= {"uri": image, "sha256": None}
    else:
        data = read(image)
        picture.inspect(data)
        row |= {"uri": (store or default_store()).put(data), "sha256": picture.digest(data)}
    found = sql.rows(driver(connection), "upload", "add", row)
    return Added(**found[0])


def remove(
    connection: Any,
    *,
    tenant_id: str,
    product_id: str | int | None = None,
    position: int | None = None,
    image_id: int | None = None,
) -> list[int]:
    """Delete a product's pictures, or one of them, inside the caller's transaction; answer their image ids.

    Vector, filter bits and job go with the row; the bytes go with the next sweep of the store, if no row uses them.
    Raises UsageError when neither product_id nor image_id is given (to remove a whole tenant, see `forget`).
    """
    if product_id is None and image_id is None:
        raise UsageError("Say which pictures to remove: a product_id or an image_id.")
    values = {
        "tenant_id": tenant_id,
        "product_id": None if product_id is None else str(product_id),
        "position": position,
        "image_id": image_id,
    }
    return [row["image_id"] for row in sql.rows(driver(connection), "upload", "remove", values)]


def sweep_store(connection: Any, store: Store | None = None) -> storage.store.Swept:
    """Delete bytes that no picture uses and that are older than the store's grace period."""
    lent = driver(connection)

    def used(digests: list[bytes]) -> set[bytes]:
        return {row["sha256"] for row in sql.rows(lent, "upload", "used", {"digests": digests})}

    return storage.sweep(store or default_store(), used)


def read(image: Picture) -> bytes:
    """Answer the bytes of a picture given as bytes, path or open file. Raises UsageError when it cannot be read."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | Path):
        try:
            return Path(image).read_bytes()
        except OSError as error:
            raise UsageError(f"{image} cannot be read: {error.strerror}. Check the path.") from error
    return image.read()


@cache
def open_store(url: str) -> Store:
    """Open the picture store at `url`, once per process."""
    return storage.open_store(url)


def default_store() -> Store:
    """Answer the configured picture store."""
    return open_store(config.load().storage_url)


def _name(what: str, value: str | int) -> str:
    text = str(value)
    if not text or "\0" in text:
        raise UsageError(f"{what} is {text!r}; give every picture a {what} that is not empty.")
    return text


def _price(value: float | None) -> float | None:
    if value is None:
        return None
    try:
        price = float(value)
    except (TypeError, ValueError):
        price = math.nan
    if not 0 <= price < math.inf:
        raise UsageError(f"The price is {value!r}; it must be a number of at least 0, or be left out.")
    return price
