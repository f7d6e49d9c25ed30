"""Browsers signed in to the page: each has a random token, which is worth what the key that signed in is worth."""

from __future__ import annotations

import re
import secrets
from hashlib import sha256

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.ops import api_keys
from imgsearch.ops.api_keys import Grant

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def begin(connection: Connectable, key: str) -> str | None:
    """Begin a session with a key and return its token, shown this once; None for a key that does not work."""
    asked, token = api_keys.parts(key), secrets.token_urlsafe(32)
    if asked is None:
        return None
    values = {"handle": asked[0], "digest": asked[1], "session": digest_of(token)}
    return token if sql.value(driver(connection), "page_session", "begin", values) else None


def is_well_formed(token: str) -> bool:
    """Return whether a text could be a token at all; nothing is looked up."""
    return _TOKEN.fullmatch(token) is not None


def find(connection: Connectable, token: str) -> Grant | None:
    """Return what a session grants; None when it ended, or its key did."""
    if not is_well_formed(token):
        return None
    row = sql.run(driver(connection), "page_session", "find", {"session": digest_of(token)}).fetchone()
    return None if row is None else api_keys.grant(**row)


def end(connection: Connectable, token: str) -> bool:
    """End a session; return whether there was one."""
    return bool(sql.value(driver(connection), "page_session", "end", {"session": digest_of(token)}))


def sweep(connection: Connectable) -> int:
    """Delete sessions that are no longer good; return how many."""
    return int(sql.value(driver(connection), "page_session", "sweep"))


def digest_of(token: str) -> bytes:
    """Return what is kept of a token."""
    return sha256(token.encode()).digest()
