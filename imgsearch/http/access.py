"""Authentication and authorisation: API keys, browsers that signed in, anonymous use on loopback, rate limits."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from flask import Response, current_app, g, request
from psycopg import Connection

from imgsearch.errors import KeyEnded
from imgsearch.http import cookie, cross_site
from imgsearch.http.identity import EVERYBODY, Identity
from imgsearch.http.limiter import origin
from imgsearch.http.problem import Problem, TooMany, Unauthorized, bad_request
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.state import AppState, app_state
from imgsearch.http.waiting import asker
from imgsearch.ops import api_keys as keys
from imgsearch.ops import page_sessions
from imgsearch.ops.api_keys import Grant, Scope
from imgsearch.retrieval import Hits, limits
from imgsearch.retrieval.filters import Filters

MISSING_KEY = "Missing API key. Send Authorization: Bearer imgs_…; `imgsearch key create` makes a key."
INVALID_KEY = "Invalid API key: it is unknown or was revoked."
LEAST_KILOMETRES = 1  # of a circle that a key of scope search draws
TEXTS_AT_ONCE = 4  # that nobody has asked before, of one search with a key that stands in a browser
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
        cross_site.refuse_others_machines()
    if getattr(current_app.view_functions.get(request.endpoint or ""), "imgsearch_public", False) or _is_static():
        return None
    sent = request.authorization
    key = sent.token if sent and sent.type == "bearer" else None
    if not key:  # with a key it is a program, or a page that was given one
        cross_site.refuse(state)
    found = _identify(state, key)
    if not state.allow_anonymous:
        count(state, found)
    g.imgsearch_identity = found
    _ = state.secret  # read once, before a connection is held
    return None


def count(state: AppState, who: Identity) -> None:
    """Count a request of somebody, once; behind a key that stands in a browser, of each address. Raises TooMany."""
    if g.get("imgsearch_counted"):
        return
    g.imgsearch_counted = True
    apart = "" if who.limits is None else f"/{_origin()}"
    wait = state.limiter.take(f"{who.tenant or ''}/{who.name}{apart}")
    if wait:
        raise TooMany(wait)


def count_texts(state: AppState, count: int) -> None:
    """Count texts that a worker has to embed, behind a key that stands in a browser. Raises TooMany, Problem."""
    who = asker()
    if not count or len(who) < 2:
        return
    if count > TEXTS_AT_ONCE:
        reason = f"This search has {count} texts that nobody has asked before; a key with filters may bring"
        raise bad_request(f"{reason} {TEXTS_AT_ONCE}. Ask with fewer texts, or by image_id and product_id.")
    wait = state.limiter.take_texts(who, count)
    if wait:
        raise TooMany(wait, "Too many new texts from this address")


def count_address(state: AppState, what: str) -> None:
    """Count a request of nobody we know, by where it comes from; in this process alone. Raises TooMany."""
    wait = state.by_address.take(f"{what}/{_origin()}")
    if wait:
        raise TooMany(wait, "Too many requests from this address")


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


def within(asked: Filters) -> Filters:
    """Return filters within what whoever asks may see. Raises FilterError, Problem."""
    who = me()
    _check_captures(asked, who)
    return limits.within(asked, who.limits)


def _check_captures(asked: Filters, who: Identity) -> None:
    """Small circles about a product would tell where its pictures were taken: not every key may draw them."""
    captures = limits.captures_of(asked)
    if captures and who.limits is not None and not limits.captures_of(who.limits):
        raise Problem(
            403,
            "forbidden",
            f"This key does not filter by {captures[0][0]}: its own filters say nothing of when or where images were "
            "taken. Leave it out, or ask with a key without filters.",
        )
    radii = [limits.radius_of(value) for name, value in captures if name == "near"]
    if who.scope == "search" and any(radius is not None and radius < LEAST_KILOMETRES for radius in radii):
        raise bad_request(f"A key of scope search asks for circles of {LEAST_KILOMETRES} km and more; widen near.")


def leave(asked: SearchRequest, hits: Hits) -> None:
    """Leave the text of a search to be kept behind the answer, where its shop keeps what is asked there."""
    due = app_state().questions.due(asked, hits, me(), _origin())
    if due is not None:
        g.imgsearch_question = due


def _identify(state: AppState, key: str | None) -> Identity:
    if state.allow_anonymous:
        return EVERYBODY
    if state.identify is not None:
        found = state.identify()
        if found is None:
            raise Unauthorized("Not signed in: the application did not identify you.")
        return found
    session = None
    if key:
        grant = grant_of(state, key)
    elif not _is_api() and (session := cookie.token()):
        grant = signed_in(state, session)
    else:
        count_address(state, "nobody")
        raise Unauthorized(MISSING_KEY)
    g.imgsearch_used = (grant.handle, page_sessions.digest_of(session) if session else None)
    return identity_of(grant)


def identity_of(grant: Grant) -> Identity:
    """Return who holds a key: browsers that signed in with it are limited together with it."""
    return Identity(tenant=grant.tenant_id, scope=grant.scope, name=grant.handle, limits=grant.filters)


def grant_of(state: AppState, key: str) -> Grant:
    """Return what a key is worth. Raises Unauthorized, TooMany (wrong ones count by address)."""
    look = (lambda connection: keys.check(connection, key)) if keys.parts(key) else None
    return _looked_up(state, key, look, INVALID_KEY)


def signed_in(state: AppState, token: str) -> Grant:
    """Return what a browser's session is worth. Raises Unauthorized, TooMany."""
    known = page_sessions.is_well_formed(token)
    look = (lambda connection: page_sessions.find(connection, token)) if known else None
    return _looked_up(state, token, look, "Your session has ended; sign in again.")


def _looked_up(
    state: AppState, secret: str, look: Callable[[Connection[Any]], Grant | None] | None, wrong: str
) -> Grant:
    """Return what a secret is worth; the database is asked only for what could be one, and not for too many."""
    here = _origin()
    known = state.limiter.worked(secret)
    if known is not None:  # it worked before, so whoever asks too often is told without a look-up
        count(state, known)
    wait = state.limiter.may_try(here, secret)
    if wait:
        raise TooMany(wait, "Too many invalid API keys or ended sessions")
    grant: Grant | None = None
    refusal = Unauthorized(wrong)
    try:
        grant = state.sessions.ask(look) if look else None
        if look and grant is None and state.primary is not state.sessions:  # a replica hears of it a little later
            grant = state.primary.ask(look)
    except KeyEnded as ended:  # said to nobody but who has the right secret
        refusal = Unauthorized(str(ended), "key_expired")
    state.limiter.tried(here, secret, None if grant is None else identity_of(grant))
    if grant is None:
        raise refusal
    return grant


def _origin() -> str:
    return origin(request.remote_addr or "")  # a Unix socket has none


def _is_static() -> bool:
    return (request.endpoint or "").endswith(".static")


def _is_api() -> bool:
    return request.path.startswith(f"{app_state().url_prefix}/v1/")
