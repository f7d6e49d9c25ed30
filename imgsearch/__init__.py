"""Image search inside Postgres: one noun, a vector beside your row, and one verb, anything → vector.

    from imgsearch import add, nearest, resolve
    from imgsearch.retrieval import search

Names are imported when they are first used: `import imgsearch` costs a web process next to nothing, and never torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgsearch.config import Settings, load
    from imgsearch.errors import ImgsearchError
    from imgsearch.ingest.attachment import attach, detach
    from imgsearch.ingest.upload import Added, add, remove
    from imgsearch.query import ImageId, Resolved, resolve
    from imgsearch.retrieval.hits import Hit, Hits
    from imgsearch.retrieval.nearest import nearest
    from imgsearch.sqlalchemy.models import Image

_HOMES = {
    "Added": "ingest.upload",
    "Hit": "retrieval",
    "Hits": "retrieval",
    "Image": "sqlalchemy.models",
    "ImageId": "query",
    "ImgsearchError": "errors",
    "Resolved": "query",
    "Settings": "config",
    "add": "ingest.upload",
    "attach": "ingest.attachment",
    "detach": "ingest.attachment",
    "load": "config",
    "nearest": "retrieval",
    "remove": "ingest.upload",
    "resolve": "query",
}

__all__ = [
    "Added",
    "Hit",
    "Hits",
    "Image",
    "ImageId",
    "ImgsearchError",
    "Resolved",
    "Settings",
    "add",
    "attach",
    "detach",
    "load",
    "nearest",
    "remove",
    "resolve",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"imgsearch.{_HOMES[name]}"), name)
