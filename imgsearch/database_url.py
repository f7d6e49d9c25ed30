"""Addresses of databases: spelt for libpq, refused where it cannot read them, and never repeated in a message."""

from __future__ import annotations

import re

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
            conninfo_to_dict(url)
        except ProgrammingError as error:
            said = _SAYS_NO_VALUE.search(str(error))
            why = f"{said[0]}; " if said else ""
            raise ValueError(
                f"{why}write postgresql://user:password@host:5432/name, with %40 for an @ in the password and %20 for "
                "a space"
            ) from None
    return url
