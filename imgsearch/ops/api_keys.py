"""Keys of the HTTP API: made, checked, rotated, listed and revoked. Each reaches one tenant and has one scope.

A key with filters may stand in a browser: it searches within them, and nothing that is asked widens them.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Literal, cast

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import KeyEnded, UnknownKey, UsageError
from imgsearch.retrieval import limits
from imgsearch.retrieval.filters import Filters

Scope = Literal["search", "write", "admin"]
SCOPES: tuple[Scope, ...] = ("search", "write", "admin")  # each may do what those before it may
GRACE = timedelta(hours=24)  # how long a replaced key works beside the new one
_KEY = re.compile(r"imgs_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a valid key grants."""

    handle: str
    tenant_id: str
    scope: Scope
    name: str
    filters: Filters | None = None


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A key as a list shows it: never the secret.

    state: active, replaced (works until `expires_at` beside the one that replaced it), expired or revoked.
    """

    handle: str
    tenant_id: str
    scope: Scope
    name: str
    state: Literal["active", "replaced", "expired", "revoked"]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    replaced_by: str | None
    filters: Mapping[str, Any] | None

    @property
    def works(self) -> bool:
        return self.state in {"active", "replaced"}


def create(
    connection: Connectable,
    *,
    tenant: str,
    scope: str,
    name: str = "",
    expires_at: datetime | None = None,
    filters: Filters | None = None,
) -> str:
    """Create a key and return it; this is the only time it is shown. Without `expires_at` it never expires.

    filters: what every search with it is kept within; for keys that stand in a browser, of scope search alone.
    Raises UsageError, FilterError.
    """
    if scope not in SCOPES:
        raise UsageError(f"There is no scope {scope!r}; it is search, write or admin.")
    if not tenant or "\0" in tenant:
        raise UsageError("Every key reaches one tenant; name it.")
    within = None
    if filters is not None:
        if scope != "search":
            raise UsageError("Filters keep searches within bounds: a key that has some has scope search.")
        within = limits.checked(filters).as_json()
        sql.run(driver(connection), "key", "try_filters", {"filters": within})
    handle, secret = _drawn()
    values = {"handle": handle, "tenant_id": tenant, "scope": scope, "name": name, "digest": digest_of(secret)}
    sql.run(driver(connection), "key", "create", {**values, "expires_at": _later(expires_at), "filters": within})
    return f"imgs_{handle}_{secret}"


def rotate(
    connection: Connectable, handle: str, *, grace: timedelta = GRACE, expires_at: datetime | None = None
) -> str:
    """Create a key in the place of another and return it: same tenant, scope and name, and as long a life.

    The old one works until the `grace` is over, and browsers that signed in with it as long. Raises UnknownKey,
    KeyEnded for one that was revoked, replaced or has expired, UsageError.
    """
    if grace < timedelta():
        raise UsageError("A grace is a time to come; write 24h, or 0h to end the old key now.")
    old, (new, secret) = handle_of(handle), _drawn()
    values = {"handle": old, "new_handle": new, "digest": digest_of(secret), "grace": grace}
    row = sql.run(driver(connection), "key", "rotate", {**values, "expires_at": _later(expires_at)}).fetchone()
    if row is None:
        raise _not_rotated(connection, old)
    return f"imgs_{new}_{secret}"


def parts(key: str) -> tuple[str, bytes] | None:
    """Return handle and digest of a text that could be a key, None for any other; nothing is looked up."""
    found = _KEY.fullmatch(key)
    return (found[1], digest_of(found[2])) if found else None


def check(connection: Connectable, key: str) -> Grant | None:
    """Return what a key grants, None for one that is unknown or was revoked. Raises KeyEnded for one that expired.

    The database compares digests: how long that takes tells nothing of a secret that nobody can choose the digest of.
    """
    asked = parts(key)
    if asked is None:
        return None
    handle, digest = asked
    row = sql.run(driver(connection), "key", "check", {"handle": handle, "digest": digest}).fetchone()
    if row is None:
        return None
    if ended := row["expired_at"]:
        raise KeyEnded(f"This API key expired at {ended.astimezone(UTC):%Y-%m-%d %H:%M} UTC; ask for a new one.")
    return grant(handle=handle, **{name: row[name] for name in ("tenant_id", "scope", "name", "filters")})


def grant(*, handle: str, tenant_id: str, scope: str, name: str, filters: Mapping[str, Any] | None) -> Grant:
    """Return a row of the database as what it grants."""
    within = None if filters is None else Filters.from_mapping(filters)
    return Grant(handle=handle, tenant_id=tenant_id, scope=cast("Scope", scope), name=name, filters=within)


def note_use(connection: Connectable, handle: str, session: bytes | None = None) -> None:
    """Write down that a key was used, at most once a minute; where the database only reads, nothing happens."""
    sql.run(driver(connection), "key", "note_use", {"handle": handle, "session": session})


def listed(connection: Connectable, tenant: str | None = None, handle: str | None = None) -> list[Listed]:
    """Return the keys (of one tenant, or this one), the newest last."""
    return [Listed(**row) for row in sql.rows(driver(connection), "key", "all", {"tenant": tenant, "handle": handle})]


def revoke(connection: Connectable, handle: str) -> bool:
    """Revoke a key, named by its handle or by itself; return whether there is such a key."""
    return sql.run(driver(connection), "key", "revoke", {"handle": handle_of(handle)}).fetchone() is not None


def handle_of(named: str) -> str:
    """Return the handle of a key that is named by its handle or by itself."""
    found = _KEY.fullmatch(named)
    return found[1] if found else named.removeprefix("imgs_")


def digest_of(secret: str) -> bytes:
    """Return what is kept of a secret."""
    return sha256(secret.encode()).digest()


def _drawn() -> tuple[str, str]:
    return secrets.token_hex(6), secrets.token_urlsafe(32)


def _later(moment: datetime | None) -> datetime | None:
    if moment is not None and moment.tzinfo is None:
        raise UsageError(f"{moment} has no time zone; write it with one, as datetime.now(UTC) has.")
    if moment is not None and moment <= datetime.now(UTC):
        raise UsageError(f"{moment:%Y-%m-%d %H:%M %Z} has passed; a key expires at a time to come.")
    return moment


def _not_rotated(connection: Connectable, handle: str) -> UsageError:
    for key in listed(connection, handle=handle):
        if key.state == "replaced":
            return KeyEnded(f"Key {handle} was replaced by {key.replaced_by} already; rotate that one.")
        return KeyEnded(f"Key {handle} is {key.state}; make a new one with `imgsearch key create`.")
    return UnknownKey(f"There is no key {handle!r}; see `imgsearch key list`.")
