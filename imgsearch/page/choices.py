"""All values of one facet, as a list to search in and choose from; a script shows it within the filter panel."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from flask import Blueprint, Response, render_template, request, url_for

from imgsearch.http import access, values
from imgsearch.http.problem import Problem
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.state import AppState, app_state
from imgsearch.page import facets, reading, urls
from imgsearch.page.frame import frame


def mount(blueprint: Blueprint) -> None:
    """Add the route."""
    blueprint.add_url_rule("/choices", "choices", show)


def address(state: AppState, asked: SearchRequest) -> Callable[[str], str]:
    """Return the function that gives the address of the list of a facet, under the filters of a search."""
    given = urls.pairs(state, asked)
    return lambda name: url_for("imgsearch_page.choices") + "?" + urlencode([*given, ("facet", name)])


def show() -> Response:
    """Return the list of one facet."""
    state, name = app_state(), request.args.get("facet", "")
    asked, _ = reading.understood(state, request.args)
    asked = asked.of_tenant(access.tenant_of(asked.filters.tenant))
    if not (name == "category" or name[:2] == "a." != name or (name == "tenant" and access.me().tenant is None)):
        raise Problem(404, "not_found", "There is no such list of filters.")
    contains = request.args.get("contains", "").strip()
    with state.session(access.me().tenant) as connection:
        values.text("The filter", name)
        text = values.text("What to find", contains) if contains else None
        group = facets.listed(state, connection, asked, name, text)
    listed = {choice.value for choice in group.choices}
    pairs = urls.pairs(state, asked)
    html = render_template(
        "imgsearch/choices.html",
        **frame(state),
        group=group,
        contains=contains,
        pairs=pairs,
        kept=[(key, value) for key, value in pairs if key != name or value not in listed],
        back=urls.url_of(state, asked),
        swatches=facets.SWATCHES,
    )
    return Response(html)
