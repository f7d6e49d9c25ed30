"""Questions (texts and pictures) on their way to a query worker and back, through the table query_vector."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

from psycopg import Connection

from imgsearch.db import sql
from imgsearch.spaces.space import Array, vector_literal

Kind = Literal["text", "picture"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One question: a text or the bytes of a picture."""

    kind: Kind
    key: bytes
    query: str | None = None
    picture: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Cached:
    """What the database knows of a question: `embedding` in pgvector's text form, or None."""

    space_id: int
    dimension: int
    answered: bool
    embedding: str | None
    error_code: str | None
    error: str | None


PUNCTUATION = str.maketrans("", "", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


def canonical(query: str) -> str:
    """Return the text as SigLIP wants it: lower case, no punctuation, single spaces.

    The same as imgsearch_internal.canonical() in SQL.
    """
    return " ".join(query.lower().translate(PUNCTUATION).split())


def of_text(query: str) -> Entry:
    """Return the question for a text; its key is the digest of the canonical text.

    The canonical text is also what is asked, so that database and Python agree on the key whatever the database's
    locale makes of lower().
    """
    wanted = canonical(query)
    return Entry(kind="text", key=sha256(wanted.encode()).digest(), query=wanted)


def of_picture(picture: bytes) -> Entry:
    """Return the question for the bytes of a picture; its key is their digest."""
    return Entry(kind="picture", key=sha256(picture).digest(), picture=picture)


def look_up(connection: Connection[Any], entry: Entry, known_space: int | None = None) -> Cached | None:
    """Return what is known of a question in the searched space; None when there is no space yet."""
    values = {"kind": entry.kind, "key": entry.key, "known_space": known_space}
    row = sql.run(connection, "query_cache", "look_up", values).fetchone()
    return None if row is None else Cached(**row)


def ask(connection: Connection[Any], entry: Entry) -> None:
    """Queue a question for a query worker; takes effect when `connection` commits."""
    sql.run(connection, "query_cache", "ask", {"query": entry.query, "picture": entry.picture})


def claim(connection: Connection[Any], space_id: int, limit: int) -> list[Entry]:
    """Take up to `limit` waiting questions of a space."""
    return [
        Entry(**row) for row in sql.rows(connection, "query_cache", "claim", {"space_id": space_id, "limit": limit})
    ]


def answer(
    connection: Connection[Any],
    space_id: int,
    entry: Entry,
    embedding: Array | None = None,
    *,
    error_code: str | None = None,
    error: str | None = None,
) -> None:
    """Write the vector of a question, or why there is none, and wake whoever waits for it."""
    values = {
        "space_id": space_id,
        "kind": entry.kind,
        "key": entry.key,
        "embedding": None if embedding is None else vector_literal(embedding),
        "error_code": error_code,
        "error": error,
    }
    sql.run(connection, "query_cache", "answer", values)
