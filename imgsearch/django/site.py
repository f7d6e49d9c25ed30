"""What a Django project says of imgsearch: its settings, its database, its picture store.

`IMGSEARCH = {"MODEL": …, "STORAGE_URL": …}` in settings.py, or single `IMGSEARCH_…` names, over the environment.
`IMGSEARCH["DATABASE"]` names the alias of DATABASES that holds the schema; without it, `default`.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from django.conf import settings as project
from django.db import DEFAULT_DB_ALIAS, connections

from imgsearch.errors import SettingsError
from imgsearch.ingest import upload
from imgsearch.ingest.wakeup import notify_workers
from imgsearch.settings import Settings, load_settings
from imgsearch.storage import Store


@cache
def settings() -> Settings:
    """Return the settings, read once per process; those of the project come before those of the environment.

    Raises SettingsError.
    """
    return load_settings(_given())


def forget_settings(**_: object) -> None:
    """Read the settings anew when they are next asked for: a test has overridden some (`override_settings`)."""
    settings.cache_clear()


def alias() -> str:
    """Return the alias of the database that holds schema imgsearch. Raises SettingsError for one that is not there."""
    name = _table().get("DATABASE", DEFAULT_DB_ALIAS)
    if name not in connections:
        raise SettingsError(f'IMGSEARCH["DATABASE"] is {name!r}, which DATABASES does not have; name one it has.')
    return str(name)


def store() -> Store:
    """Return the picture store."""
    return upload.open_store(settings().storage_url)


def notify_query_workers() -> bool:
    """Tell the query workers that something was asked, where a broker is configured."""
    return notify_workers(settings(), "queries")


def database_url(name: str) -> str:
    """Return the libpq URL of a database of this project, for the processes of imgsearch itself."""
    given = connections[name].get_connection_params()
    known = {key: value for key, value in given.items() if isinstance(value, str | int) and key not in _DJANGOS_OWN}
    return "postgresql:///?" + urlencode({k: v for k, v in known.items() if v != ""}, quote_via=quote)


def unfetched(base: str | None) -> str | None:
    """Return why workers would refuse every picture below a base of attach(), None where they would not.

    Their own setting counts; where it is not this project's, the warning names it.
    """
    place = urlsplit(base or "")
    if place.scheme != "file":
        return None
    folder = Path(unquote(place.path)).resolve()
    if any(folder.is_relative_to(Path(one).resolve()) for one in settings().fetch_folders):
        return None
    return (
        f"Pictures are read from {folder}, which IMGSEARCH_FETCH_FOLDERS does not name: all would be refused. "
        f'Set it where workers run, and here: IMGSEARCH = {{"FETCH_FOLDERS": "{folder}"}}.'
    )


def environment() -> dict[str, str]:
    """Return the environment in which a process of imgsearch works on this project's database and store.

    It is no process of the project: with DJANGO_SETTINGS_MODULE, Celery's worker would set up all of it.
    """
    ours = settings().environment()
    inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    # The project's database is the one that counts, whatever DATABASE_URL says.
    return {**inherited, **ours, "IMGSEARCH_DATABASE_URL": database_url(alias())}


_DJANGOS_OWN = frozenset({"client_encoding", "prepare_threshold"})


def _table() -> dict[str, Any]:
    given = getattr(project, "IMGSEARCH", {})
    if not isinstance(given, dict):
        raise SettingsError('IMGSEARCH in the Django settings is a dictionary, as {"MODEL": "demo"}.')
    return given


def _given() -> dict[str, str]:
    single = {name: getattr(project, name) for name in dir(project) if name.startswith("IMGSEARCH_")}
    table = {name: value for name, value in _table().items() if name != "DATABASE"}
    return {name: str(value) for name, value in (single | table).items() if value is not None}
