"""What every page shows around its own content, and errors as pages."""

from __future__ import annotations

import logging
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from flask import Response, render_template, url_for

from imgsearch.errors import ImgsearchError
from imgsearch.http import access, cookie, cross_site
from imgsearch.http.problem import Problem
from imgsearch.http.problem import response as as_document
from imgsearch.http.state import AppState, app_state
from imgsearch.page import brand
from imgsearch.page.wording import wording
from imgsearch.picture.formats import ACCEPT, ACCEPTED

_log = logging.getLogger(__name__)
SCRIPTS = ("morph", "travel", "choices", "photo", "part", "larger", "slider", "suggest", "keys", "page")


def frame(state: AppState) -> dict[str, Any]:
    """Return what every page shows: the shop's looks and words, may pictures be added, is there somebody to sign out.

    `engineer`: SQL, distances and times are shown; `may_see_how`: they are there, behind a button.
    """
    try:
        identity = access.me()
    except Problem:
        identity = None
    given, words = state.settings, wording(state.settings)
    above = identity is not None and identity.may("admin") and identity.tenant is None
    return {
        "t": words.say,
        "tn": words.count,
        "num": words.number,
        "money": words.price,
        "lang": words.language,
        "script_words": words.script,
        "scripts": SCRIPTS,
        "shop_name": given.page_name,
        "logo": given.page_logo,
        "brand_css": brand.address(state),
        "currency": given.page_currency,
        "engineer": given.page_engineer == "on",
        "may_see_how": above or (identity is not None and given.page_engineer == "on"),
        "may_add": identity is not None and identity.may("write"),
        "may_explain": above,
        "signed_in": identity is not None and state.identify is None and not state.allow_anonymous,
        "tenant": None if identity is None else identity.tenant,
        "largest": state.settings.http_body,
        "accept": ACCEPT,
        "accepted": ACCEPTED,
        "own": own,
    }


def own(name: str) -> str:
    """Return the address of a file of ours; it changes with the file, so that browsers may keep it for ever."""
    return url_for("imgsearch_page.static", filename=name, v=_version(name))


@cache
def _version(name: str) -> str:
    return sha256(files(__package__).joinpath("static", name).read_bytes()).hexdigest()[:12]


def failed(found: Problem, *, nowhere: bool = False) -> Response:
    """Return an error as a page; whoever is not known is asked for a key. `nowhere`: no view was asked for it."""
    state = app_state()
    if found.code == cross_site.CODE and not cross_site.is_navigation():
        return as_document(found)  # a part of another site's page: nobody would see a page of ours
    signed_out = found.status == 401 and state.identify is None
    ended = signed_out and cookie.token() is not None
    shown = {"problem": found, "signed_out": signed_out, "wrong": found.detail if ended else None}
    try:
        html = render_template("imgsearch/error.html", **frame(state), **shown, nowhere=nowhere)
    except Exception as error:  # noqa: BLE001 - not even the frame can be made (a host's own template may be broken)
        if not isinstance(error, ImgsearchError):
            _log.exception("a template of the page cannot be rendered")
        return as_document(found)
    made = Response(html, found.status)
    made.headers.update({name: value for name, value in found.headers.items() if name != "WWW-Authenticate"})
    if ended:
        cookie.drop(made)
    return made
