"""The cookie of a browser that signed in: a session's token, which no script reads and no other site sends along.

Where the request came by TLS, the browser is told to send it by TLS alone, and its name (`__Host-`, below a prefix or
a mount `__Secure-`) keeps a neighbouring host from planting one. SameSite is Lax, not Strict: a search that a
colleague sends by mail opens without signing in again; what Strict would hold back beside that, `cross_site` refuses.
"""

from __future__ import annotations

from typing import Any

from flask import Response, request
from werkzeug.wrappers import Response as AnyResponse

from imgsearch.http.state import app_state

NAME = "imgsearch_session"


def name() -> str:
    """Return what the cookie is called where this request came from."""
    if not request.is_secure:
        return NAME
    return f"__Host-{NAME}" if _path() == "/" else f"__Secure-{NAME}"


def token() -> str | None:
    """Return the token that the browser sent."""
    return request.cookies.get(name()) or None


def keep(response: Response | AnyResponse, token: str) -> None:
    """Have the browser keep a token until it is closed."""
    response.set_cookie(name(), token, **_attributes())


def drop(response: Response | AnyResponse) -> None:
    """Have the browser forget its token."""
    response.delete_cookie(name(), **_attributes())


def _attributes() -> dict[str, Any]:
    return {"path": _path(), "secure": request.is_secure, "httponly": True, "samesite": "Lax"}


def _path() -> str:
    return request.script_root + (app_state().url_prefix or "/")
