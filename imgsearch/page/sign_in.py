"""Signing in to the page: a key is exchanged for a session, and the browser keeps that one's token, never the key."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, redirect, render_template, request, url_for

from imgsearch.http import access, cookie, cross_site
from imgsearch.http.problem import Problem, Unauthorized
from imgsearch.http.state import AppState, app_state
from imgsearch.ops import page_sessions
from imgsearch.page.frame import frame


def mount(blueprint: Blueprint) -> None:
    """Add the routes."""

    blueprint.add_url_rule("/sign-in", "sign_in", access.public(enter), methods=["POST"])
    blueprint.add_url_rule("/sign-out", "sign_out", access.public(leave), methods=["POST"])


def enter() -> Any:
    """Exchange a key for a session, and go on to where the browser was."""
    state, key = app_state(), request.form.get("key", "").strip()
    cross_site.refuse(state)
    onward = _inside(state, request.form.get("next", ""))
    try:
        grant = access.grant_of(state, key)
        access.count(state, access.identity_of(grant))
        token = state.primary.ask(lambda connection: page_sessions.begin(connection, key))
        if token is None:  # it ended just now
            raise Unauthorized(access.INVALID_KEY)
    except Unauthorized as refused:
        shown = {"signed_out": True, "wrong": refused.detail, "next": onward}
        return Response(render_template("imgsearch/error.html", **frame(state), **shown), 401)
    _end_session(state)  # one that this browser had before
    left = redirect(onward, 303)
    cookie.keep(left, token)
    return left


def leave() -> Any:
    """End the session: the token is worth nothing any more, wherever else it was kept."""
    state = app_state()
    cross_site.refuse(state)
    _end_session(state)
    left = redirect(url_for("imgsearch_page.show"), 303)
    cookie.drop(left)
    return left


def _end_session(state: AppState) -> None:
    token = cookie.token()
    if token and state.identify is None and not state.allow_anonymous:
        try:
            access.signed_in(state, token)
        except Problem:
            return
        state.primary.ask(lambda connection: page_sessions.end(connection, token))


def _inside(state: AppState, wanted: str) -> str:
    """Return where to go on: an address of this page and of no other site."""
    parts = urlsplit(wanted)
    here = f"{request.script_root}{state.url_prefix}/"  # also where a host or a proxy mounts the app below a path
    ours = wanted.startswith(here) and not wanted.startswith("//") and "\\" not in wanted
    return (
        wanted
        if ours and not parts.scheme and not parts.netloc and wanted.isprintable()
        else url_for("imgsearch_page.show")
    )
