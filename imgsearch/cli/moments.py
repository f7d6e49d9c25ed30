"""Times as people type them: 90d from now, 24h, or a date."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from imgsearch.errors import UsageError

_SPAN = re.compile(r"(\d{1,4})(m|h|d|w)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def span(text: str) -> timedelta:
    """Return a length of time: 30m, 24h, 90d, 2w. Raises UsageError."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text!r} is no length of time; write for example 30m, 24h, 90d or 2w.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def moment(text: str) -> datetime:
    """Return a time to come: a length of time from now, or a date or time in ISO 8601 (UTC unless it says otherwise).

    Raises UsageError.
    """
    if _SPAN.fullmatch(text.strip()):
        return datetime.now(UTC) + span(text)
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError as error:
        message = f"{text!r} is no time; write for example 90d, 2027-01-31 or 2027-01-31T12:00+01:00."
        raise UsageError(message) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def shown(moment: datetime | None) -> str:
    """Return a time to the minute in UTC, – for none."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" if moment else "–"
