"""The page: one search is one address; it works without JavaScript, and is quicker with it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, cast

import psycopg
from flask import Blueprint, Response, redirect, render_template, request

from imgsearch import picture
from imgsearch.db import sql
from imgsearch.errors import Busy, ImgsearchError, NoQueryWorker, NoSpace, QueryError, QueryTimeout, UnknownImage
from imgsearch.http import access, pictures, service
from imgsearch.http.problem import Problem, bad_request, from_exception
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.state import AppState, app_state
from imgsearch.page import choices, facets, paging, reading, second_look, statement, suggestions, urls, view_models
from imgsearch.page.facets import Facets
from imgsearch.page.frame import frame
from imgsearch.page.reading import Wrong
from imgsearch.page.slider import Slider
from imgsearch.page.view_models import Card, Chip
from imgsearch.page.wording import wording
from imgsearch.query import ProductId, cache
from imgsearch.retrieval.by_filters import values_of
from imgsearch.retrieval.filters import Filters

MOST_LOOSER = 8  # filters that are tried without, one after the other, where nothing was found
LOOSER_SECONDS = 0.2  # for all of these: they are a hint, and the page waits for them
_ORDERS = {"price": "cheapest first", "-price": "dearest first", "newest": "newest first"}
_FAILURES = (Problem, ImgsearchError, psycopg.Error)


@dataclass(frozen=True, kw_only=True)
class View:
    """What the page shows of one search."""

    asked: SearchRequest
    problem: Problem | None = None
    wrong: tuple[Wrong, ...] = ()
    found: service.Found | None = None
    cards: tuple[Card, ...] = ()
    after: str | None = None  # where the list goes on
    examples: tuple[Chip, ...] = ()
    panel: Facets = field(default_factory=Facets)
    facets_ms: float = 0.0
    empty_site: bool = False
    parts: tuple[tuple[float, ...], ...] = ()  # of the photo: what may be meant
    inside: bool = False  # pictures here have parts that may be looked at, too
    looks: Sequence[str] = ()  # ways in which it may be ranked anew
    words_alone: bool = False  # nobody embedded the text, so looks were left out

    @property
    def continued(self) -> SearchRequest:
        """The search as it goes on behind this page: whoever comes back finds the same list."""
        words = replace(self.asked.ranking, look_weight=0.0, regions=None)
        return replace(self.asked, ranking=words) if self.words_alone else self.asked

    @property
    def at_fields(self) -> dict[str, Wrong]:
        """What is said beside the field it came from; the rest of `wrong` stands above the results."""
        return {one.name: one for one in self.wrong if one.name in urls.PRICES}

    @property
    def order(self) -> str:
        """In which order the results stand, in words."""
        without = "newest first" if self.found is None else "best match first"
        return _ORDERS.get(self.asked.ranking.sort or "", without)

    @property
    def looked(self) -> tuple[str, int, int] | None:
        """What a second look came to."""
        return second_look.outcome(self.found.hits.reranked) if self.found else None

    @property
    def slider(self) -> Slider | None:
        """The price as two handles."""
        return self.panel.slider

    @property
    def prices(self) -> list[tuple[str, str, str, float | None, Wrong | None]]:
        """The two fields of the price: name, title, hint, value, and what is wrong with it."""
        said = (("Lowest price", "from"), ("Highest price", "to"))
        fields = zip(urls.PRICES, said, urls.prices(self.asked.filters), strict=True)
        return [(name, title, hint, value, self.at_fields.get(name)) for name, (title, hint), value in fields]


def mount(blueprint: Blueprint) -> None:
    """Add the routes of the page."""
    blueprint.add_url_rule("/", "show", show)
    blueprint.add_url_rule("/photo", "photo", photo, methods=["POST"])
    blueprint.add_url_rule("/explain", "explain", explain)


def show() -> Response:
    """Return the page of a search, or the newest images when nothing is asked."""
    state = app_state()
    try:
        asked, wrong = reading.understood(state, request.args)
        asked = asked.of_tenant(access.tenant_of(asked.filters.tenant))
        asked = asked if asked.photo else replace(asked, region=None)
    except Problem as problem:
        return _page(state, View(asked=SearchRequest(filters=Filters(tenant=access.me().tenant)), problem=problem))
    return _page(state, _look(state, View(asked=asked, wrong=wrong)))


def photo() -> Any:
    """Take a photo, or a part of it, to search by: answer the address of that search, or the search without it."""
    state = app_state()
    asked, wrong = reading.understood(state, request.form)
    asked = asked.of_tenant(access.tenant_of(asked.filters.tenant))
    try:
        data = b"".join(file.read() for file in request.files.getlist("photo")[:1])
        if not data:
            raise bad_request("No photo was sent; choose one first.", "no_photo")
        picture.inspect(data)
        for region in (None, asked.region) if asked.region else (None,):
            with service.session(state, SearchRequest(filters=asked.filters, picture=data, region=region)):
                pass  # it is remembered from now on
    except _FAILURES as error:
        asked = replace(asked, region=None)
        unusable = Wrong("photo", "", from_exception(error))
        return _page(state, _look(state, View(asked=asked, wrong=(unusable, *wrong))))
    asked = replace(asked, photo=cache.of_picture(data).key, after=None)
    return redirect(urls.url_of(state, asked), 303)


@access.needs("admin")
def explain() -> Response:
    """Return how Postgres found the pictures of a search: what it weighed, and its plan with times."""
    if access.me().tenant is not None:
        raise Problem(
            403, "forbidden", "A plan counts the rows of all tenants; run it in SQL: imgsearch.explain_search()."
        )
    state = app_state()
    asked, _ = reading.understood(state, request.args)
    asked = asked.of_tenant(access.tenant_of(asked.filters.tenant))
    plan: dict[str, Any] = {}
    if asked.likes:
        with service.session(state, asked) as (connection, given):
            values = values_of(service.vector_of(connection, asked, given), asked.filters, k=asked.k)
            plan = dict(sql.rows(connection, "http", "weighed", values)[0])
            plan["plan"] = sql.plan(connection, "search", "search", values)
    return Response(render_template("imgsearch/explain.html", **frame(state), asked=asked, plan=plan))


def _look(state: AppState, view: View) -> View:
    """Search, or list the newest; then count what else there is, also where the search itself failed."""
    asked = view.asked
    try:
        if asked.likes:
            found = second_look.found(state, asked)
            cards = tuple(view_models.found(state, asked, found))
            view = replace(view, found=found, cards=cards, after=found.hits.after)
        else:
            with service.session(state, asked) as (connection, _):
                rows = service.browse(connection, asked)
            cards = tuple(view_models.listed(state, asked, rows))
            view = replace(view, cards=cards, after=rows[-1].after if rows else None)
            if asked.less:
                raise bad_request("Add words, a photo or an image to search for.", "query_error")
    except NoSpace:
        return replace(view, empty_site=True)
    except _FAILURES as error:
        if (found_by_words := _by_words_alone(state, view, error)) is not None:
            return _count(state, found_by_words)
        rest = _without_lost_examples(state, asked, error)
        if rest is not None:
            lost = Wrong("like", "", from_exception(error))
            return _look(state, replace(view, asked=rest, wrong=(*view.wrong, lost)))
        view = replace(view, problem=from_exception(error))
    return _count(state, view)


def _by_words_alone(state: AppState, view: View, error: Exception) -> View | None:
    """Return what the words of a text find where nobody embeds it just now; None where that is nothing."""
    asked = view.asked
    if not isinstance(error, QueryTimeout | NoQueryWorker | Busy) or not asked.text or asked.examples or asked.like:
        return None
    words = replace(asked, ranking=replace(asked.ranking, look_weight=0.0, regions=None))
    try:
        with service.session(state, words) as (connection, given):
            found = service.search(connection, words, given)
    except _FAILURES:
        return None
    if not found.hits:
        return None
    cards = tuple(view_models.found(state, asked, found))
    return replace(view, found=found, cards=cards, after=found.hits.after, words_alone=True)


def _without_lost_examples(state: AppState, asked: SearchRequest, error: Exception) -> SearchRequest | None:
    """Return the search without the pictures that are gone; None where they were not what went wrong."""
    if isinstance(error, UnknownImage):
        with state.session(access.me().tenant) as connection:
            rows = service.images(connection, [*asked.more, *asked.less], asked.filters.tenant)
            products = service.products(connection, asked)
        here = {row["image_id"] for row in rows if row["state"] == "ready"}
        like = tuple(one for one in asked.like if cast("ProductId", one[0]).product_id in products)
        rest = replace(asked, more=_among(asked.more, here), less=_among(asked.less, here), like=like, after=None)
        if not rest.likes:
            rest = replace(rest, less=())
    else:
        forgotten = isinstance(error, QueryError) and str(error) == pictures.FORGOTTEN
        rest = replace(asked, photo=None, region=None, after=None) if forgotten else asked
    return rest if rest != asked else None


def _among(ids: tuple[int, ...], here: set[int]) -> tuple[int, ...]:
    return tuple(one for one in ids if one in here)


def _count(state: AppState, view: View) -> View:
    asked = view.asked
    began = time.perf_counter()
    try:
        with state.session(access.me().tenant) as connection:
            panel = facets.facets(state, connection, asked, tenants=access.me().tenant is None)
            digests = service.details(connection, [*asked.more, *asked.less], asked.filters.tenant)
            products = service.products(connection, asked)
            parts = pictures.parts_of(connection, asked.photo) if asked.photo else ()
            inside = asked.likes and pictures.has_parts(connection, asked.filters.tenant)
            looks = second_look.offered(connection, asked)
    except _FAILURES as error:
        return replace(view, problem=view.problem or from_exception(error))
    took = (time.perf_counter() - began) * 1000
    chips = view_models.examples(state, asked, digests, products)
    return replace(view, panel=panel, facets_ms=took, examples=tuple(chips), parts=parts, inside=inside, looks=looks)


def _page(state: AppState, view: View) -> Response:
    asked, found = view.asked, view.found
    html = render_template(
        "imgsearch/page.html",
        **frame(state),
        view=view,
        asked=asked,
        pairs=urls.pairs(state, asked),
        chips=view_models.filters(state, asked, any_tenant=access.me().tenant is None),
        without_filters=urls.url_of(state, replace(asked, filters=Filters(), after=None)),
        without_words=urls.url_of(state, SearchRequest(filters=asked.filters)),
        relaxed=_relaxed(state, view),
        ideas=view_models.ideas(state, asked, view.panel),
        statement=(written := statement.statement_of(asked)),
        statement_line=statement.on_one_line(written),
        explain=_beside(state, asked, "explain"),
        again=urls.url_of(state, asked),
        onward=paging.onward(state, view.continued, view.cards, view.after, view.panel.matches),
        swatches=facets.SWATCHES,
        is_behind=bool(asked.after),
        most_pages=urls.MOST_PAGES,
        all_of=choices.address(state, asked),
        region=urls.written_region(asked.region) if asked.region else "",
        whole=urls.url_of(state, replace(asked, region=None, after=None)),
        suggest=suggestions.address(asked.filters.tenant if access.me().tenant is None else None),
    )
    said = [one for one in (view.problem, *(wrong.problem for wrong in view.wrong)) if one is not None]
    made = Response(html, said[0].status if said else 200)
    if found is not None:
        parts = (("resolve", found.resolve_ms), ("sql", found.hits.took_ms), ("facets", view.facets_ms))
        made.headers["Server-Timing"] = ", ".join(f"{name};dur={took:.1f}" for name, took in parts)
    return made


def _relaxed(state: AppState, view: View) -> list[tuple[Chip, int]]:
    """Nothing was found: answer which filter alone to leave out, and how many pictures that gives.

    What could not be counted in time, or at all, is no part of the answer: the page is ready without it.
    """
    if view.cards or view.problem or view.empty_site or view.asked.after:
        return []
    found: list[tuple[Chip, int]] = []
    ends = time.perf_counter() + LOOSER_SECONDS
    with suppress(*_FAILURES), state.session(access.me().tenant, patience=LOOSER_SECONDS) as connection:
        for label, less in view_models.looser(view.asked, wording(state.settings).say)[:MOST_LOOSER]:
            left = ends - time.perf_counter()
            if left <= 0:
                break
            if count := facets.matches(connection, less, left):
                found.append((Chip(kind="filter", label=label, without=urls.url_of(state, less)), count))
    return sorted(found, key=lambda one: -one[1])


def _beside(state: AppState, asked: SearchRequest, place: str) -> str:
    where, mark, query = urls.url_of(state, asked).partition("?")
    return f"{where}{place}{mark}{query}"
