"""Optional parts: what to install when one is missing. The base brings only what a web process that searches needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from imgsearch.errors import ExtraMissing

DISTRIBUTION = "imgsearch-postgres"  # the import name is imgsearch; on PyPI that name is somebody else's package
DEV = f"{DISTRIBUTION}-dev"  # embedded servers, the demo and its model: a distribution of its own


def install(extra: str) -> str:
    """Return the command that installs an extra; "dev" is a distribution of its own."""
    return f"pip install {DEV}" if extra == "dev" else f"pip install '{DISTRIBUTION}[{extra}]'"


@contextmanager
def needed(extra: str, purpose: str) -> Iterator[None]:
    """Import what `extra` brings inside this block. Raises ExtraMissing, with what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ExtraMissing(f"{purpose} needs {error.name}, which is not installed; run: {install(extra)}") from error
