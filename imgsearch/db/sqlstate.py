"""What a database error means: a driver's error → the typed error, with the cure in the message."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psycopg

from imgsearch import errors

# SQLSTATEs raised by our own functions (class IM), and the ones that mean "not set up".
_BY_STATE: dict[str, type[errors.ImgsearchError]] = {
    "IM001": errors.QueryError,
    "IM002": errors.NoSpace,
    "IM003": errors.QueryError,
    "IM004": errors.UnknownImage,
    "IM005": errors.QueryTimeout,
    "IM006": errors.QueryError,
    "IM007": errors.VectorError,
    "IM008": errors.FilterError,
    "IM009": errors.UsageError,
    "IM010": errors.AttachmentError,
    "IM021": errors.DatabaseRights,
    "IM022": errors.SpaceChanged,
    "IM023": errors.UnknownSpace,
    "IM024": errors.SpaceTaken,
    "IM025": errors.SpaceNotFull,
    "IM026": errors.SpaceBusy,
    "IM030": errors.TextsNotUnderstood,
    "IM031": errors.RegionError,
    "25006": errors.ReadOnlyDatabase,
    "42501": errors.DatabaseRights,
    "53100": errors.DiskFull,
    **dict.fromkeys(("57P01", "57P02", "57P03"), errors.DatabaseUnreachable),  # the server is restarted
    "3F000": errors.SchemaBehind,
    "42P01": errors.SchemaBehind,
    "42883": errors.SchemaBehind,
    "42703": errors.SchemaBehind,
}


class Said(NamedTuple):
    """What a server said."""

    state: str
    message: str
    hint: str | None
    detail: str | None


def translate(error: BaseException | None, setting: str = "IMGSEARCH_DATABASE_URL") -> errors.ImgsearchError | None:
    """Return the typed error for an error of psycopg or asyncpg, or None when it is not ours to explain.

    setting: where the address of a server that cannot be reached is to be looked at.
    """
    state, message, hint, detail = _said(error)
    kind = _BY_STATE.get(state)
    if state == "IM040":
        return errors.PictureError("duplicate", f"{message}. {hint}", int(detail or 0))
    if state == "0A000" and "during recovery" in message:
        kind = errors.ReadOnlyDatabase
    elif state == "40001" and "conflict with recovery" in message:
        kind = errors.DatabaseUnreachable  # a replica took away what this statement still read
    elif state in {"58P01", "42883"} and _is_pgvector(message):
        kind = errors.ExtensionMissing
    if kind is None and _is_refusal(error, state):
        return errors.UsageError(f"The database refuses a value: {' '.join(message.split())[:500]}. Correct it.")
    if kind is None:
        if isinstance(error, psycopg.OperationalError) and not state:
            said = " ".join(message.split()).rstrip(".?")
            return errors.DatabaseUnreachable(f"The database cannot be reached ({said}). Check {setting}.")
        return None
    if kind is errors.SchemaBehind and "imgsearch" not in message:
        return None
    if kind is errors.SchemaBehind:
        hint = "Run `imgsearch db upgrade`."
    elif kind is errors.DatabaseRights and not hint:
        hint = "Ask the owner of the database to grant it, or connect as a role that has it."
    elif kind is errors.DatabaseUnreachable:
        hint = "Try again."
    elif kind is errors.DiskFull:
        hint = "Make room where the database writes, and try again: nothing that was there is lost."
    elif kind is errors.ReadOnlyDatabase:
        hint = str(errors.ReadOnlyDatabase())
    elif kind is errors.ExtensionMissing:
        hint = "This server lacks the pgvector the database was made with; install it here, as on the primary."
    return kind(f"{message}. {hint}" if hint else message)


def _said(error: BaseException | None) -> Said:
    """Return what the server said: psycopg has it in `diag`; asyncpg in its own error, which SQLAlchemy wraps."""
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""  # the latter is psycopg2's
    diag = getattr(error, "diag", None)
    if diag is not None:
        return Said(state, diag.message_primary or str(error).strip(), diag.message_hint, diag.message_detail)
    own = error if hasattr(error, "message") else getattr(error, "__cause__", None)
    message = getattr(own, "message", None) or str(error).strip()
    return Said(state, message, getattr(own, "hint", None), getattr(own, "detail", None))


def _is_refusal(error: BaseException | None, state: str) -> bool:
    """Return whether a value is to blame: of the wrong kind (class 22), against a rule (23), too large (54), no name or
    expression (42); or psycopg could not even send it."""
    unsent = isinstance(error, psycopg.DataError | psycopg.ProgrammingError) and not state
    by_class = state[:2] in {"22", "23", "54"} and state != "22012"  # a division is nobody's value
    return unsent or by_class or state in {"42601", "42602", "42622"}


def _is_pgvector(message: str) -> bool:
    """Return whether a library or a function of it was not found that is pgvector's."""
    return "vector" in message and ("could not access file" in message or "could not find function" in message)


@contextmanager
def translated(setting: str = "IMGSEARCH_DATABASE_URL") -> Iterator[None]:
    """Turn psycopg errors raised inside into imgsearch errors; others pass unchanged."""
    try:
        yield
    except psycopg.Error as error:
        typed = translate(error, setting)
        if typed is None:
            raise
        raise typed from error
    except (UnicodeEncodeError, OverflowError, struct.error) as error:  # psycopg's own, of a value it cannot send
        raise errors.UsageError(f"A value cannot be sent to the database ({error}); correct it.") from error
