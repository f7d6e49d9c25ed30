"""Keys of the HTTP API: made, checked, listed and revoked. Each reaches one tenant and has one scope."""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Literal, cast

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import UsageError

Scope = Literal["search", "write", "admin"]
SCOPES: tuple[Scope, ...] = ("search", "write", "admin")  # each may do what those before it may
_KEY = re.compile(r"imgs_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NOBODY = bytes(32)


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a valid key grants."""

    handle: str
    tenant_id: str
    scope: Scope
    name: str


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A key as a list shows it: never the secret."""

    handle: str
    tenant_id: str
    scope: Scope
    name: str
    created_at: datetime
    revoked_at: datetime | None


def create(connection: Connectable, *, tenant: str, scope: str, name: str = "") -> str:
    """Create a key and return it; this is the only time it is shown. Raises UsageError."""
    if scope not in SCOPES:
        raise UsageError(f"There is no scope {scope!r}; it is search, write or admin.")
    if not tenant or "\0" in tenant:
        raise UsageError("Every key reaches one tenant; name it.")
    handle, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    values = {"handle": handle, "tenant_id": tenant, "scope": scope, "name": name, "digest": _digest(secret)}
    sql.run(driver(connection), "key", "create", values)
    return f"imgs_{handle}_{secret}"


def is_well_formed(key: str) -> bool:
    """Return whether a text could be a key at all; nothing is looked up."""
    return _KEY.fullmatch(key) is not None


def check(connection: Connectable, key: str) -> Grant | None:
    """Return what a key grants, None for one that does not work; takes the same time for every wrong secret."""
    parts = _KEY.fullmatch(key)
    handle, secret = parts.groups() if parts else ("", "")
    row = sql.run(driver(connection), "key", "find", {"handle": handle}).fetchone()
    good = hmac.compare_digest(_digest(secret), row["digest"] if row else _NOBODY)
    if not row or not good:
        return None
    return Grant(handle=handle, tenant_id=row["tenant_id"], scope=cast("Scope", row["scope"]), name=row["name"])


def listed(connection: Connectable, tenant: str | None = None) -> list[Listed]:
    """Return the keys (of one tenant), the newest last."""
    return [Listed(**row) for row in sql.rows(driver(connection), "key", "all", {"tenant": tenant})]


def revoke(connection: Connectable, handle: str) -> bool:
    """Revoke a key, named by its handle or by itself; return whether there is such a key."""
    parts = _KEY.fullmatch(handle)
    named = parts[1] if parts else handle.removeprefix("imgs_")
    return sql.run(driver(connection), "key", "revoke", {"handle": named}).fetchone() is not None


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
