"""The fixtures of the HTTP tests serve the page's too."""

from __future__ import annotations

from tests.http.conftest import anyone, app, client, key_of, open_app, shop, teach

__all__ = ["anyone", "app", "client", "key_of", "open_app", "shop", "teach"]
