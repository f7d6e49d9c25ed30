"""Who may ask what: keys, the open site of one machine, other web sites' pages, and how often."""

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


def open_to_strangers(view: _View) -> _View:
    """Mark a view that needs no identity: health, static files, signed links, the sign-in form."""
    view.imgsearch_open = True  # type: ignore[attr-defined]
    return view


def needs(scope: Scope) -> Callable[[_View], _View]:
    """Mark what a view needs; without a mark it needs `search`."""

    def mark(view: _View) -> _View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if not me().may(scope):
                raise Problem(403, "forbidden", f"This needs a key of scope {scope}; yours is {me().scope}.")
            return view(*args, **kwargs)

        return cast("_View", guarded)

    return mark


def admit() -> Response | None:
    """Before each request: refuse what comes from another site or from nobody we know, and who asks too often."""
    here = app_state()
    if request.method == "OPTIONS":
        return None  # a browser asks beforehand, without credentials; flask-cors answers it
    if here.allow_anonymous:
        _from_this_machine()
    if getattr(current_app.view_functions.get(request.endpoint or ""), "imgsearch_open", False) or _is_static():
        return None
    bearer = request.authorization if request.authorization and request.authorization.type == "bearer" else None
    if bearer is None and request.method not in _SAFE:
        from_our_own_page()
    found = _identify(here, bearer.token if bearer else None)
    wait = 0.0 if here.allow_anonymous else here.limiter.take(f"{found.tenant or ''}/{found.name}")
    if wait:
        raise TooMany(wait)
    g.imgsearch_identity = found
    _ = here.secret  # read once, before a connection is held
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
        raise Problem(403, "other_tenant", "This key reaches another tenant's pictures only; leave the tenant out.")
    return mine


def _identify(here: AppState, token: str | None) -> Identity:
    if here.allow_anonymous:
        return EVERYBODY
    if here.identify is not None:
        found = here.identify()
        if found is None:
            raise Unauthorized("The application does not know who you are; sign in.")
        return found
    key = token or (None if _is_api() else request.cookies.get(COOKIE))
    if not key:
        raise Unauthorized(MISSING_KEY)
    grant = grant_of(here, key)
    if grant is None:
        raise Unauthorized("Invalid API key: it is unknown or was revoked.")
    return Identity(tenant=grant.tenant_id, scope=grant.scope, name=grant.handle)


def grant_of(here: AppState, key: str) -> keys.Grant | None:
    """Return what a key is worth, None for a wrong one. Raises TooMany for an address that tries many wrong ones."""
    address = request.remote_addr or ""
    wait = here.limiter.may_try(address, key)
    if wait:
        raise TooMany(wait, "Too many invalid API keys from this address")
    grant = here.sessions.ask(lambda connection: keys.check(connection, key)) if keys.is_well_formed(key) else None
    here.limiter.tried(address, key, worked=grant is not None)
    return grant


def _from_this_machine() -> None:
    """An open site is for people at this machine: not through a proxy, nor by a name that a web site made up."""
    if any(name in request.headers for name in _FORWARDED):
        detail = "This site runs without keys for this machine alone; behind a proxy set IMGSEARCH_HTTP_KEYS=required."
        raise Problem(403, "not_local", detail)
    try:
        host = urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        host = ""
    if not is_loopback(host):
        raise Problem(403, "not_local", "This site runs without keys for this machine alone; open it as 127.0.0.1.")


def from_our_own_page() -> None:
    """A form of another web site must not act in the name of whoever looks at it (CSRF)."""
    fetch_site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if fetch_site is not None:
        good = fetch_site in {"same-origin", "none"}
    else:
        good = origin is None or urlsplit(origin).netloc == request.host
    if not good:
        raise Problem(403, "cross_site", "This came from another web site's page; use our own, or send a key.")


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
