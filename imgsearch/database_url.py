"""Addresses of databases: spelt for libpq, refused where it cannot read them, and never repeated in a message."""

from __future__ import annotations

import re
from collections.abc import Mapping

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SAYS_NO_VALUE = re.compile(r'invalid (?:URI query parameter|connection option)[: ]+"[A-Za-z0-9_]{1,30}"')


def libpq_url(url: str) -> str:
    """Return `url` in the spelling libpq understands (`postgresql+psycopg://` and `postgres://` are not).

    Raises ValueError for what libpq cannot read. Its own words quote what they are about, passwords as well.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme.split("+")[0] in {"postgres", "postgresql"}:
        url = f"postgresql://{rest}"
    if url:
        from psycopg import ProgrammingError  # here: not all who read settings need a driver
        from psycopg.conninfo import conninfo_to_dict

        try:
            parts = conninfo_to_dict(url)
        except ProgrammingError as error:
            said = _SAYS_NO_VALUE.search(str(error))
            why = f"{said[0]}; " if said else ""
            raise ValueError(
                f"{why}write postgresql://user:password@host:5432/name, with %40 for an @ in the password and %20 for "
                "a space"
            ) from None
        _check(url, parts)
    return url


def _check(url: str, parts: Mapping[str, object]) -> None:
    """Raise ValueError for what libpq finds out only when it connects, and quotes then."""
    ports = str(parts.get("port") or "").split(",")
    beyond = url.partition("://")[2].partition("?")[0].partition("/")[2] if "://" in url else ""
    if "@" in beyond or not all(port == "" or (port.isascii() and port.isdecimal()) for port in ports):
        raise ValueError(
            "write postgresql://user:password@host:5432/name, with %2F for a / and %40 for an @ in the password"
        )
    if str(parts.get("sslmode") or "prefer") not in SSL_MODES:
        raise ValueError(f"sslmode is one of {', '.join(SSL_MODES)}")
