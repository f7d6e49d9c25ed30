"""Authentication and authorisation: API keys, anonymous use on loopback, cross-site requests, rate limits."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from ipaddress import ip_address
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from flask import Response, current_app, g, request

from imgsearch.http.identity import EVERYBODY, Identity
from imgsearch.http.problem import Problem, TooMany, Unauthorized
from imgsearch.http.state import AppState, app_state
from imgsearch.ops import api_keys as keys
from imgsearch.ops.api_keys import Scope

COOKIE = "imgsearch_key"
MISSING_KEY = "Missing API key. Send Authorization: Bearer imgs_…; `imgsearch key create` makes a key."
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_View = TypeVar("_View", bound=Callable[..., Any])


def public(view: _View) -> _View:
    """Mark a view that needs no identity: health, static files, signed links, the sign-in form."""
    view.imgsearch_public = True  # type: ignore[attr-defined]
    return view


def needs(scope: Scope) -> Callable[[_View], _View]:
    """Mark what a view needs; without a mark it needs `search`."""

    def mark(view: _View) -> _View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if not me().may(scope):
                raise Problem(
                    403, "forbidden", f"This needs an API key of scope {scope}; yours has scope {me().scope}."
                )
            return view(*args, **kwargs)

        return cast("_View", guarded)

    return mark


def admit() -> Response | None:
    """Before each request: refuse cross-site and unauthenticated requests, and too many of them."""
    state = app_state()
    if request.method == "OPTIONS":
        return None  # a browser asks beforehand, without credentials; flask-cors answers it
    if state.allow_anonymous:
        _from_this_machine()
    if getattr(current_app.view_functions.get(request.endpoint or ""), "imgsearch_public", False) or _is_static():
        return None
    bearer = request.authorization if request.authorization and request.authorization.type == "bearer" else None
    if bearer is None and request.method not in _SAFE:
        from_our_own_page()
    found = _identify(state, bearer.token if bearer else None)
    wait = 0.0 if state.allow_anonymous else state.limiter.take(f"{found.tenant or ''}/{found.name}")
    if wait:
        raise TooMany(wait)
    g.imgsearch_identity = found
    _ = state.secret  # read once, before a connection is held
    return None


def me() -> Identity:
    """Return who asks."""
    found = g.get("imgsearch_identity")
    if not isinstance(found, Identity):
        raise Unauthorized(MISSING_KEY)
    return found


def tenant_of(wanted: str | None) -> str | None:
    """Return the tenant of this request: the identity's. A request may repeat it, never choose another."""
    mine = me().tenant
    if mine is None:
        return wanted
    if wanted is not None and wanted != mine:
        raise Problem(403, "other_tenant", "This API key belongs to another tenant; leave tenant out.")
    return mine


def _identify(state: AppState, token: str | None) -> Identity:
    if state.allow_anonymous:
        return EVERYBODY
    if state.identify is not None:
        found = state.identify()
        if found is None:
            raise Unauthorized("Not signed in: the application did not identify you.")
        return found
    key = token or (None if _is_api() else request.cookies.get(COOKIE))
    if not key:
        raise Unauthorized(MISSING_KEY)
    grant = grant_of(state, key)
    if grant is None:
        raise Unauthorized("Invalid API key: it is unknown or was revoked.")
    return Identity(tenant=grant.tenant_id, scope=grant.scope, name=grant.handle)


def grant_of(state: AppState, key: str) -> keys.Grant | None:
    """Return what a key is worth, None for a wrong one. Raises TooMany for an address that tries many wrong ones."""
    address = request.remote_addr or ""
    wait = state.limiter.may_try(address, key)
    if wait:
        raise TooMany(wait, "Too many invalid API keys from this address")
    grant = state.sessions.ask(lambda connection: keys.check(connection, key)) if keys.is_well_formed(key) else None
    state.limiter.tried(address, key, worked=grant is not None)
    return grant


def _from_this_machine() -> None:
    """Refuse requests through a proxy or by another host name (DNS rebinding)."""
    if any(name in request.headers for name in _FORWARDED):
        detail = "Without API keys only this machine is served; behind a proxy set IMGSEARCH_HTTP_KEYS=required."
        raise Problem(403, "not_local", detail)
    try:
        host = urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        host = ""
    if not is_loopback(host):
        raise Problem(403, "not_local", "Without API keys only this machine is served; open it as http://127.0.0.1.")


def from_our_own_page() -> None:
    """Refuse forms of other web sites (CSRF)."""
    fetch_site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if fetch_site is not None:
        good = fetch_site in {"same-origin", "none"}
    else:
        good = origin is None or urlsplit(origin).netloc == request.host
    if not good:
        raise Problem(403, "cross_site", "Cross-site request refused; use the page itself, or send an API key.")


def is_loopback(host: str) -> bool:
    """Return whether a host name or address can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_static() -> bool:
    return (request.endpoint or "").endswith(".static")


def _is_api() -> bool:
    return request.path.startswith(f"{app_state().url_prefix}/v1/")
