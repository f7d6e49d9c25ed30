"""Which Postgres and which Redis: the configured ones, else the embedded ones of this home. Nobody else decides it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsearch.errors import DatabaseError

if TYPE_CHECKING:
    from imgsearch.dev.embedded import Servers
    from imgsearch.settings import Settings


def database_url(settings: Settings) -> str:
    """Return the database's libpq URL: the configured one, else the embedded server's if it is running.

    Raises DatabaseError when nothing is configured and no embedded server runs.
    """
    if settings.database_url:
        return settings.database_url
    servers = embedded_servers(settings)
    if servers is None:
        raise DatabaseError(
            f"No database is configured and no embedded server runs under {settings.home}. "
            "Set IMGSEARCH_DATABASE_URL, or start the embedded servers with `imgsearch up`."
        )
    return servers.database_url


def primary_url(settings: Settings) -> str:
    """Return the URL of the server that takes writes: the one configured for them, else the only one there is.

    Raises DatabaseError as `database_url` does.
    """
    return settings.primary_url or database_url(settings)


def direct_url(settings: Settings) -> str:
    """Return the URL for what keeps a session: the configured one, else the one for writes.

    Raises DatabaseError as `database_url` does.
    """
    return settings.direct_url or primary_url(settings)


def setting_of(settings: Settings, url: str) -> str:
    """Return the setting that a database's URL came from, for whoever has to correct it."""
    for name in ("direct_url", "primary_url"):
        if url and url == getattr(settings, name):
            return f"IMGSEARCH_{name.upper()}"
    return "IMGSEARCH_DATABASE_URL"


def redis_url(settings: Settings) -> str:
    """Return Redis's URL: the configured one, else the embedded server's; "" when there is neither.

    Nothing depends on Redis: without it, workers find their work a few seconds later.
    """
    if settings.redis_url:
        return settings.redis_url
    servers = embedded_servers(settings)
    return servers.redis_url if servers else ""


def embedded_servers(settings: Settings) -> Servers | None:
    """Return the embedded servers of this home, or None unless they run. Production images do not carry them."""
    try:
        from imgsearch.dev import embedded
    except ModuleNotFoundError:  # not part of what a web process installs
        return None
    return embedded.running(settings.home)
