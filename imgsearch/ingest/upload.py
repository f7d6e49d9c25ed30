"""Add images: bytes into the picture store, a row into the caller's transaction; workers are told at its commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import IO, Any, Literal, Required, TypedDict

from psycopg import Connection
from psycopg.sql import Identifier

from imgsearch import storage, values
from imgsearch.db import sql
from imgsearch.db.all_of import all_of
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import DatabaseRights, UsageError
from imgsearch.ingest import columns, files, vectors, wakeup
from imgsearch.ingest import words as product_words
from imgsearch.ingest.picture_store import Deletion, own_store, swept
from imgsearch.ingest.vectors import Vector
from imgsearch.picture import Header, digest, inspect
from imgsearch.settings import Settings, process_settings
from imgsearch.storage import Store


@dataclass(frozen=True)
class Inspected:
    """The bytes of a picture whose header was found good by `inspected()`: `add()` does not look again."""

    data: bytes = field(repr=False)
    header: Header


Outcome = Literal["added", "replaced", "changed", "unchanged"]
Picture = bytes | str | Path | IO[bytes] | Inspected
FORGOTTEN_AT_ONCE = 500


class ImageFields(TypedDict, total=False):
    """What `add()` stores beside a picture, for doors that pass it on."""

    product_id: Required[str | int]
    tenant: str
    position: int
    category: str | None
    categories: Iterable[str] | str | None
    price: float | None
    in_stock: bool
    attributes: Mapping[str, Any] | None
    title: str | None
    words: str | None
    codes: Sequence[str] | str | None
    vector: Vector | None
    space: str | None


class Which(TypedDict, total=False):
    """Which images `remove()` deletes, for doors that pass it on."""

    tenant: str
    product_id: str | int | None
    position: int | None
    image_id: int | None


@dataclass(frozen=True, kw_only=True)
class Added:
    """What became of one image. `changed`: only what stands beside it; `unchanged`: nothing was written.

    waits: for a worker, which a space whose vectors are given has not.
    """

    image_id: int
    outcome: Outcome
    waits: bool


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """What went with a tenant: images, objects in the store, and rows of other tables by name."""

    images: int
    objects: int
    rows: Mapping[str, int]


def add(
    connection: Connectable,
    picture: Picture,
    *,
    product_id: str | int,
    tenant: str = "default",
    position: int = 0,
    category: str | None = None,
    categories: Iterable[str] | str | None = None,
    price: float | None = None,
    in_stock: bool = True,
    attributes: Mapping[str, Any] | None = None,
    title: str | None = None,
    words: str | None = None,
    codes: Sequence[str] | str | None = None,
    vector: Vector | None = None,
    space: str | None = None,
    store: Store | None = None,
    settings: Settings | None = None,
) -> Added:
    """Add one image of a product inside the caller's transaction; the same key again replaces it.

    `connection` is psycopg's, a SQLAlchemy Session or Connection, or Django's. `picture` is bytes, a file, a path, an
    http(s) address (fetched later, by a worker), or what `inspected()` returned. Bytes go to the store first: a
    rolled-back transaction leaves no row, and at most an orphan object, which the sweep removes. `settings` name the
    store and the broker (None: those of the environment); `store` is one that is open already.

    categories: where it has several (at most 100 of 200 characters; one text is parted at bars): the filter `category`
    finds it by each of them.
    title (at most 1,000 characters), words (10,000) and codes (100 of 100: SKU, EAN) are the product's, whichever image
    they come with: None leaves them as they are, empty takes them away. They go with its last image.

    vector is the image's own in `space`, whose vectors are given (None: in the only such space); see docs/models.md.

    Workers are told when the transaction commits; see `imgsearch.ingest.wakeup`.
    Raises PictureError for what no worker could ever decode, UsageError, StoreError, and the database's typed errors.
    """
    lent = driver(connection)
    row = {
        "tenant_id": values.key(tenant, "tenant"),
        "product_id": values.key(product_id, "product_id"),
        "position": values.whole(position, "position", 0, values.POSITION),
        "category": columns.checked_category(category),
        "categories": product_words.checked_categories(categories),
        "price": columns.checked_price(price),
        "in_stock": values.truth(in_stock, "in_stock"),
        "attributes": columns.checked_attributes({} if attributes is None else attributes),
        **product_words.checked(title, words, codes),
        **vectors.bound(vector, space),
    }
    if isinstance(picture, str) and picture.lower().startswith(("http://", "https://")):
        row |= {"uri": picture, "sha256": None}
    else:
        data = inspected(picture).data
        place = own_store(lent, store or default_store(settings))
        row |= {"uri": place.put(data), "sha256": digest(data)}
    found = Added(**sql.rows(lent, "upload", "add", row)[0])
    if found.waits:
        wakeup.notify_after_commit(connection, settings)
    return found


def remove(
    connection: Connectable,
    *,
    tenant: str = "default",
    product_id: str | int | None = None,
    position: int | None = None,
    image_id: int | None = None,
) -> list[int]:
    """Delete a product's images, or one of them, inside the caller's transaction; return their image ids.

    Vector, filter bits and job go with the row; the bytes go with the next sweep of the store, if no row uses them.
    Raises UsageError when neither product_id nor image_id is given (to remove a whole tenant, see `forget`).
    """
    if product_id is None and image_id is None:
        raise UsageError("Say which images to remove: a product_id or an image_id.")
    which = columns.chosen(tenant, product_id, position, image_id)
    return [row["image_id"] for row in sql.rows(driver(connection), "upload", "remove", which)]


def sweep_store(
    connection: Connectable, store: Store | None = None, *, older_than: timedelta = storage.store.GRACE
) -> storage.store.Swept:
    """Delete bytes that no image uses and that were last written before `older_than` ago.

    Raises DatabaseRights for a role that does not see every tenant: what it cannot see would look unused. Raises
    StoreDenied where another database keeps pictures in this store: what only that one uses would look unused, too.
    """
    lent = driver(connection)
    _must_see_all(lent)
    return swept(lent, store or default_store(), older_than)


def forget(connection: Connectable, *, tenant: str, store: Store | None = None) -> Forgotten:
    """Remove everything a tenant has here: rows, vectors, bits, cached questions, keys, images and thumbnails.

    `connection` is in autocommit: rows go first, in small transactions, then the bytes that nobody else uses, so an
    interruption leaves at most bytes for the sweep, and running it again finishes. Stop the tenant's uploads before.
    Two things go later, because they cannot be told from others': bytes of images replaced or removed within the last
    hour (with the next sweep), and what somebody above tenants searched for (the vectors, after 30 days).
    Raises UsageError inside a transaction, DatabaseRights for a role that does not see every tenant; and when all rows
    are gone StoreError, such as StoreDenied where another database keeps pictures in this store.
    """
    lent = driver(connection)
    if not lent.autocommit:
        raise UsageError("Forgetting a tenant commits as it goes; use a connection in autocommit.")
    _must_see_all(lent)
    bytes_of_it = Deletion(lent, store or default_store())
    images = 0
    while rows := sql.rows(lent, "upload", "forget_pictures", {"tenant_id": tenant, "most": FORGOTTEN_AT_ONCE}):
        images += len(rows)
        bytes_of_it.delete(sorted({row["sha256"] for row in rows if row["sha256"]}))
    others: dict[str, int] = {}

    def forget_rows(table: str) -> None:
        others[table] = _forget_rows(lent, table, tenant)

    def forget_graph(row: Mapping[str, Any]) -> None:
        if row["ours"]:  # else an idle worker whose role may drops it: it belongs to nobody now
            sql.run(lent, "maintenance", "drop", names={"index": Identifier("imgsearch", row["name"])})

    tables = [row["name"] for row in sql.rows(lent, "upload", "tables_of_tenants")]
    graphs = sql.rows(lent, "tenant_graph", "names", {"tenant": tenant})
    steps: list[Callable[[], object]] = [partial(forget_rows, table) for table in tables]
    steps += [*(partial(forget_graph, row) for row in graphs), bytes_of_it.tell]
    all_of(steps, lambda step: step())
    return Forgotten(
        images=images, objects=bytes_of_it.objects, rows={name: count for name, count in others.items() if count}
    )


def _forget_rows(lent: Connection[Any], table: str, tenant: str) -> int:
    names = {"table": Identifier("imgsearch", table)}
    return sql.run(lent, "upload", "forget_rows", {"tenant_id": tenant}, names=names).rowcount


def _must_see_all(lent: Connection[Any]) -> None:
    if sql.value(lent, "upload", "is_tenant_restricted"):
        raise DatabaseRights(
            "This role sees one tenant at a time, so it cannot see which stored files are unused. "
            "Connect as the owner or as a member of imgsearch_admin or imgsearch_worker."
        )


def inspected(picture: Picture) -> Inspected:
    """Return the bytes of a picture given as bytes, path or open file, with its header.

    Raises UsageError when it cannot be read, PictureError for what no worker could ever decode.
    """
    if isinstance(picture, Inspected):
        return picture
    data = _read(picture)
    return Inspected(data, inspect(data))


def _read(picture: bytes | str | Path | IO[bytes]) -> bytes:
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    if isinstance(picture, str | Path):
        try:
            return Path(picture).read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a path with a null character, or none that encodes
            why = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"{ascii(str(picture))[:200]} cannot be read: {why}. Check the path.") from error
    return files.read(picture)


@cache
def open_store(url: str) -> Store:
    """Open the picture store at `url`, once per process."""
    return storage.open_store(url)


def default_store(settings: Settings | None = None) -> Store:
    """Return the picture store of `settings`, or of the environment."""
    return open_store((settings or process_settings()).storage_url)
