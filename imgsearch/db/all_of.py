"""Do a step with each of several things, so that one that fails keeps none behind it from its turn."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

log = logging.getLogger("imgsearch")
T = TypeVar("T")


def all_of(things: Iterable[T], step: Callable[[T], object]) -> None:
    """Do a step with all of them, then raise what the first that failed did; what else failed is logged.

    An interrupt ends it at once.
    """
    first: Exception | None = None
    for thing in things:
        try:
            step(thing)
        except Exception as error:  # noqa: BLE001 - also a bug keeps nothing else from its turn
            if first:
                log.warning("%s failed, too: %s", getattr(thing, "__name__", thing), str(error).partition("\n")[0])
            first = first or error
    if first:
        raise first
