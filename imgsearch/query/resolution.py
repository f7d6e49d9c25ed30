"""Anything → vector: a text, a picture, an image already here, or a vector.

Resolution happens before the search statement, never inside it, so that an unknown text cannot abort the caller's
transaction. An answer comes from this process's memory, from `query_vector`, or from a query worker that is asked
through the database and woken by NOTIFY (and by a Celery nudge, where a broker is given). Memory and table are the
asking tenant's own, so neither `source` nor time tells what another tenant asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import psycopg

from imgsearch import picture, values
from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.db.run_blocking import run_blocking
from imgsearch.errors import (
    NoSpace,
    QueryError,
    RegionError,
    SpaceMismatch,
    TextsNotUnderstood,
    UnknownImage,
)
from imgsearch.picture.region import Region
from imgsearch.query import asking, cache, memory
from imgsearch.query.cache import Entry
from imgsearch.query.combine import combine
from imgsearch.query.memory import Kept, Key
from imgsearch.query.question import Crop, ImageId, ProductId, Query, Resolved, Source, Thing, cropped
from imgsearch.query.vector import checked
from imgsearch.spaces import space as spaces

MAX_TEXT = 2000  # characters; SigLIP reads 64 tokens, so more is a mistake rather than a question
NOBODY = (
    "The vectors of this space are brought along, so nobody makes one of a question; ask with a vector, "
    "an image or a product that is here, or by words alone (look_weight 0)."
)


@dataclass(frozen=True)
class Question:
    """A text or a picture that no worker has embedded yet, and where it is to be asked."""

    entry: Entry
    key: Key
    password: str = field(repr=False)
    began: float  # time.perf_counter()
    searched: int  # the space that is searched where it came up
    words: str | None = None  # of a text, as it was asked


def resolve(
    connection: Connectable,
    query: Query,
    *,
    timeout: float = 10,
    tenant: str | None = None,
    notify: Callable[[], Any] | None = None,
    space: int | None = None,
    primary: str | None = None,
    region: Sequence[float] | Region | None = None,
) -> Resolved:
    """Return the vector of a query.

    A str is a text; bytes and Path are a picture; ImageId and ProductId an image and a product already here (of
    `tenant`, if given), the latter by the mean of its pictures; a sequence of numbers a vector of the active space.
    Several are a list of (thing, weight): above 0 to be near to, below 0 "not this" (see `imgsearch.query.combine`).
    `timeout` in seconds bounds the wait for a query worker; `notify` wakes one. Reads on the caller's connection, as
    the tenant that is set there (imgsearch.tenant; none: above tenants); a question is asked on a connection of its
    own, which commits at once: at `primary` (None: where this process's settings say) or here. `space`: a text or a
    picture in this space, not the searched one. `region`: only this part of the picture is meant, (x, y, w, h) in
    shares of its sides or in pixels; among several, write `Crop`.

    Raises QueryError, RegionError, VectorError, UnknownImage, TextsNotUnderstood, PictureError, NoSpace, QueryTimeout,
    SpaceChanged, ReadOnlyDatabase.
    """
    query = cropped(query, region)
    timeout = values.number(timeout, "timeout", 0, 1e9, QueryError)
    tenant = tenant if tenant is None else values.named(tenant, "tenant", QueryError)
    space = space if space is None else values.whole(space, "space", 1, 2**31 - 1, QueryError)
    if isinstance(query, list | tuple) and query and isinstance(query[0], tuple):
        if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in query):
            raise QueryError("Several examples are a list of (thing, weight), each of them.")
        several = cast("Sequence[tuple[Thing, float]]", query)
        asked = [
            (_one(connection, thing, timeout, tenant, notify, space, primary), weight) for thing, weight in several
        ]
        return combine(connection, asked)
    return _one(connection, cast("Thing", query), timeout, tenant, notify, space, primary)


def _one(
    connection: Connectable,
    query: Thing,
    timeout: float,
    tenant: str | None,
    notify: Callable[[], Any] | None,
    space: int | None,
    primary: str | None,
) -> Resolved:
    found = look_up(connection, query, tenant=tenant, space=space)
    if isinstance(found, Resolved):
        return found
    # The caller's transaction must not be committed, nor its event loop be held up.
    return run_blocking(driver(connection), lambda lent: ask(found, timeout, notify, primary, lent))


def look_up(
    connection: Connectable, query: Thing, *, tenant: str | None = None, space: int | None = None
) -> Resolved | Question:
    """Return the vector of a query, or the question that a query worker has to answer first; waits for nobody.

    Raises what `resolve` raises but QueryTimeout.
    """
    began = time.perf_counter()
    if isinstance(query, Resolved):
        if space not in (None, query.space_id):
            raise SpaceMismatch(f"The query is a vector of space {query.space_id}, not of {space}; resolve it there.")
        return query
    lent = driver(connection)
    if isinstance(query, ImageId):
        bound = {"image_id": query.image_id, "tenant": tenant, "space": space}
        found = sql.rows(lent, "query", "vector_of" if space is None else "vector_in", bound)
        if not found:
            raise UnknownImage(f"Image {query.image_id} does not exist or has no vector yet; look at imgsearch.status.")
        found_as = _resolved(found[0]["space_id"], found[0]["embedding"], "image", "image", began)
        return replace(found_as, image_id=query.image_id)
    if isinstance(query, ProductId):
        return _of_product(lent, query, query.tenant or tenant, space, began)
    if isinstance(query, str | bytes | Path | Crop):
        entry = _entry(query) if not isinstance(query, Crop) else _entry_of_crop(lent, query, tenant)
        known = _known(lent, entry, tenant or "", space, began)
        words = query if isinstance(query, str) else None
        if isinstance(known, Question):
            return replace(known, words=words)
        return replace(known, words=words, key=entry.key.hex() if words is None else cache.canonical(words))
    meant = spaces.require(lent) if space is None else spaces.named(lent, space)
    return _resolved(meant.space_id, checked(query, meant.dimension), "given", "vector", began)


def remembered(database: str, text: str, tenant: str | None) -> Resolved | None:
    """Return the vector of a text out of this process's memory alone; None where that does not hold it.

    database: as `database_of` a connection names it. For whoever asks as `tenant` (imgsearch.tenant; None: above
    tenants) and searches with it at once: a search refuses a vector of a space that is searched no more
    (SpaceChanged). Raises QueryError for a text that is none.
    """
    began = time.perf_counter()
    entry = _entry(text)
    kept = memory.kept((database, entry.kind, entry.key, None, tenant or ""))
    if kept is None:
        return None
    found = _resolved(kept.space_id, kept.vector, "memory", "text", began)
    return replace(found, words=text, key=entry.query, truncated=kept.truncated)


def words_alone(query: Query | None, words: str | None = None, rejected: tuple[int, ...] = ()) -> Resolved:
    """Return the question of a search by words alone, for which nobody is asked: its vector is empty.

    `words`, or those of the query. Raises QueryError where there are none.
    """
    text = words if words is not None else query.words if isinstance(query, Resolved) else query
    rejected = query.rejected if isinstance(query, Resolved) else rejected
    if not isinstance(text, str):
        raise QueryError("look_weight is 0, and there are no words to search by; add words, or leave look_weight out.")
    _entry(text)
    key = cache.canonical(text)
    return Resolved(
        vector="", space_id=0, source="given", took_ms=0, kind="text", words=text, key=key, rejected=rejected
    )


def ask(
    question: Question,
    timeout: float = 10,
    notify: Callable[[], Any] | None = None,
    primary: str | None = None,
    own: psycopg.Connection[Any] | None = None,
) -> Resolved:
    """Have a query worker answer a question, which is asked at `primary` (None: where this process's settings say).

    own: the connection it came up on, for where no second one like it can be had.
    Raises QueryTimeout, QueryError, PictureError, NoSpace, SpaceChanged, ReadOnlyDatabase.
    """
    dsn, _, _, space, tenant = question.key
    found = asking.answer(
        question.entry,
        dsn,
        question.password,
        tenant=tenant,
        space=space,
        searched=question.searched,
        timeout=timeout,
        notify=notify,
        primary=primary,
        own=own,
    )
    vector = found.embedding or ""
    memory.keep(question.key, Kept(found.space_id, vector, found.truncated))
    resolved = _resolved(found.space_id, vector, "worker", question.entry.kind, question.began)
    key = cache.canonical(question.words) if question.words is not None else question.entry.key.hex()
    return replace(resolved, words=question.words, key=key, truncated=found.truncated, boxes=found.parts)


def unknown_product(product_id: str) -> UnknownImage:
    """Return the error of a product that is not there, or not ready."""
    said = f"Product {product_id[:200]} does not exist or has no picture with a vector yet"
    return UnknownImage(f"{said}; look at imgsearch.status.")


def _of_product(
    lent: psycopg.Connection[Any], query: ProductId, tenant: str | None, space: int | None, began: float
) -> Resolved:
    bound = {"product_id": query.product_id, "tenant": tenant, "space": space}
    found = sql.rows(lent, "query", "vectors_of_product" if space is None else "vectors_of_product_in", bound)
    if not found:
        raise unknown_product(query.product_id)
    if len(found) > 1:
        raise QueryError(f"Several tenants have a product {query.product_id[:200]}; say whose: tenant.")
    resolved = _resolved(found[0]["space_id"], found[0]["embedding"], "image", "vector", began)
    key = f"product:{found[0]['tenant_id']}:{query.product_id}"
    return replace(resolved, products=(query.product_id,), key=key)


def _entry(query: str | bytes | Path) -> Entry:
    if isinstance(query, str):
        values.composed(query, "query", QueryError)
        if len(query) > MAX_TEXT:
            raise QueryError(f"The query has {len(query)} characters, the limit is {MAX_TEXT}; shorten it.")
        if not cache.canonical(query) or "\0" in query:
            raise QueryError('The query is empty; ask for something, for example "red canvas shoe".')
        return cache.of_text(query)
    data = query if isinstance(query, bytes) else _read(query)
    picture.inspect(data)
    return cache.of_picture(data)


def _entry_of_crop(lent: psycopg.Connection[Any], query: Crop, tenant: str | None) -> Entry:
    region = Region.of(query.region)
    if not isinstance(query.picture, bytes | Path | ImageId):
        raise RegionError("A region is of a picture (bytes, a Path) or of an ImageId, nothing else; leave it out.")
    if not isinstance(query.picture, ImageId):
        return replace(whole := _entry(query.picture), key=cache.key_of(whole.key, region))
    image_id = query.picture.image_id
    found = sql.rows(lent, "query", "digest_of", {"image_id": image_id, "tenant": tenant})
    if not found:
        raise UnknownImage(f"Image {image_id} does not exist or was not read yet; look at imgsearch.status.")
    return cache.of_image(image_id, bytes(found[0]["sha256"]), region)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise QueryError(f"{ascii(str(path))[:200]} cannot be read: {why}. Check the path.") from error


def _known(
    lent: psycopg.Connection[Any], asked: Entry, tenant: str, space: int | None, began: float
) -> Resolved | Question:
    about = (memory.database_of(lent), asked.kind, asked.key, space)
    # Only the database knows as whom this connection asks; with the answer it says so. It is `tenant`, or nobody.
    remembered = {one: kept for one in (tenant, "") if (kept := memory.kept((*about, one)))}
    found = cache.look_up(lent, asked, {one: kept.space_id for one, kept in remembered.items()}, space)
    if found is None:
        raise NoSpace
    if found.given:
        raise (TextsNotUnderstood if asked.kind == "text" else QueryError)(NOBODY)
    if asked.kind == "text" and not found.reads_texts:
        raise TextsNotUnderstood
    key: Key = (*about, found.tenant)
    kept = remembered.get(found.tenant)
    if kept and kept.space_id == found.space_id:
        known = _resolved(found.space_id, kept.vector, "memory", asked.kind, began)
        return replace(known, truncated=kept.truncated, boxes=found.parts)
    if found.embedding is None:
        return Question(asked, key, lent.info.password, began, found.space_id)
    memory.keep(key, Kept(found.space_id, found.embedding, found.truncated))
    here = _resolved(found.space_id, found.embedding, "database", asked.kind, began)
    return replace(here, truncated=found.truncated, boxes=found.parts)


def _resolved(
    space_id: int, vector: str, source: Source, kind: Literal["text", "picture", "image", "vector"], began: float
) -> Resolved:
    took_ms = (time.perf_counter() - began) * 1000
    return Resolved(vector=vector, space_id=space_id, source=source, took_ms=took_ms, kind=kind)
