"""OpenTelemetry spans, where the host has OpenTelemetry installed and set up; nothing at all elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

from imgsearch.ingest.queue import Claim


def span(name: str, claim: Claim | None = None, **attributes: Any) -> AbstractContextManager[Any]:
    """Return a span around one step; of one picture, where `claim` is given. The tenant is named, never the address."""
    tracer = _tracer()
    if tracer is None:
        return nullcontext()
    if claim is not None:
        attributes |= claim.names()
    named = {f"imgsearch.{key}": value for key, value in attributes.items()}
    started: AbstractContextManager[Any] = tracer.start_as_current_span(name, attributes=named)
    return started


@cache
def _tracer() -> Any:
    try:
        from opentelemetry import trace  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    return trace.get_tracer("imgsearch")
