"""A search as an address, and back: every state of the page is one link that can be sent to somebody else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from flask import url_for
from werkzeug.datastructures import MultiDict

from imgsearch.http import links, reader, values
from imgsearch.http.problem import bad_request
from imgsearch.http.search_request import MOST_EXAMPLES, Filters, SearchRequest
from imgsearch.http.state import AppState
from imgsearch.query.resolution import MAX_TEXT

PAGE = 40  # pictures of one page


def read(here: AppState, args: MultiDict[str, str]) -> SearchRequest:
    """Answer what an address asks for. Raises Problem."""
    words = args.get("q", "").strip()
    photo = args.get("photo")
    digest = links.digest_in(here, "photo", photo) if photo else None
    if photo and digest is None:
        raise bad_request("The photo of this address is not one of ours; choose it again.", "unknown_photo")
    return SearchRequest(
        text=values.text("What you ask", words, MAX_TEXT) if words else None,
        more=_ids("like", args),
        less=_ids("unlike", args),
        photo=digest,
        filters=reader.filters_of(args),
        k=PAGE,
        after=_after(args.get("after")),
    )


def before(args: MultiDict[str, str]) -> int | None:
    """Answer behind which picture the newest ones go on."""
    written = args.get("before")
    return values.whole_in("before", written, 1, values.LARGEST_ID) if written else None


def pairs(here: AppState, asked: SearchRequest) -> list[tuple[str, str]]:
    """Answer the search as names and values, each of them once and only where it says something."""
    filters = asked.filters
    found: list[tuple[str, str]] = [("q", asked.text)] if asked.text else []
    if asked.photo is not None:
        found.append(("photo", links.signed(here, "photo", asked.photo)))
    found += [("like", str(image_id)) for image_id in asked.more]
    found += [("unlike", str(image_id)) for image_id in asked.less]
    if filters.tenant is not None:
        found.append(("tenant", filters.tenant))
    found += [("category", category) for category in filters.categories or ()]
    found += [(name, f"{value:.15g}") for name, value in _prices(filters) if value is not None]
    if filters.in_stock is not None:
        found.append(("in_stock", "yes" if filters.in_stock else "no"))
    for name in filters.attributes:
        found += [(f"a.{name}", value) for value in chosen(filters, name)]
    return found


def of(here: AppState, asked: SearchRequest, *more: tuple[str, Any]) -> str:
    """Answer the address of a search; `more` goes with it (where a page goes on)."""
    written = urlencode([*pairs(here, asked), *more])
    return url_for("imgsearch_page.show") + (f"?{written}" if written else "")


def chosen(filters: Filters, name: str) -> list[str]:
    """Answer the values of an attribute that are filtered by, as an address writes them."""
    spelled = filters.attributes.get(name, {}).get("in", [])
    return [value for value in spelled if isinstance(value, str)]


def with_filters(asked: SearchRequest, **changed: Any) -> SearchRequest:
    """Answer the same search with other filters."""
    return replace(asked, filters=replace(asked.filters, **changed), after=None)


def with_attribute(asked: SearchRequest, name: str, wanted: list[str]) -> SearchRequest:
    """Answer the same search with other values of one attribute; none: without it."""
    attributes = {key: value for key, value in asked.filters.attributes.items() if key != name}
    if wanted:
        attributes[name] = {"in": reader.spellings(wanted)}
    return with_filters(asked, attributes=attributes)


def _prices(filters: Filters) -> tuple[tuple[str, float | None], ...]:
    return ("min_price", filters.min_price), ("max_price", filters.max_price)


def _ids(name: str, args: MultiDict[str, str]) -> tuple[int, ...]:
    written = [value for value in args.getlist(name) if value]
    if len(written) > MOST_EXAMPLES:
        raise bad_request(f"At most {MOST_EXAMPLES} examples make one search; leave some away.")
    return tuple(dict.fromkeys(values.whole_in(name, value, 1, values.LARGEST_ID) for value in written))


def _after(written: str | None) -> tuple[float, int] | None:
    if not written:
        return None
    distance, _, image_id = written.partition(":")
    return values.number_in("after", distance, -1, 3), values.whole_in("after", image_id, 1, values.LARGEST_ID)
