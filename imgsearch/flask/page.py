"""The page: one search is one address; it works without JavaScript, and is quicker with it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import psycopg
from flask import Blueprint, Response, redirect, render_template, request, url_for

from imgsearch import picture
from imgsearch.db import sql
from imgsearch.errors import ImgsearchError, NoSpace
from imgsearch.flask import access, adding, address, answer, cards, facets, sign_in, statement
from imgsearch.flask.asked import Asked, Filters
from imgsearch.flask.cards import Card, Chip
from imgsearch.flask.facets import Facets
from imgsearch.flask.problem import Problem, bad_request, of
from imgsearch.flask.problem import response as as_document
from imgsearch.flask.site import Site, site
from imgsearch.query import cache as question

_FAILURES = (Problem, ImgsearchError, psycopg.Error)
_FOR_PEOPLE = "page"  # endpoints of the page begin with it


@dataclass(frozen=True, kw_only=True)
class View:
    """What the page shows of one search."""

    asked: Asked
    problem: Problem | None = None
    found: answer.Answer | None = None
    cards: tuple[Card, ...] = ()
    examples: tuple[Chip, ...] = ()
    panel: Facets = field(default_factory=Facets)
    facets_ms: float = 0.0
    empty_site: bool = False


def mount(blueprint: Blueprint) -> None:
    """Add the routes of the page."""
    blueprint.add_url_rule("/", "page", show)
    blueprint.add_url_rule("/photo", "page_photo", photo, methods=["POST"])
    blueprint.add_url_rule("/explain", "page_explain", explain)
    adding.mount(blueprint, _frame)
    sign_in.mount(blueprint, _frame)


def show() -> Response:
    """Answer the page of a search, or the newest pictures when nothing is asked."""
    here = site()
    try:
        asked = address.read(here, request.args)
        asked = asked.of_tenant(access.tenant_of(asked.filters.tenant))
    except Problem as problem:
        return _page(here, View(asked=Asked(filters=Filters(tenant=access.me().tenant)), problem=problem))
    return _page(here, _look(here, asked))


def photo() -> Any:
    """Take a photo to search by: answer the address of the search near to it."""
    here = site()
    asked = Asked(filters=Filters(tenant=access.me().tenant))
    try:
        asked = address.read(here, request.form)
        asked = asked.of_tenant(access.tenant_of(asked.filters.tenant))
        data = b"".join(file.read() for file in request.files.getlist("photo")[:1])
        if not data:
            raise bad_request("There is no photo in this form; choose one first.", "no_photo")
        picture.inspect(data)
        with here.session(asked.filters.tenant) as connection:
            answer.vector_of(here, connection, Asked(filters=asked.filters), data)
    except _FAILURES as error:
        return _page(here, View(asked=asked, problem=of(error)))
    asked = replace(asked, photo=question.of_picture(data).key, after=None)
    return redirect(address.of(here, asked), 303)


@access.needs("admin")
def explain() -> Response:
    """Answer how Postgres found the pictures of a search: what it weighed, and its plan with times."""
    here = site()
    asked = address.read(here, request.args)
    asked = asked.of_tenant(access.tenant_of(asked.filters.tenant))
    plan: dict[str, Any] = {}
    if asked.likes:
        with here.session(asked.filters.tenant) as connection:
            resolved = answer.vector_of(here, connection, asked)
            given = {**asked.filters.bound(), "vector": resolved.vector, "k": asked.k}
            plan = dict(sql.rows(connection, "http", "weighed", given)[0])
            lines = sql.rows(connection, "http", "plan", given)
            plan["plan"] = "\n".join(row["QUERY PLAN"] for row in lines)
    return Response(render_template("imgsearch/explain.html", **_frame(here), asked=asked, plan=plan))


def is_page() -> bool:
    """Answer whether a person looks at this answer."""
    endpoint = (request.endpoint or "").rpartition(".")[2]
    if request.endpoint is None:
        accepts = request.accept_mimetypes
        return accepts.accept_html and accepts.best != "*/*" and not request.path.startswith(_api(site()))
    return endpoint.startswith(_FOR_PEOPLE)


def failed(found: Problem) -> Response:
    """Answer an error as a page; whoever is not known is asked for a key."""
    here = site()
    signed_out = found.status == 401 and here.identify is None
    try:
        html = render_template("imgsearch/error.html", **_frame(here), problem=found, signed_out=signed_out)
    except ImgsearchError:  # not even the frame can be made: say it plainly
        return as_document(found)
    made = Response(html, found.status)
    made.headers.update({name: value for name, value in found.headers.items() if name != "WWW-Authenticate"})
    return made


def _look(here: Site, asked: Asked) -> View:
    """Search, or list the newest; then count what else there is, also where the search itself failed."""
    view = View(asked=asked)
    try:
        with here.session(asked.filters.tenant) as connection:
            if asked.likes:
                found = answer.answer(here, connection, asked)
                view = replace(view, found=found, cards=tuple(cards.found(here, asked, found)))
            else:
                rows = answer.browse(connection, asked.filters, asked.k, address.before(request.args))
                view = replace(view, cards=tuple(cards.newest(here, asked, rows)))
                if asked.less:
                    raise bad_request("Say also what it should be like: words, a photo or a picture.", "query_error")
    except NoSpace:
        return replace(view, empty_site=True)
    except _FAILURES as error:
        view = replace(view, problem=of(error))
    return _count(here, view)


def _count(here: Site, view: View) -> View:
    asked = view.asked
    began = time.perf_counter()
    try:
        with here.session(asked.filters.tenant) as connection:
            panel = facets.facets(here, connection, asked, tenants=access.me().tenant is None)
            digests = answer.details(connection, [*asked.more, *asked.less], asked.filters.tenant)
    except _FAILURES as error:
        return replace(view, problem=view.problem or of(error))
    took = (time.perf_counter() - began) * 1000
    return replace(view, panel=panel, facets_ms=took, examples=tuple(cards.examples(here, asked, digests)))


def _page(here: Site, view: View) -> Response:
    asked, found = view.asked, view.found
    html = render_template(
        "imgsearch/page.html",
        **_frame(here),
        view=view,
        asked=asked,
        pairs=address.pairs(here, asked),
        chips=cards.filters(here, asked, any_tenant=access.me().tenant is None),
        without_filters=address.of(here, replace(asked, filters=Filters(), after=None)),
        without_words=address.of(here, Asked(filters=asked.filters)),
        relaxed=_relaxed(here, view),
        ideas=cards.ideas(here, asked, view.panel),
        statement=(written := statement.of(asked, address.before(request.args))),
        statement_line=statement.on_one_line(written),
        explain=_beside(here, asked, "explain"),
        onward=_onward(here, view),
        swatches=facets.SWATCHES,
    )
    made = Response(html, view.problem.status if view.problem else 200)
    if request.headers.get("HX-Request"):
        goes_on = request.method == "POST" or "after" in request.args or "before" in request.args
        if goes_on or not view.problem:  # the address bar keeps what can be opened again
            made.headers["HX-Push-Url"] = "false" if goes_on else address.of(here, asked)
    if found is not None:
        parts = (("resolve", found.resolve_ms), ("sql", found.hits.took_ms), ("facets", view.facets_ms))
        made.headers["Server-Timing"] = ", ".join(f"{name};dur={took:.1f}" for name, took in parts)
    return made


def _onward(here: Site, view: View) -> str | None:
    """Answer where the page goes on; None at the end."""
    if len(view.cards) < view.asked.k:
        return None
    if view.found is not None:
        hits = view.found.hits
        return None if hits.after is None else address.of(here, view.asked, ("after", hits.after.replace(",", ":")))
    return address.of(here, view.asked, ("before", view.cards[-1].image_id))


def _relaxed(here: Site, view: View) -> list[tuple[Chip, int]]:
    """Nothing was found: answer which filter alone to leave out, and how many pictures that gives."""
    if view.cards or view.problem or view.empty_site or view.asked.after:
        return []
    with here.session(view.asked.filters.tenant) as connection:
        counted = [
            (Chip(kind="filter", label=label, without=address.of(here, less)), facets.matches(connection, less))
            for label, less in cards.looser(view.asked)
        ]
    return sorted((one for one in counted if one[1]), key=lambda one: -one[1])


def _frame(here: Site) -> dict[str, Any]:
    """Answer what every page shows: may pictures be added, is there somebody to sign out."""
    try:
        identity = access.me()
    except Problem:
        identity = None
    return {
        "may_add": identity is not None and identity.may("write"),
        "may_explain": identity is not None and identity.may("admin"),
        "signed_in": identity is not None and here.identify is None and not here.open_to_all,
        "tenant": None if identity is None else identity.tenant,
        "largest": here.settings.http_body,
        "own": own,
    }


def own(name: str) -> str:
    """Answer the address of a file of ours; it changes with the file, so that browsers may keep it for ever."""
    return url_for("imgsearch.static", filename=name, v=_version(name))


@cache
def _version(name: str) -> str:
    return sha256(files(__package__).joinpath("static", name).read_bytes()).hexdigest()[:12]


def _beside(here: Site, asked: Asked, place: str) -> str:
    where, mark, query = address.of(here, asked).partition("?")
    return f"{where}{place}{mark}{query}"


def _api(here: Site) -> str:
    return f"{here.url_prefix}/v1/"
