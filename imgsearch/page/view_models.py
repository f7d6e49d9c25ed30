"""What a page of pictures shows: cards, the examples and filters of a search as chips, and what to type next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from imgsearch.http import links
from imgsearch.http.search_request import MOST_EXAMPLES, SearchRequest
from imgsearch.http.service import Answer
from imgsearch.http.state import AppState
from imgsearch.page import urls
from imgsearch.page.facets import Facets


@dataclass(frozen=True, kw_only=True)
class Card:
    """One picture of the grid; `near` is how full its bar is, in percent."""

    image_id: int
    title: str
    category: str | None
    price: float | None
    in_stock: bool
    tenant: str
    thumbnail: str | None
    more: str
    less: str | None
    distance: float | None = None
    near: int = 0


@dataclass(frozen=True, kw_only=True)
class Chip:
    """One part of a search that can be taken away; `kind` says how it looks."""

    kind: str
    label: str
    without: str
    thumbnail: str | None = None
    photo: str | None = None


def found(here: AppState, asked: SearchRequest, answer: Answer) -> list[Card]:
    """Answer the cards of a search's page."""
    return [
        Card(
            image_id=hit.image_id,
            title=hit.title or hit.product_id,
            category=hit.category,
            price=hit.price,
            in_stock=hit.in_stock,
            tenant=hit.tenant_id,
            thumbnail=links.thumbnail(here, answer.digests.get(hit.image_id)),
            more=_more(here, asked, hit.image_id),
            less=_less(here, asked, hit.image_id),
            distance=hit.distance,
            near=round(100 * min(1.0, max(0.0, 1.0 - hit.distance))),
        )
        for hit in answer.hits
    ]


def newest(here: AppState, asked: SearchRequest, rows: Sequence[Mapping[str, Any]]) -> list[Card]:
    """Answer the cards of the newest pictures."""
    return [
        Card(
            image_id=row["image_id"],
            title=title_of(row),
            category=row["category"],
            price=row["price"],
            in_stock=row["in_stock"],
            tenant=row["tenant_id"],
            thumbnail=links.thumbnail(here, row["sha256"]),
            more=_more(here, asked, row["image_id"]),
            less=None,
        )
        for row in rows
    ]


def title_of(row: Mapping[str, Any]) -> str:
    """Answer what a picture is called: its attribute `title`, else its product."""
    title = row["attributes"].get("title")
    return title if isinstance(title, str) and title else str(row["product_id"])


def examples(here: AppState, asked: SearchRequest, digests: Mapping[int, bytes]) -> list[Chip]:
    """Answer the pictures that a search is near to or far from."""
    chips = []
    if asked.photo is not None:
        token = links.signed(here, "photo", asked.photo)
        chips.append(
            Chip(
                kind="photo",
                label="Your photo",
                without=urls.of(here, replace(asked, photo=None, after=None)),
                photo=token,
            )
        )
    for kind, label, ids in (("more", "More like this", asked.more), ("less", "Not like this", asked.less)):
        for image_id in ids:
            rest = tuple(one for one in ids if one != image_id)
            without = replace(asked, after=None, **{kind: rest})  # type: ignore[arg-type]
            thumbnail = links.thumbnail(here, digests.get(image_id))
            chips.append(Chip(kind=kind, label=label, without=urls.of(here, without), thumbnail=thumbnail))
    return chips


def filters(here: AppState, asked: SearchRequest, *, any_tenant: bool) -> list[Chip]:
    """Answer the filters of a search, each with the search without it."""
    given = asked.filters
    chips = []

    def add(label: str, **without: Any) -> None:
        chips.append(Chip(kind="filter", label=label, without=urls.of(here, urls.with_filters(asked, **without))))

    if given.tenant is not None and any_tenant:
        add(given.tenant, tenant=None)
    for category in given.categories or ():
        rest = tuple(one for one in given.categories or () if one != category)
        add(category, categories=rest or None)
    if given.min_price is not None:
        add(f"from {given.min_price:g}", min_price=None)
    if given.max_price is not None:
        add(f"up to {given.max_price:g}", max_price=None)
    if given.in_stock is not None:
        add("in stock" if given.in_stock else "sold out", in_stock=None)
    for name in given.attributes:
        taken = urls.chosen(given, name)
        for value in taken:
            wanted = urls.with_attribute(asked, name, [one for one in taken if one != value])
            label = f"{name.replace('_', ' ')}: {value}"
            chips.append(Chip(kind="filter", label=label, without=urls.of(here, wanted)))
    return chips


def looser(asked: SearchRequest) -> list[tuple[str, SearchRequest]]:
    """Answer the search without each of its filters: (what was left out, the rest)."""
    given = asked.filters
    found = []
    if given.categories:
        found.append(("the category", urls.with_filters(asked, categories=None)))
    if given.min_price is not None or given.max_price is not None:
        found.append(("the price", urls.with_filters(asked, min_price=None, max_price=None)))
    if given.in_stock is not None:
        found.append(("the stock", urls.with_filters(asked, in_stock=None)))
    return [
        *found,
        *((f"the {name.replace('_', ' ')}", urls.with_attribute(asked, name, [])) for name in given.attributes),
    ]


def ideas(here: AppState, asked: SearchRequest, panel: Facets) -> list[tuple[str, str]]:
    """Answer a few searches worth trying, made of what there is: (words, address)."""
    categories = [choice.value for group in panel.groups if group.title == "Category" for choice in group.choices]
    colours = [choice.value for group in panel.groups if group.colours for choice in group.choices]
    words = [
        f"{colours[n % len(colours)]} {category}" if colours else category for n, category in enumerate(categories[:5])
    ]
    return [(word, urls.of(here, replace(asked, text=word, after=None))) for word in words]


def _more(here: AppState, asked: SearchRequest, image_id: int) -> str:
    less = tuple(one for one in asked.less if one != image_id)
    return urls.of(here, replace(asked, more=(*_others(asked.more, image_id), image_id), less=less, after=None))


def _less(here: AppState, asked: SearchRequest, image_id: int) -> str | None:
    near = _others(asked.more, image_id)
    wanted = replace(asked, more=near, less=(*_others(asked.less, image_id), image_id), after=None)
    return urls.of(here, wanted) if wanted.likes else None


def _others(ids: tuple[int, ...], image_id: int) -> tuple[int, ...]:
    return tuple(one for one in ids if one != image_id)[1 - MOST_EXAMPLES :]  # the oldest gives way
