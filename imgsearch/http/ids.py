"""The ids of images as whoever asks sees them: scrambled for a tenant, those of the table for who stands above tenants.

Ids in the table count up for all tenants together, so a tenant that adds two images would learn how many its neighbours
added in between. Therefore shown = 1 + F(id - 1), where F is a Feistel network over 52 bits: the number is cut into
halves of 26 bits, and in each of eight rounds (left, right) becomes (right, left xor f(round, right)). f is keyed
BLAKE2b, its key the HMAC of this database's secret and the tenant's name. F run backwards undoes itself, so nothing is
stored; the result stays below 2**53, which JSON and JavaScript carry exactly; and an id of one tenant is nobody's id
elsewhere. What joins with tables in SQL is the product_id with its position.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from imgsearch.errors import FilterError, UnknownImage
from imgsearch.http import access, caps
from imgsearch.http.problem import Problem, bad_request
from imgsearch.http.search_request import SearchRequest, Weighted
from imgsearch.http.state import app_state
from imgsearch.http.values import whole
from imgsearch.query import Crop, ImageId
from imgsearch.retrieval.hits import place_of

ROUNDS = 8
HALF = 26  # bits
MASK = (1 << HALF) - 1
LARGEST = 1 << 2 * HALF  # ids of the table end at 2**51: its own check
_WINDOW_ID = re.compile(r"\.i([0-9]{1,18})(?=\.)")


@lru_cache(maxsize=4096)  # a page writes the same id into several of its links
def scramble(key: bytes, image_id: int) -> int:
    """Return what an id of the table is shown as."""
    left, right = divmod(image_id - 1, 1 << HALF)
    for turn in range(ROUNDS):
        left, right = right, left ^ _mixed(key, turn, right)
    return 1 + (left << HALF | right)


def unscramble(key: bytes, shown: int) -> int:
    """Return the id of the table that is shown as this."""
    left, right = divmod(shown - 1, 1 << HALF)
    for turn in reversed(range(ROUNDS)):
        left, right = right ^ _mixed(key, turn, left), left
    return 1 + (left << HALF | right)


@lru_cache(maxsize=4096)
def key_of(secret: bytes, tenant: str) -> bytes:
    """Return the key of a tenant's ids."""
    return hmac.digest(secret, b"image ids\0" + tenant.encode(), "sha256")


def shown(image_id: int) -> int:
    """Return an id of the table as whoever asks sees it."""
    return showing()(image_id)


def showing() -> Callable[[int], int]:
    """Return what makes of ids of the table those that whoever asks sees: for a page of them."""
    return _turning(scramble)


def taken(given: int) -> int:
    """Return the id of the table that whoever asks means."""
    return _turning(unscramble)(given)


def shown_after(after: str | None) -> str | None:
    """Return where a page goes on, as whoever asks sees it."""
    return turned_after(showing(), after)


def turned_after(turn: Callable[[int], int], after: str | None) -> str | None:
    """Return where a page goes on with its ids turned by `showing()`."""
    return after if turn is _as_it_is else _turned_after(turn, after)


def taken_after(after: str | None) -> str | None:
    """Return where a page goes on, with ids of the table. Raises Problem."""
    try:
        return _turned_after(_turning(unscramble), after)
    except FilterError as error:
        raise bad_request(str(error), "filter_error") from error


def taken_request(asked: SearchRequest) -> SearchRequest:
    """Return a search that came from outside, with ids of the table. Raises Problem."""
    filters = asked.filters
    if access.me().tenant is not None and _speaks_of_ids(filters.condition):
        raise bad_request("A condition cannot speak of image_id; use product_id and position.", "filter_error")
    excluded = filters.exclude_image_ids
    if excluded:
        filters = replace(filters, exclude_image_ids=[taken(one) for one in excluded])
    after = taken_after(asked.after)
    more, less = (tuple(map(taken, ids)) for ids in (asked.more, asked.less))
    like, unlike = (tuple(map(_taken_example, examples)) for examples in (asked.like, asked.unlike))
    return replace(asked, more=more, less=less, like=like, unlike=unlike, after=after, filters=filters)


def _taken_example(example: Weighted) -> Weighted:
    thing, weight = example
    if isinstance(thing, Crop) and isinstance(thing.picture, ImageId):
        return replace(thing, picture=ImageId(taken(thing.picture.image_id))), weight
    return (ImageId(taken(thing.image_id)) if isinstance(thing, ImageId) else thing), weight


def named(image_id: str) -> int:
    """Return the id of the table that an address names. Raises UnknownImage."""
    try:
        return taken(whole("image_id", image_id, 1, caps.LARGEST_ID))
    except Problem as error:
        raise not_found(image_id) from error


def not_found(image_id: str) -> UnknownImage:
    """Return the error of an address that names no image."""
    return UnknownImage(f"Image {image_id[:40]} not found; use an id that POST /v1/images returned.")


def unknown(image_id: int) -> UnknownImage:
    """Return the error of an image that is not there or not ready, without its id of the table."""
    return UnknownImage(f"Image {shown(image_id)} does not exist or has no vector yet; GET /v1/images/ID says which.")


def _turning(turn: Callable[[bytes, int], int]) -> Callable[[int], int]:
    tenant = access.me().tenant
    if tenant is None:
        return _as_it_is
    key = key_of(app_state().secret, tenant)
    # What lies outside is nobody's either way: it stays what it is, and is not found.
    return lambda number: turn(key, number) if 1 <= number <= LARGEST else number


def _as_it_is(number: int) -> int:
    return number


def _turned_after(turn: Callable[[int], int], after: str | None) -> str | None:
    place = place_of(after)
    if place is None:
        return None
    # Where a window lies is named by ids too, 0 for none: place_cursor() in schema/functions/place.sql.
    rest = _WINDOW_ID.sub(lambda found: f".i{turn(int(found[1])) if int(found[1]) else 0}", place[2])
    return f"{place[0]!r},{turn(place[1])}{rest}"


def _speaks_of_ids(node: Any) -> bool:
    if isinstance(node, Mapping):
        return "image_id" in node or any(map(_speaks_of_ids, node.values()))
    return isinstance(node, list) and any(map(_speaks_of_ids, node))


def _mixed(key: bytes, turn: int, half: int) -> int:
    return int.from_bytes(blake2b(half.to_bytes(4) + bytes([turn]), key=key, digest_size=4).digest()) & MASK
