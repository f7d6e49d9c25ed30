"""A search as an address: every state of the page is one link that can be sent to somebody else. `reading` reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, get_args, get_type_hints
from urllib.parse import urlencode

from flask import url_for

from imgsearch.http import ids, links, values
from imgsearch.http.problem import Problem
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.state import AppState
from imgsearch.picture.region import Region
from imgsearch.retrieval.filters import Filters
from imgsearch.retrieval.template import LARGEST_PAGE

PAGE = 40  # images of one page
SORTS = ("price", "-price", "newest")  # beside the best match first
PRICES = ("min_price", "max_price")  # the two ends of the one filter that the page shows as a range
MOST_PAGES = LARGEST_PAGE // PAGE  # shown at once; behind them a list begins anew
# Filters of one plain value are written in an address by their own names; lists and trees have their own way.
PLAIN: dict[str, type] = {
    name: next(kind for kind in get_args(hint) if kind in {str, float, bool})
    for name, hint in get_type_hints(Filters).items()
    if set(get_args(hint)) & {str, float, bool} and name != "category"
}


def pairs(state: AppState, asked: SearchRequest) -> list[tuple[str, str]]:
    """Return the search as names and values, each of them once and only where it says something."""
    filters = asked.filters
    found: list[tuple[str, str]] = [("q", asked.text)] if asked.text else []
    if asked.photo is not None:
        found.append(("photo", links.photo(state, asked.photo)))
        found += [("region", written_region(asked.region))] if asked.region else []
    found += [("product", one.product_id) for one in asked.products]
    found += [("like", str(ids.shown(image_id))) for image_id in asked.more]
    found += [("unlike", str(ids.shown(image_id))) for image_id in asked.less]
    found += [("category", category) for category in categories(filters)]
    found += [(name, _written(value)) for name, value in filters.given().items() if name in PLAIN]
    for name in attributes(filters):
        found += [(f"a.{name}", value) for value in chosen(filters, name)]
    if asked.ranking.sort:
        found.append(("sort", asked.ranking.sort))
    if asked.ranking.regions:
        found.append(("regions", _written(asked.ranking.regions)))
    if asked.rerank:
        found.append(("rerank", asked.rerank.steps[0].name))
    if asked.ranking.look_weight == 0:
        found.append(("look_weight", "0"))
    return found


def url_of(state: AppState, asked: SearchRequest, *more: tuple[str, Any]) -> str:
    """Return the address of a search; `more` goes with it (where a page goes on)."""
    written = urlencode([*pairs(state, asked), *more])
    return url_for("imgsearch_page.show") + (f"?{written}" if written else "")


def beside(endpoint: str, **given: str | None) -> str:
    """Return the address of another view of the page."""
    said: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return url_for(f"imgsearch_page.{endpoint}", **said)


def categories(filters: Filters) -> list[str]:
    """Return the categories that are filtered by."""
    given = filters.category
    return [given] if isinstance(given, str) else list(given or ())


def attributes(filters: Filters) -> Mapping[str, Any]:
    """Return the attributes that are filtered by."""
    return filters.attributes or {}


def prices(filters: Filters) -> tuple[float | None, float | None]:
    """Return the lowest and the highest price that are filtered by."""
    low, high = (getattr(filters, name) for name in PRICES)
    return low, high


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
    return with_filters(asked, **dict(zip(PRICES, (low, high), strict=True)))


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


def written_region(region: Region) -> str:
    """Return a region as an address has it."""
    return ",".join(f"{number:.15g}" for number in region.numbers)


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = f"{value:.15g}" if isinstance(value, float) else str(value)
    # 1.299 is read as a number of thousands where people write it so.
    return f"{text}0" if re.fullmatch(r"\d{1,3}\.\d{3}", text) and isinstance(value, float) else text
