"""Signing in to the page with a key, kept in a cookie that no script reads and no other site sends along."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, redirect, render_template, request, url_for

from imgsearch.http import access
from imgsearch.http.state import AppState, app_state
from imgsearch.page.frame import frame


def mount(blueprint: Blueprint) -> None:
    """Add the routes."""

    @access.public
    def enter() -> Any:
        state, key = app_state(), request.form.get("key", "").strip()
        access.from_our_own_page()
        onward = _inside(state, request.form.get("next", ""))
        grant = access.grant_of(state, key)
        if grant is None:
            wrong = "Invalid API key: it is unknown or was revoked."
            html = render_template("imgsearch/error.html", **frame(state), signed_out=True, wrong=wrong, next=onward)
            return Response(html, 401)
        left = redirect(onward, 303)
        path = state.url_prefix or "/"
        left.set_cookie(access.COOKIE, key, httponly=True, samesite="Lax", secure=request.is_secure, path=path)
        return left

    @access.public
    def leave() -> Any:
        access.from_our_own_page()
        left = redirect(url_for("imgsearch_page.show"), 303)
        left.delete_cookie(access.COOKIE, path=app_state().url_prefix or "/")
        return left

    blueprint.add_url_rule("/sign-in", "sign_in", enter, methods=["POST"])
    blueprint.add_url_rule("/sign-out", "sign_out", leave, methods=["POST"])


def _inside(state: AppState, wanted: str) -> str:
    """Return where to go on: an address of this page and of no other site."""
    parts = urlsplit(wanted)
    ours = wanted.startswith(f"{state.url_prefix}/") and not wanted.startswith("//") and "\\" not in wanted
    return (
        wanted
        if ours and not parts.scheme and not parts.netloc and wanted.isprintable()
        else url_for("imgsearch_page.show")
    )
