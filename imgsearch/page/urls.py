"""A search as an address, and back: every state of the page is one link that can be sent to somebody else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, get_args, get_type_hints
from urllib.parse import urlencode

from flask import url_for
from werkzeug.datastructures import MultiDict

from imgsearch.http import caps, ids, links, values
from imgsearch.http.problem import Problem, bad_request
from imgsearch.http.requests import checked_filters
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.state import AppState
from imgsearch.page import size
from imgsearch.retrieval.filters import Filters

PAGE = 40  # images of one page


def _price(name: str, written: str) -> float:
    return values.number(name, written, 0, caps.PRICE)


# Filters of one plain value are written in an address by their own names; lists and trees have their own way.
_READ: dict[type, Callable[[str, str], Any]] = {str: values.text, float: _price, bool: values.truth}
_PLAIN = {
    name: next(_READ[kind] for kind in get_args(hint) if kind in _READ)
    for name, hint in get_type_hints(Filters).items()
    if set(get_args(hint)) & {*_READ} and name != "category"
}


def read(state: AppState, args: MultiDict[str, str]) -> SearchRequest:
    """Return the search that an address asks for. Raises Problem."""
    size.check(args)
    words = args.get("q", "").strip()
    photo = args.get("photo")
    digest = links.photo_in(state, photo) if photo else None
    if photo and digest is None:
        raise bad_request("Unknown photo in this link; choose the photo again.", "unknown_photo")
    asked = SearchRequest(
        text=values.text("What you ask", words, caps.TEXT) if words else None,
        more=_ids("like", args),
        less=_ids("unlike", args),
        photo=digest,
        filters=read_filters(args),
        k=PAGE,
        after=args.get("after") or None,
    )
    return ids.taken_request(asked)


def read_filters(args: MultiDict[str, str]) -> Filters:
    """Return the filters of an address: category (repeated), …, and `a.colour=red` (repeated). Raises Problem."""
    wanted: dict[str, Any] = {}
    for name in args:
        if name.startswith("a.") and len(name) > 2:
            chosen = [values.text("An attribute", value) for value in args.getlist(name) if value]
            if chosen:
                wanted[values.text("An attribute", name[2:])] = {"in": spellings(chosen)}
    given = {name: read(name, args[name]) for name, read in _PLAIN.items() if args.get(name, "").strip()}
    categories = list(dict.fromkeys(value for value in args.getlist("category") if value))
    return checked_filters({**given, "category": categories or None, "attributes": wanted or None})


def before(args: MultiDict[str, str]) -> int | None:
    """Return behind which image the newest ones go on."""
    written = args.get("before")
    return ids.taken(values.whole("before", written, 1, caps.LARGEST_ID)) if written else None


def pairs(state: AppState, asked: SearchRequest) -> list[tuple[str, str]]:
    """Return the search as names and values, each of them once and only where it says something."""
    filters = asked.filters
    found: list[tuple[str, str]] = [("q", asked.text)] if asked.text else []
    if asked.photo is not None:
        found.append(("photo", links.photo(state, asked.photo)))
    found += [("like", str(ids.shown(image_id))) for image_id in asked.more]
    found += [("unlike", str(ids.shown(image_id))) for image_id in asked.less]
    found += [("category", category) for category in categories(filters)]
    found += [(name, _written(value)) for name, value in filters.given().items() if name in _PLAIN]
    for name in attributes(filters):
        found += [(f"a.{name}", value) for value in chosen(filters, name)]
    return found


def url_of(state: AppState, asked: SearchRequest, *more: tuple[str, Any]) -> str:
    """Return the address of a search; `more` goes with it (where a page goes on)."""
    written = urlencode([*pairs(state, asked), *more])
    return url_for("imgsearch_page.show") + (f"?{written}" if written else "")


def categories(filters: Filters) -> list[str]:
    """Return the categories that are filtered by."""
    given = filters.category
    return [given] if isinstance(given, str) else list(given or ())


def attributes(filters: Filters) -> Mapping[str, Any]:
    """Return the attributes that are filtered by."""
    return filters.attributes or {}


def prices(filters: Filters) -> tuple[float | None, float | None]:
    """Return the lowest and the highest price that are filtered by."""
    return filters.min_price, filters.max_price


def chosen(filters: Filters, name: str) -> list[str]:
    """Return the values of an attribute that are filtered by, as an address writes them."""
    spelled = attributes(filters).get(name, {}).get("in", [])
    return [value for value in spelled if isinstance(value, str)]


def with_filters(asked: SearchRequest, **changed: Any) -> SearchRequest:
    """Return the same search with other filters."""
    return replace(asked, filters=replace(asked.filters, **changed), after=None)


def with_categories(asked: SearchRequest, wanted: list[str]) -> SearchRequest:
    """Return the same search with other categories; none: without any."""
    return with_filters(asked, category=wanted or None)


def with_prices(asked: SearchRequest, low: float | None, high: float | None) -> SearchRequest:
    """Return the same search with other prices."""
    return with_filters(asked, min_price=low, max_price=high)


def with_attribute(asked: SearchRequest, name: str, wanted: list[str]) -> SearchRequest:
    """Return the same search with other values of one attribute; none: without it."""
    changed = {key: value for key, value in attributes(asked.filters).items() if key != name}
    if wanted:
        changed[name] = {"in": spellings(wanted)}
    return with_filters(asked, attributes=changed or None)


def spellings(chosen: Iterable[str]) -> list[Any]:
    """Return query-string values (strings), and beside each the number or boolean of the same spelling."""
    spelled: list[Any] = []
    for value in chosen:
        spelled.append(value)
        if value in {"true", "false"}:
            spelled.append(value == "true")
        else:
            try:
                spelled.append(values.number("An attribute", value, -1e100, 1e100))
            except Problem:
                continue
    return spelled


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _ids(name: str, args: MultiDict[str, str]) -> tuple[int, ...]:
    written = [value for value in args.getlist(name) if value]
    if len(written) > caps.EXAMPLES:
        raise bad_request(f"A search has at most {caps.EXAMPLES} examples; leave some out.")
    return tuple(dict.fromkeys(values.whole(name, value, 1, caps.LARGEST_ID) for value in written))
