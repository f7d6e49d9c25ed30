"""The pictures of a search: the bytes of a file or an address, regions of images here, and a photo asked before."""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from imgsearch import storage
from imgsearch.db import sql
from imgsearch.errors import FetchFailed, FetchRefused, QueryError, StoreError, UnknownImage
from imgsearch.http import ids
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.state import AppState
from imgsearch.http.waiting import asker
from imgsearch.picture import DEFAULT_LIMITS
from imgsearch.query import Crop, ImageId, Resolved, cache
from imgsearch.query.cache import Entry
from imgsearch.query.question import Thing
from imgsearch.query.resolution import Question, look_up
from imgsearch.storage import FetchPolicy

FORGOTTEN = "This photo is no longer cached; choose it again."


def part_of(state: AppState, asked: SearchRequest) -> Thing | None:
    """Return the query's picture, or the region of it that is meant. Raises FetchRefused, FetchFailed, Busy."""
    shown = picture_of(state, asked)
    return shown if shown is None or asked.region is None else Crop(shown, asked.region)


def picture_of(state: AppState, asked: SearchRequest) -> bytes | None:
    """Return the query's picture: its bytes, or what its address holds. Raises FetchRefused, FetchFailed, Busy."""
    if asked.picture_url is None:
        return asked.picture
    policy = FetchPolicy(allow_hosts=state.settings.fetch_allow)
    with state.waiting.fetches.turn(asker()):
        try:
            found = storage.read(asked.picture_url, state.store, policy, DEFAULT_LIMITS.max_bytes)
        except FetchRefused:
            raise
        except StoreError as error:  # an address of theirs, not our store
            raise FetchFailed(str(error), retry_after=error.retry_after) from error
    return found.data or b""


def looked_up(connection: Connection[Any], query: Thing, tenant: str | None, space: int | None) -> Resolved | Question:
    """Do what `look_up` does, and name an image that is not there as whoever asks does."""
    try:
        return look_up(connection, query, tenant=tenant, space=space)
    except UnknownImage as error:
        if isinstance(query, Crop) and isinstance(query.picture, ImageId):
            raise ids.unknown(query.picture.image_id) from error
        raise


def parts_of(connection: Connection[Any], photo: bytes) -> tuple[tuple[float, ...], ...]:
    """Return the parts of a photo asked before that may be meant; none where it is forgotten."""
    found = cache.look_up(connection, Entry(kind="picture", key=photo))
    return () if found is None else found.parts


def has_parts(connection: Connection[Any], tenant: str | None) -> bool:
    """Return whether a search may look at parts of pictures here, too."""
    return bool(sql.rows(connection, "page", "has_parts", {"tenant": tenant})[0]["found"])


def remembered(connection: Connection[Any], photo: bytes, space: int | None = None) -> Resolved:
    """Return the vector of a photo that was asked before, by its digest. Raises QueryError when it is forgotten."""
    found = cache.look_up(connection, Entry(kind="picture", key=photo), space=space)
    if found is None or found.embedding is None:
        raise QueryError(FORGOTTEN)
    return Resolved(vector=found.embedding, space_id=found.space_id, source="database", took_ms=0.0, kind="picture")
