"""What a page of pictures shows: cards, the examples and filters of a search as chips, and what to type next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from imgsearch.http import access, caps, ids, links
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.service import Found
from imgsearch.http.state import AppState
from imgsearch.page import product, urls
from imgsearch.page.facets import Facets
from imgsearch.page.titles import title_of
from imgsearch.page.wording import wording
from imgsearch.retrieval.hits import Hit, named_categories
from imgsearch.retrieval.listing import Listed

FITS = 0.5  # the probability from which on a product is said to fit


@dataclass(frozen=True, kw_only=True)
class Other:
    """Another picture of a product."""

    thumbnail: str
    view: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """One product of the grid by its best picture, or one picture; `near` is how full its bar is, in percent.

    `view` leads to all its pictures, `link` to the shop. `further` pictures are not among `others`. `fits` says whether
    it more likely fits than not, None where the space cannot tell.
    """

    image_id: int
    title: str
    category: str | None
    price: float | None
    in_stock: bool
    tenant: str
    thumbnail: str | None
    more: str
    less: str | None
    view: str
    link: str | None
    similar: str
    others: tuple[Other, ...] = ()
    further: int = 0
    fits: bool | None = None
    distance: float | None = None
    near: int = 0
    part: tuple[float, ...] | None = None  # left, top, width and height of what matched, in percent
    part_name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Chip:
    """One part of a search that can be taken away; `kind` says how it looks."""

    kind: str
    label: str
    without: str
    thumbnail: str | None = None
    photo: str | None = None


def found(state: AppState, asked: SearchRequest, results: Found) -> list[Card]:
    """Return the cards of a search's page."""
    return [
        Card(
            **_shown(state, asked, hit),
            **_others(
                state, hit.pictures, [(one, *results.others[one]) for one in hit.others if one in results.others]
            ),
            less=_less(state, asked, hit.image_id),
            fits=None if hit.match is None else hit.match >= FITS,
            distance=hit.distance,
            near=round(100 * min(1.0, max(0.0, 1.0 - hit.distance))),
            part=hit.box and tuple(round(100 * share, 2) for share in hit.box),
            part_name=hit.label,
        )
        for hit in results.hits
    ]


def listed(state: AppState, asked: SearchRequest, rows: Sequence[Listed]) -> list[Card]:
    """Return the cards of products that were listed without a question."""
    made = []
    for row in rows:
        known = [(one, row.tenant_id, digest) for one, digest in row.others if digest is not None]
        made.append(Card(**_shown(state, asked, row), **_others(state, row.pictures, known), less=None))
    return made


def _shown(state: AppState, asked: SearchRequest, row: Hit | Listed) -> dict[str, Any]:
    """Return what every card shows of a row."""
    return {
        "image_id": ids.shown(row.image_id),
        "title": title_of(row.product_id, row.product_title, row.attributes),
        "category": named_categories(row.category, row.categories),
        "price": row.price,
        "in_stock": row.in_stock,
        "tenant": row.tenant_id,
        "thumbnail": links.thumbnail(state, row.tenant_id, row.sha256),
        "more": _more(state, asked, row.image_id),
        "view": product.view_of(row.image_id),
        "link": product.link(state.settings, row.product_id, row.attributes),
        "similar": product.similar(state, asked.filters.tenant or _unless_mine(row.tenant_id), row.product_id),
    }


def _unless_mine(tenant: str) -> str | None:
    """Return the tenant that an address must name: a product's id says nothing without it, and a key has its own."""
    return tenant if access.me().tenant is None else None


def _others(state: AppState, pictures: int | None, known: Iterable[tuple[int, str, bytes]]) -> dict[str, Any]:
    """Return the other pictures of a product that a card shows, and how many more there are."""
    shown = tuple(
        Other(thumbnail=address, view=product.view_of(image_id))
        for image_id, tenant, digest in known
        if (address := links.thumbnail(state, tenant, digest))
    )
    return {"others": shown, "further": max(0, (pictures or 1) - 1 - len(shown))}


def examples(
    state: AppState,
    asked: SearchRequest,
    digests: Mapping[int, tuple[str, bytes]],
    products: Mapping[str, tuple[str, bytes | None]],
) -> list[Chip]:
    """Return the products and pictures that a search is near to or far from; `products`: tenant and digest of each."""
    chips = []
    for named in asked.products:
        others = tuple(one for one in asked.like if one[0] != named)
        thumbnail = links.thumbnail(state, *products[named.product_id]) if named.product_id in products else None
        where = urls.url_of(state, replace(asked, like=others, after=None))
        chips.append(Chip(kind="more", label="Similar products", without=where, thumbnail=thumbnail))
    if asked.photo is not None:
        token = links.photo(state, asked.photo)
        chips.append(
            Chip(
                kind="photo",
                label="Part of your photo" if asked.region else "Your photo",
                without=urls.url_of(state, replace(asked, photo=None, region=None, after=None)),
                photo=token,
            )
        )
    for kind, label, given in (("more", "More like this", asked.more), ("less", "Not like this", asked.less)):
        for image_id in given:
            rest = tuple(one for one in given if one != image_id)
            without = replace(asked, after=None, **{kind: rest})  # type: ignore[arg-type]
            thumbnail = links.thumbnail(state, *digests[image_id]) if image_id in digests else None
            chips.append(Chip(kind=kind, label=label, without=urls.url_of(state, without), thumbnail=thumbnail))
    if asked.ranking.regions and asked.likes:
        wholes = replace(asked, ranking=replace(asked.ranking, regions=None), after=None)
        chips.append(Chip(kind="parts", label="Parts of pictures", without=urls.url_of(state, wholes)))
    return chips


def filters(state: AppState, asked: SearchRequest, *, any_tenant: bool) -> list[Chip]:
    """Return the filters of a search, each with the search without it."""
    given = asked.filters
    words = wording(state.settings)
    say = words.say
    chips = []

    def add(label: str, without: SearchRequest) -> None:
        chips.append(Chip(kind="filter", label=label, without=urls.url_of(state, without)))

    if given.tenant is not None and any_tenant:
        add(given.tenant, urls.with_filters(asked, tenant=None))
    for category in urls.categories(given):
        rest = [one for one in urls.categories(given) if one != category]
        add(category, urls.with_categories(asked, rest))
    low, high = urls.prices(given)
    if low is not None:
        add(say("from {price}", price=words.price(low, short=True)), urls.with_prices(asked, None, high))
    if high is not None:
        add(say("up to {price}", price=words.price(high, short=True)), urls.with_prices(asked, low, None))
    if given.in_stock is not None:
        add(say("in stock") if given.in_stock else say("sold out"), urls.with_filters(asked, in_stock=None))
    for name in urls.attributes(given):
        taken = urls.chosen(given, name)
        for value in taken:
            wanted = urls.with_attribute(asked, name, [one for one in taken if one != value])
            add(f"{name.replace('_', ' ')}: {value}", wanted)
    return chips


def looser(asked: SearchRequest, say: Callable[..., str]) -> list[tuple[str, SearchRequest]]:
    """Return the search without each of its filters: (what was left out, the rest)."""
    given = asked.filters
    found = []
    if given.category:
        found.append((say("the category"), urls.with_categories(asked, [])))
    if urls.prices(given) != (None, None):
        found.append((say("the price"), urls.with_prices(asked, None, None)))
    if given.in_stock is not None:
        found.append((say("the stock"), urls.with_filters(asked, in_stock=None)))
    return [
        *found,
        *(
            (say("the {attribute}", attribute=name.replace("_", " ")), urls.with_attribute(asked, name, []))
            for name in urls.attributes(given)
        ),
    ]


def ideas(state: AppState, asked: SearchRequest, panel: Facets) -> list[tuple[str, str]]:
    """Return a few searches worth trying, made of what there is: (words, address)."""
    categories = [choice.value for group in panel.groups if group.name == "category" for choice in group.choices]
    colours = [choice.value for group in panel.groups if group.colours for choice in group.choices]
    words = [
        f"{colours[n % len(colours)]} {category}" if colours else category for n, category in enumerate(categories[:5])
    ]
    return [(word, urls.url_of(state, replace(asked, text=word, after=None))) for word in words]


def _more(state: AppState, asked: SearchRequest, image_id: int) -> str:
    less = tuple(one for one in asked.less if one != image_id)
    return urls.url_of(state, replace(asked, more=(*_without(asked.more, image_id), image_id), less=less, after=None))


def _less(state: AppState, asked: SearchRequest, image_id: int) -> str | None:
    near = _without(asked.more, image_id)
    wanted = replace(asked, more=near, less=(*_without(asked.less, image_id), image_id), after=None)
    return urls.url_of(state, wanted) if wanted.likes else None


def _without(ids: tuple[int, ...], image_id: int) -> tuple[int, ...]:
    return tuple(one for one in ids if one != image_id)[1 - caps.EXAMPLES :]  # the oldest gives way
