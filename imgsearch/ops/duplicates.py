"""Near-duplicates of a whole catalogue, or of one picture: found, kept in `imgsearch.duplicate`, listed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from psycopg import Connection

from imgsearch import values
from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import FilterError, ImgsearchError, UsageError
from imgsearch.ops.twins import WIDEST, Group, Packed, grouped, packed
from imgsearch.picture import DEFAULT_LIMITS, digest
from imgsearch.picture.hashes import SAME_PICTURE, Pdq, of_plane
from imgsearch.picture.pixels import plane
from imgsearch.storage import FetchPolicy, Store, read

BANDS = 16  # of imgsearch_internal.bands()
SIMILARITY = 0.97  # cosine from which on somebody should look
_AT_ONCE = 100

Tier = Literal["certain", "look"]
Mark = tuple[str, int, int, float | None]  # whose, the duplicate, the original, their similarity
Tick = Callable[[str, int, int], None]  # what is done, how much of it, of how much


@dataclass(frozen=True, kw_only=True)
class Twin:
    """A picture that shows what another one shows; turn: how that one was turned to see it, an orientation of Exif."""

    image_id: int
    product_id: str
    position: int
    tier: Tier
    distance: int | None
    turn: int | None
    similarity: float | None


@dataclass(frozen=True, kw_only=True)
class Listed(Twin):
    """The same with what it is a duplicate of, and whose both are."""

    tenant_id: str
    original: int
    original_product: str
    sha256: str
    original_sha256: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was compared and found. unhashed: pictures that have no hash yet, so were left out."""

    pictures: int
    groups: int
    certain: int
    look: int
    unhashed: int


@dataclass(frozen=True)
class Filled:
    """How many pictures have a hash now, and which could not be read, with the reason."""

    done: int
    failed: dict[int, str]


def _quiet(_what: str, _done: int, _all: int) -> None:
    pass


def duplicates_of(
    connection: Connectable, image_id: int, *, tenant: str | None = None, similarity: float = SIMILARITY
) -> list[Twin]:
    """Return the pictures that show what a picture shows: certain ones, then those somebody should look at.

    Raises UnknownImage, FilterError for a similarity outside of 0.5 to 1.
    """
    bound = {
        "image_id": values.whole(image_id, "image_id", -(2**63), 2**63 - 1),
        "tenant": tenant if tenant is None else values.named(tenant, "tenant"),
        "similarity": values.number(similarity, "similarity", -1e300, 1e300, FilterError),
    }
    return [Twin(**row) for row in sql.rows(driver(connection), "duplicates", "of", bound)]


def dismiss(connection: Connectable, image_id: int, duplicate: int, *, tenant: str | None = None) -> None:
    """Say for good that two pictures are not the same: neither is a duplicate of the other any more.

    Raises UnknownImage where one of them is not there, has no hash, or is another tenant's.
    """
    bound = {
        "image_id": values.whole(image_id, "image_id", -(2**63), 2**63 - 1),
        "duplicate": values.whole(duplicate, "duplicate", -(2**63), 2**63 - 1),
        "tenant": tenant if tenant is None else values.named(tenant, "tenant"),
    }
    sql.run(driver(connection), "duplicates", "dismiss", bound)


def duplicates(
    connection: Connectable, *, tenant: str | None = None, tier: Tier | None = None, k: int = 1000
) -> list[Listed]:
    """Return what was found before, group by group."""
    values = {"tenant": tenant, "tier": tier, "most": k}
    return [Listed(**row) for row in sql.rows(driver(connection), "duplicates", "listed", values)]


def fill(
    connection: Connection[Any],
    store: Store,
    *,
    tenant: str | None = None,
    policy: FetchPolicy | None = None,
    threads: int = 2,
    tick: Tick = _quiet,
) -> Filled:
    """Hash the pictures that have no hash yet, from their stored bytes, without a model; may be stopped and resumed."""
    total = int(sql.value(connection, "duplicates", "count_missing", {"tenant": tenant}))
    done, after, failed = 0, 0, dict[int, str]()
    with ThreadPoolExecutor(threads, thread_name_prefix="hashing") as pool:
        while rows := _missing(connection, tenant, after):
            after = rows[-1]["image_id"]
            hashed = list(pool.map(lambda row: _hashed(row, store, policy or FetchPolicy()), rows))
            failed |= {row["image_id"]: one for row, one in zip(rows, hashed, strict=True) if isinstance(one, str)}
            good = [(row, one) for row, one in zip(rows, hashed, strict=True) if isinstance(one, Pdq)]
            done += _stored(connection, good)
            tick("hashing", done + len(failed), total)
    return Filled(done, failed)


def find(
    connection: Connection[Any],
    *,
    tenant: str | None = None,
    look: bool = False,
    similarity: float = SIMILARITY,
    tick: Tick = _quiet,
) -> Found:
    """Find the duplicates of a tenant, or of each, and keep them in place of those found before.

    look: also what somebody should look at; that asks the vectors of every picture once, some milliseconds each.
    Raises UsageError inside a transaction: it makes one of its own for each of both.
    """
    if not connection.autocommit:
        raise UsageError("Duplicates are found in transactions of their own; use a connection in autocommit.")
    with connection.transaction():
        groups = _groups(connection, tenant, tick)
        certain = [
            (owner, member, group.medoid, None)
            for owner, found in groups.items()
            for group in found
            for member in group.members
            if member != group.medoid
        ]
        sql.run(connection, "duplicates", "clear", _columns(certain))
        _write(connection, "certain", certain)
    seen = _look(connection, tenant, similarity, tick) if look else 0
    return Found(
        pictures=int(sql.value(connection, "duplicates", "hashed", {"tenant": tenant})),
        groups=sum(len(found) for found in groups.values()),
        certain=len(certain),
        look=seen,
        unhashed=int(sql.value(connection, "duplicates", "count_missing", {"tenant": tenant})),
    )


def _groups(connection: Connection[Any], tenant: str | None, tick: Tick) -> dict[str, list[Group]]:
    sql.run(connection, "duplicates", "remember", {"tenant": tenant})
    sql.run(connection, "duplicates", "gather", {"tenant": tenant})
    pairs: dict[str, dict[tuple[int, int], int]] = defaultdict(dict)
    for band in range(BANDS):
        values = {"band": band, "most": SAME_PICTURE}
        for row in sql.rows(connection, "duplicates", "near", values):
            pairs[row["tenant_id"]][row["one"], row["other"]] = row["distance"]
        tick("comparing", band + 1, BANDS)
    _keep_agreeing(connection, pairs)
    same: dict[str, dict[int, list[int]]] = defaultdict(dict)
    for row in sql.rows(connection, "duplicates", "same", {"tenant": tenant}):
        same[row["tenant_id"]][row["images"][0]] = row["images"]
    hashes = _hashes(connection, pairs)
    return {owner: _grouped(pairs[owner], hashes[owner], same[owner]) for owner in sorted({*pairs, *same})}


def _keep_agreeing(connection: Connection[Any], pairs: dict[str, dict[tuple[int, int], int]]) -> None:
    """Leave of near pairs those that are the same by a second measure, too."""
    near = [(owner, *pair) for owner, of_tenant in pairs.items() for pair in of_tenant]
    columns = {name: [pair[n] for pair in near] for n, name in enumerate(("tenants", "ones", "others"))}
    rows = sql.rows(connection, "duplicates", "agreeing", {**columns, "most": SAME_PICTURE})
    agreeing = {(row["tenant_id"], row["one"], row["other"]) for row in rows}
    for owner, of_tenant in pairs.items():
        pairs[owner] = {pair: bits for pair, bits in of_tenant.items() if (owner, *pair) in agreeing}


def _hashes(
    connection: Connection[Any], pairs: Mapping[str, Iterable[tuple[int, int]]]
) -> dict[str, dict[int, Packed]]:
    """Return the hashes of the pictures in pairs, by tenant: read at once, however many tenants there are."""
    wanted = sorted({(owner, key) for owner, near in pairs.items() for both in near for key in both})
    values = {"tenants": [owner for owner, _ in wanted], "images": [key for _, key in wanted]}
    hashes: dict[str, dict[int, Packed]] = defaultdict(dict)
    for row in sql.rows(connection, "duplicates", "turns", values):
        hashes[row["tenant_id"]][row["image_id"]] = packed(row["bits"])
    return hashes


def _grouped(
    pairs: Mapping[tuple[int, int], int], hashes: Mapping[int, Packed], same: Mapping[int, list[int]]
) -> list[Group]:
    """Group what is near, then put those of the very same hash beside the one that stood for them."""
    found = grouped(((distance, one, other) for (one, other), distance in pairs.items()), hashes)
    taken = {member for group in found for member in group.members}
    found = [
        Group(group.medoid, tuple(sorted(all_ for one in group.members for all_ in same.get(one, [one]))))
        for group in found
    ]
    return found + [Group(first, tuple(ids)) for first, ids in sorted(same.items()) if first not in taken]


def _look(connection: Connection[Any], tenant: str | None, similarity: float, tick: Tick) -> int:
    total = int(sql.value(connection, "duplicates", "hashed", {"tenant": tenant}))
    done, found, after = 0, 0, {"after_tenant": "", "after_image": 0}
    while rows := sql.rows(connection, "duplicates", "images", {"tenant": tenant, "most": _AT_ONCE, **after}):
        after = {"after_tenant": rows[-1]["tenant_id"], "after_image": rows[-1]["image_id"]}
        values = {"tenants": [row["tenant_id"] for row in rows], "images": [row["image_id"] for row in rows]}
        seen = sql.rows(connection, "duplicates", "looked", {**values, "similarity": similarity})
        with connection.transaction():  # whoever ends this leaves of each picture what is new, or what was
            sql.run(connection, "duplicates", "clear_looked", values)
            _write(
                connection, "look", [(row["tenant_id"], row["other"], row["one"], row["similarity"]) for row in seen]
            )
        found, done = found + len(seen), done + len(rows)
        tick("looking", done, total)
    return found


def _write(connection: Connection[Any], tier: Tier, rows: Iterable[Mark]) -> None:
    listed = list(rows)
    if listed:
        more = {"tiers": [tier] * len(listed), "similarities": [row[3] for row in listed], "widest": WIDEST}
        sql.run(connection, "duplicates", "write", {**_columns(listed), **more})


def _columns(rows: Sequence[Mark]) -> dict[str, list[Any]]:
    return {name: [row[n] for row in rows] for n, name in enumerate(("tenants", "images", "originals"))}


def _missing(connection: Connection[Any], tenant: str | None, after: int) -> list[dict[str, Any]]:
    values = {"tenant": tenant, "after_image": after, "most": _AT_ONCE}
    return list(sql.rows(connection, "duplicates", "missing", values))


def _hashed(row: dict[str, Any], store: Store, policy: FetchPolicy) -> Pdq | str:
    try:
        data = read(row["uri"], store, policy, DEFAULT_LIMITS.max_bytes).data
        if digest(data) != row["sha256"]:
            return "its bytes are not the ones that were embedded"
        return of_plane(plane(data))
    except ImgsearchError as error:
        return str(error)


def _stored(connection: Connection[Any], good: Sequence[tuple[dict[str, Any], Pdq]]) -> int:
    values = {
        "tenants": [row["tenant_id"] for row, _ in good],
        "images": [row["image_id"] for row, _ in good],
        "digests": [row["sha256"] for row, _ in good],
        "pdqs": [one.text for _, one in good],
        "qualities": [one.quality for _, one in good],
    }
    return int(sql.value(connection, "duplicates", "store", values))
