"""System checks: what `manage.py check`, and with a database `check --database default`, say of image search.

Whatever migrations mend is a warning: `migrate` runs these checks first and stops at an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.core import checks
from django.db import connections
from django.db.utils import Error as DjangoDatabaseError

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import driver
from imgsearch.django import paths, site
from imgsearch.errors import DatabaseError, ExtensionMissing, ImgsearchError, NoSpace, SettingsError
from imgsearch.schema import migrate

_MIGRATE = "Run `manage.py migrate imgsearch`."


def register() -> None:
    """Register the checks; the last looks into the database and runs only where Django may."""
    checks.register(check_settings, "imgsearch")
    checks.register(check_models, "imgsearch")
    checks.register(check_paths, "imgsearch")
    checks.register(check_database, "imgsearch", checks.Tags.database)


def check_settings(app_configs: Any = None, **_: Any) -> list[checks.CheckMessage]:
    """E001 settings that make no sense, E002 a database that is not Postgres on psycopg 3."""
    try:
        site.settings()
        alias = site.alias()
    except SettingsError as error:
        return [checks.Error(str(error), hint="Correct IMGSEARCH in the Django settings.", id="imgsearch.E001")]
    connection = connections[alias]
    if connection.vendor != "postgresql" or not _psycopg3(connection):
        return [
            checks.Error(
                f"imgsearch needs Postgres through psycopg 3; {alias!r} is {connection.display_name}.",
                hint='Set IMGSEARCH["DATABASE"] to the alias of a Postgres database, and install psycopg[binary].',
                id="imgsearch.E002",
            )
        ]
    return []


def check_models(app_configs: Any = None, **_: Any) -> list[checks.CheckMessage]:
    """E010 two models whose images would have the same keys."""
    found: dict[str, Any] = {}
    wrong: list[checks.CheckMessage] = []
    for model in apps.get_models():
        mapping = model.__dict__.get("_imgsearch")
        if mapping is None or mapping.pictures or mapping.of:
            continue
        other = found.setdefault(mapping.prefix, model)
        if other._meta.concrete_model is not model._meta.concrete_model:  # noqa: SLF001
            message = f"Images of {model._meta.label} and {other._meta.label} would have the same keys."  # noqa: SLF001
            hint = f'Tell them apart: @searchable(prefix="{model._meta.model_name}:", …) on one of them.'  # noqa: SLF001
            wrong.append(checks.Error(message, hint=hint, obj=model, id="imgsearch.E010"))
    return wrong


def check_paths(app_configs: Any = None, **_: Any) -> list[checks.CheckMessage]:
    """E011 to E016: names in @searchable that lead nowhere, to many rows, or to what cannot be used."""
    wrong: list[checks.CheckMessage] = []
    for model in apps.get_models():
        if "_imgsearch" in model.__dict__:
            wrong += [
                checks.Error(one.message, hint=one.hint, obj=model, id=f"imgsearch.{one.code}")
                for one in paths.wrong_paths(model)
            ]
    return wrong


def check_database(
    app_configs: Any = None, databases: Sequence[str] | None = None, **_: Any
) -> list[checks.CheckMessage]:
    """W003 pgvector, W004 schema behind, W005 no model yet, W006 another model, W007 the index, W008 files that
    workers may not read, W009 no connection"""
    if check_settings() or site.alias() not in (databases or ()):
        return []
    try:
        lent = driver(connections[site.alias()])
        return list(_found(lent))
    except (ImgsearchError, DjangoDatabaseError) as error:
        return [checks.Warning(f"The database cannot be looked at: {error}", id="imgsearch.W009")]


def _found(lent: Any) -> Iterator[checks.CheckMessage]:
    try:
        migrate.check(lent)
    except ExtensionMissing as error:
        yield checks.Warning(str(error), hint="The first migration creates it if it may.", id="imgsearch.W003")
        return
    except DatabaseError as error:
        yield checks.Warning(str(error), hint=_MIGRATE, id="imgsearch.W004")
        return
    for attached in sql.rows(lent, "django", "bases"):
        if unfetched := site.unfetched(attached["base"]):
            yield checks.Warning(f"{attached['name']}: {unfetched}", id="imgsearch.W008")
    status = sql.run(lent, "status", "status").fetchone() or {}
    model = site.settings().model
    if status["model"] is None:
        yield checks.Warning("No model has written here yet.", hint=str(NoSpace()), id="imgsearch.W005")
        return
    if model and model != status["model"]:
        message = f"IMGSEARCH_MODEL is {model}, but the vectors here were made by {status['model']}."
        yield checks.Warning(message, hint=f"Set it to {status['model']}.", id="imgsearch.W006")
    if status["index_health"] != "valid":
        message = f"The vector index of space {status['space_id']}: {status['index_health']}."
        hint = "Searches stay complete, but rank every candidate. Look at `manage.py imgsearch status`."
        yield checks.Warning(message, hint=hint, id="imgsearch.W007")


def _psycopg3(connection: Any) -> bool:
    return getattr(connection.Database, "__name__", "") == "psycopg"
