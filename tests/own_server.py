"""A server of one's own to test on: `IMGSEARCH_TEST_URL=postgresql://postgres@host:5432/postgres make test`.

The role must be a superuser without a password, named postgres: tests log in as other roles too. What tests make
there has a prefix of this process and is dropped at the end; roles of the name imgsearch_… stay, as they do anywhere.
"""

from __future__ import annotations

import os
import uuid
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg.sql import SQL, Identifier

# Read before tests/conftest.py takes a developer's own settings away.
URL = os.environ.get("IMGSEARCH_TEST_URL", "")
PREFIX = f"imgsearch_test_{uuid.uuid4().hex[:8]}_" if URL else ""


def named(name: str) -> str:
    """Return what a database of the tests is called: on a server of one's own no name is in the way of another."""
    return name if name.startswith(PREFIX) and PREFIX else PREFIX + name


def with_database(url: str, name: str) -> str:
    """Return `url` with the name of another database of the tests."""
    parts = urlsplit(url)
    found = urlunsplit(parts._replace(path=f"/{named(name)}"))
    return found if "?" in found else f"{found}?application_name=imgsearch"


def clean() -> None:
    """Drop what this process left on the server of one's own."""
    with psycopg.connect(URL, autocommit=True) as admin:
        left = admin.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (PREFIX,)).fetchall()
        for (name,) in left:
            admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
