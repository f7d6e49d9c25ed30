"""What other web sites make a browser send: refused before it costs anything, where the browser would be let in.

Browsers say where a request comes from (Sec-Fetch-Site; old ones Origin or Referer); curl and programs say nothing.
A link from elsewhere may open the page. On an open site it opens the bare page alone: a search costs, and there nobody
has signed in.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from flask import request

from imgsearch.http.problem import Problem
from imgsearch.http.state import AppState

CODE = "cross_site"
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def refuse(state: AppState) -> None:
    """Refuse a request that another site's page sends with the rights of whoever looks at it. Raises Problem."""
    if _is_ours():
        return
    safe = request.method in _SAFE
    api = request.path.startswith(f"{state.url_prefix}/v1/")
    listed = request.headers.get("Origin") in state.settings.http_cors
    if api and listed and (safe or state.allow_anonymous):
        return
    bare = request.path == f"{state.url_prefix}/" and not request.query_string
    if safe and not api and is_navigation() and (bare or not state.allow_anonymous):
        return
    raise Problem(403, CODE, "Cross-site request refused; use the page itself, or send an API key.")


def is_navigation() -> bool:
    """Return whether somebody follows a link, rather than a page loading one of its parts."""
    mode = request.headers.get("Sec-Fetch-Mode")
    if mode is not None:
        return mode == "navigate" and request.headers.get("Sec-Fetch-Dest") == "document"
    return request.headers.get("Accept", "").startswith("text/html")


def refuse_others_machines() -> None:
    """Refuse requests through a proxy or by another host name (DNS rebinding). Raises Problem."""
    if any(name in request.headers for name in _FORWARDED):
        detail = "Without API keys only this machine is served; behind a proxy set IMGSEARCH_HTTP_KEYS=required."
        raise Problem(403, "not_local", detail)
    try:
        host = urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        host = ""
    if not is_loopback(host):
        raise Problem(403, "not_local", "Without API keys only this machine is served; open it as http://127.0.0.1.")


def is_loopback(host: str) -> bool:
    """Return whether a host name or address can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_ours() -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in {"same-origin", "none"}
    sender = request.headers.get("Origin") or request.headers.get("Referer")
    try:
        return sender is None or urlsplit(sender).netloc == request.host
    except ValueError:
        return False
