"""What happens when a picture cannot be kept in step: the shop's write goes through, the picture is in the failures."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import psycopg
from django.db import connections, transaction

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import driver
from imgsearch.errors import ImgsearchError, PictureError, UsageError
from imgsearch.storage import UNREAD

_log = logging.getLogger("imgsearch.django")


def attempt(using: str, work: Callable[[], Any]) -> Exception | None:
    """Do work in a savepoint (outside a transaction: in one of its own); return what went wrong, undone.

    Raises only what ends the caller's transaction anyway: a lost connection, a conflict that is to be tried again.
    """
    try:
        with transaction.atomic(using=using):
            work()
    except Exception as error:  # whatever it is, the shop's row was written and stays
        if _ends_all(error, using):
            raise
        return error
    return None


def record(using: str, place: dict[str, Any], file: str, error: Exception, mend: str) -> int | None:
    """Put a picture into imgsearch.failures; return its image_id, None where not even that was possible.

    place: tenant, product and position. mend: the command that tries again.
    """
    code, said = _reason(error, file)
    message = f"{said} Then save the row again, or run `{mend}`."
    found: list[int] = []

    def write() -> None:
        lent = driver(connections[using])
        image = sql.value(lent, "django_pictures", "unread", {**place, "uri": f"{UNREAD}:{file}"})
        sql.run(lent, "django_pictures", "set_aside", {**place, "image_id": image, "code": code, "error": message})
        found.append(image)

    failed = attempt(using, write)
    if failed is not None:
        _log.error(
            "The picture of product %s could not be added (%s), nor that be written down: %s",
            place["product"],
            message,
            failed,
        )
        return None
    _log.warning("The picture of product %s could not be added: %s", place["product"], message)
    return found[0]


def note(what: str, instance: Any, error: Exception) -> None:
    """Say in the log what could not be done where there is no picture that could stand in the failures."""
    _log.error("imgsearch: %s of %s %s failed: %s", what, instance._meta.label, instance.pk, error)  # noqa: SLF001


def note_many(what: str, model: Any, error: Exception) -> None:
    """Say in the log what could not be done for several rows of a model."""
    label = model._meta.label  # noqa: SLF001
    _log.error("imgsearch: %s of %s failed: %s Run `manage.py imgsearch_backfill %s`.", what, label, error, label)


def mend_of(instance: Any) -> str:
    """Return the command that adds what is missing."""
    return f"manage.py imgsearch_backfill {instance._meta.label}"  # noqa: SLF001


def _reason(error: Exception, file: str) -> tuple[str, str]:
    """Return code and message of what went wrong, with what to do about it."""
    if isinstance(error, PictureError):
        return error.code, str(error)
    if isinstance(error, FileNotFoundError):
        return "missing", f"The storage has no file {file}; put it there or upload another."
    if isinstance(error, UsageError):
        return "refused", str(error)
    if isinstance(error, ImgsearchError):
        return "unavailable", str(error)
    return (
        "unreadable",
        f"{file} could not be read ({type(error).__name__}: {error}); check the storage and its rights.",
    )


def _ends_all(error: BaseException, using: str) -> bool:
    raised = error.__cause__ or error.__context__
    conflict = isinstance(raised, psycopg.errors.SerializationFailure)
    lent = connections[using].connection
    return conflict or lent is None or bool(getattr(lent, "closed", False))
