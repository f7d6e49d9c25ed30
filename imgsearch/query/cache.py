"""Questions (texts and pictures) on their way to a query worker and back, through the table query_vector.

Each tenant has entries of its own, also for the same words: whether they are known must not tell what others ask. Whose
they are is a setting of the connection (imgsearch.tenant), as it is for the walls around pictures.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from string import ascii_lowercase, ascii_uppercase
from typing import Any, Literal

from psycopg import Connection

from imgsearch.db import sql
from imgsearch.picture.region import Region
from imgsearch.query import letters
from imgsearch.spaces.space import Array, vector_literal

Kind = Literal["text", "picture"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One question: a text, the bytes of a picture, or a region of an image here (`query` is its id then).

    A picture's key is the digest of its bytes, and behind it its region, if only that is meant. tenant_id: who asked,
    of what a worker has claimed.
    """

    kind: Kind
    key: bytes
    query: str | None = None
    picture: bytes | None = None
    tenant_id: str = ""

    @property
    def region(self) -> Region | None:
        """What of the picture is meant; None: all of it."""
        return Region.read(self.key[DIGEST:].decode("ascii")) if len(self.key) > DIGEST else None

    @property
    def image_id(self) -> int | None:
        """The image here whose region is meant."""
        return int(self.query) if self.kind == "picture" and self.query else None


@dataclass(frozen=True, kw_only=True)
class Cached:
    """What the database knows of `tenant`'s question: `embedding` in pgvector's text form, or None.

    `ticket` is what a listener hears when it is answered.
    """

    tenant: str
    ticket: str | None
    space_id: int
    dimension: int
    reads_texts: bool
    given: bool  # its vectors are brought along: nobody is asked there
    answered: bool
    embedding: str | None
    error_code: str | None
    error: str | None
    tokens: int | None = None
    tokens_read: int | None = None
    boxes: list[list[float]] | None = None  # of a picture: parts that may be meant

    @property
    def parts(self) -> tuple[tuple[float, ...], ...]:
        """The boxes, as they are given on."""
        return tuple(tuple(round(number, 4) for number in box) for box in self.boxes or ())

    @property
    def truncated(self) -> str | None:
        """What to say where the model did not read the whole text."""
        if self.tokens is None or self.tokens_read is None:
            return None
        return f"Only the first {self.tokens_read} of {self.tokens} tokens of the text were read."


DIGEST = 32  # bytes
_SMALL = str.maketrans(letters.CAPITALS + ascii_uppercase, letters.SMALL + ascii_lowercase)
_BLANKS = re.compile("[\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_PERCENT = re.compile(r"(?<=[0-9]) (?=%(?![^ !-/:-@\[-`{-~]))")  # 50 % is 50%
_BETWEEN_DIGITS = re.compile(r"(?<=[0-9])[!-/:-@\[-`{-~]+(?=[0-9])")
_SIGNS = re.compile(
    r"""["!&'()*,/:;=?@\[\\\]^_`{|}~]"""
    r"|[+%](?=[^ !-/:-@\[-`{-~])|(?<![^ !-*,-/:-@\[-`{-~])\+|(?<![^ !-/:-@\[-`{-~])%"
    r"|(?<=[^ !-/:-@\[-`{-~])#(?=[^ !-/:-@\[-`{-~])|(?<=[!-/:-@\[-`{-~])#|(?<![^ ])#(?![0-9])"
    r"|(?<![0-9])\$(?![0-9])|(?<=[^ ])[-<>]|[-<>](?![.]?[0-9])|(?<=[^ <>-])[.]|[.](?![0-9])"
)


def canonical(query: str) -> str:
    """Return the text as SigLIP wants it: small letters, single blanks, no signs but those that carry meaning.

    A sign between two digits becomes a blank: 4.5 is not 45. Kept are + and % behind a word (C++, 50%), # behind one or
    before a number (C#, #1), $ at a number, and - . < > before a number at the beginning of a word (-5, .5).
    The same as imgsearch_internal.canonical() in SQL.
    """
    text, before = _composed(query), ""
    while text != before:  # a sign that goes may leave another one where it means nothing
        before = text
        text = _composed(_SIGNS.sub("", _BETWEEN_DIGITS.sub(" ", _PERCENT.sub("", text))))
    return text


def _composed(text: str) -> str:
    return _BLANKS.sub(" ", unicodedata.normalize("NFC", text).translate(_SMALL)).strip(" ")


def of_text(query: str) -> Entry:
    """Return the question for a text; its key is the digest of the canonical text.

    The canonical text is also what is asked, so that database and Python agree on the key whatever the database's
    locale makes of lower().
    """
    wanted = canonical(query)
    return Entry(kind="text", key=sha256(wanted.encode()).digest(), query=wanted)


def of_picture(picture: bytes, region: Region | None = None) -> Entry:
    """Return the question for the bytes of a picture, or for a region of it."""
    return Entry(kind="picture", key=key_of(sha256(picture).digest(), region), picture=picture)


def of_image(image_id: int, digest: bytes, region: Region) -> Entry:
    """Return the question for a region of an image here, whose bytes have this digest."""
    return Entry(kind="picture", key=key_of(digest, region), query=str(image_id))


def key_of(digest: bytes, region: Region | None) -> bytes:
    """Return the key of a picture's question: the same for the same bytes, whoever has them."""
    return digest + (str(region).encode() if region else b"")


def look_up(
    connection: Connection[Any], entry: Entry, known: Mapping[str, int] | None = None, space: int | None = None
) -> Cached | None:
    """Return what the connection's tenant knows of a question in a space, the searched one unless another is given.

    None when there is no such space yet. `known` are the spaces of vectors that the caller has already, by tenant: such
    a vector is not sent again.
    """
    values = {"kind": entry.kind, "key": entry.key, "known": json.dumps(known or {}), "space": space}
    row = sql.run(connection, "query_cache", "look_up", values).fetchone()
    return None if row is None else Cached(**row)


def speak_for(connection: Connection[Any], tenant: str) -> None:
    """Ask as `tenant` until the transaction ends; "" means above tenants."""
    sql.run(connection, "query_cache", "speak_for", {"tenant": tenant})


def ask(connection: Connection[Any], entry: Entry, space: int | None = None) -> Entry:
    """Queue a question of the connection's tenant for a query worker of a space; takes effect at the commit.

    Return it under the key that the database gave it: its Unicode may know letters that Python's does not.
    Raises DatabaseRights where the role is limited to one tenant and none is set.
    """
    stored = entry.image_id
    values = {
        "query": None if stored is not None else entry.query,
        "picture": entry.picture,
        "space": space,
        "region": str(entry.region) if entry.region and stored is None else None,
        "key": entry.key if stored is not None else None,
        "image_id": stored,
    }
    return replace(entry, key=sql.rows(connection, "query_cache", "ask", values)[0]["key"])


def claim(connection: Connection[Any], space_id: int, limit: int) -> list[Entry]:
    """Take up to `limit` waiting questions of a space; what several tenants ask is one question."""
    rows = sql.rows(connection, "query_cache", "claim", {"space_id": space_id, "limit": limit})
    entries = (Entry(**row) for row in rows)
    # An image here is read as its tenant's: what is wrong with the one's is nothing to the other.
    return list({(one.kind, one.key, one.image_id and one.tenant_id): one for one in entries}.values())


def place(connection: Connection[Any], entry: Entry) -> str | None:
    """Return the address of the image that a question is about, None where whoever asked has it no more."""
    values = {"image_id": entry.image_id, "digest": entry.key[:DIGEST], "tenant": entry.tenant_id}
    rows = sql.rows(connection, "query_cache", "place", values)
    return str(rows[0]["uri"]) if rows else None


def answer(
    connection: Connection[Any],
    space_id: int,
    entry: Entry,
    embedding: Array | None = None,
    *,
    error_code: str | None = None,
    error: str | None = None,
    tokens: tuple[int, int] | None = None,
    tenant: str | None = None,
    boxes: Sequence[Sequence[float]] | None = None,
) -> None:
    """Write the vector of a question, or why there is none, for every tenant that waits for it, and wake them.

    tenant: for this one alone. boxes: parts of the picture that may be meant, in shares. `tokens`: how many the text
    has, and how many of them the model read.
    """
    cut = tokens is not None and tokens[1] < tokens[0]
    values = {
        "space_id": space_id,
        "kind": entry.kind,
        "key": entry.key,
        "embedding": None if embedding is None else vector_literal(embedding),
        "error_code": error_code,
        "error": error,
        "tenant": tenant,
        "boxes": None if boxes is None else [[float(number) for number in box] for box in boxes],
        "tokens": tokens[0] if tokens and cut else None,
        "tokens_read": tokens[1] if tokens and cut else None,
    }
    sql.run(connection, "query_cache", "answer", values)
