"""The path below which a proxy serves the app: believed only where it is a path.

It stands in redirects, links and the cookie: `//evil.com` or an address there would lead visitors elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_HEADER = "HTTP_X_FORWARDED_PREFIX"
_PATHS = re.compile(r"(?:/[\w.-]+)*/?(?:\s*,\s*(?:/[\w.-]+)*/?)*", re.ASCII)  # one of each proxy on the way


def believe_paths_alone(app: WSGIApplication) -> WSGIApplication:
    """Return an app that is told X-Forwarded-Prefix only where it is a path, or a list of paths."""

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not _PATHS.fullmatch(environ.get(_HEADER, "")):
            del environ[_HEADER]
        return app(environ, start_response)

    return guarded
