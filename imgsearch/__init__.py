"""Image search inside Postgres: one noun, a vector beside your row, and one verb, anything → vector.

    from imgsearch import add, nearest, resolve, search

Everything people use is here by name: functions, results, and every error. Names are imported when they are first used:
`import imgsearch` costs a web process next to nothing, and never torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from imgsearch.extras import needed

if TYPE_CHECKING:
    from imgsearch.errors import (
        AttachmentError,
        Busy,
        CalibrationError,
        CatalogueError,
        DatabaseError,
        DatabaseRights,
        DatabaseUnreachable,
        DiskFull,
        EmbeddedError,
        ExtensionMissing,
        ExtraMissing,
        FetchFailed,
        FetchRefused,
        FilterError,
        ImgsearchError,
        JudgementError,
        KeyEnded,
        ModelError,
        NoQueryWorker,
        NoSpace,
        ObjectMissing,
        PictureError,
        QueryError,
        QueryTimeout,
        SchemaAhead,
        SchemaBehind,
        SettingsError,
        SpaceBusy,
        SpaceChanged,
        SpaceError,
        SpaceGone,
        SpaceMismatch,
        SpaceNotFull,
        SpaceTaken,
        StoreDenied,
        StoreError,
        TextsNotUnderstood,
        UnknownImage,
        UnknownKey,
        UnknownSpace,
        UsageError,
        VectorError,
    )
    from imgsearch.ingest.attachment import (
        Attachment,
        Drift,
        attach,
        attach_query,
        attachments,
        backfill,
        detach,
        drift,
        refresh,
        repair,
    )
    from imgsearch.ingest.changes import Changed, change
    from imgsearch.ingest.upload import Added, Forgotten, Inspected, add, forget, inspected, remove, sweep_store
    from imgsearch.ingest.vectors import give_vectors
    from imgsearch.query import ImageId, ProductId, Query, Resolved, resolve
    from imgsearch.retrieval.by_filters import search
    from imgsearch.retrieval.by_select import nearest
    from imgsearch.retrieval.explain import explain
    from imgsearch.retrieval.filters import Filters
    from imgsearch.retrieval.hits import Hit, Hits
    from imgsearch.retrieval.listing import Listed, browse_products
    from imgsearch.retrieval.ranking import Ranking
    from imgsearch.retrieval.recommendation import recommend
    from imgsearch.settings import Settings
    from imgsearch.sqlalchemy.models import Image, pictures_of

__version__ = "0.1.0"

_HOMES = {
    "Added": "ingest.upload",
    "Attachment": "ingest.attachment",
    "Drift": "ingest.attachment",
    "AttachmentError": "errors",
    "Busy": "errors",
    "CalibrationError": "errors",
    "CatalogueError": "errors",
    "Changed": "ingest.changes",
    "DatabaseError": "errors",
    "DatabaseRights": "errors",
    "DatabaseUnreachable": "errors",
    "DiskFull": "errors",
    "EmbeddedError": "errors",
    "ExtensionMissing": "errors",
    "ExtraMissing": "errors",
    "FetchFailed": "errors",
    "FetchRefused": "errors",
    "FilterError": "errors",
    "Filters": "retrieval.filters",
    "Forgotten": "ingest.upload",
    "Hit": "retrieval.hits",
    "Hits": "retrieval.hits",
    "Image": "sqlalchemy.models",
    "ImageId": "query",
    "ImgsearchError": "errors",
    "Inspected": "ingest.upload",
    "JudgementError": "errors",
    "KeyEnded": "errors",
    "Listed": "retrieval.listing",
    "ModelError": "errors",
    "NoQueryWorker": "errors",
    "NoSpace": "errors",
    "ObjectMissing": "errors",
    "PictureError": "errors",
    "ProductId": "query",
    "Query": "query",
    "QueryError": "errors",
    "QueryTimeout": "errors",
    "Ranking": "retrieval.ranking",
    "Resolved": "query",
    "SchemaAhead": "errors",
    "SchemaBehind": "errors",
    "Settings": "settings",
    "SettingsError": "errors",
    "SpaceError": "errors",
    "SpaceBusy": "errors",
    "SpaceChanged": "errors",
    "SpaceGone": "errors",
    "SpaceMismatch": "errors",
    "SpaceNotFull": "errors",
    "SpaceTaken": "errors",
    "UnknownSpace": "errors",
    "StoreDenied": "errors",
    "StoreError": "errors",
    "TextsNotUnderstood": "errors",
    "UnknownImage": "errors",
    "UnknownKey": "errors",
    "UsageError": "errors",
    "VectorError": "errors",
    "add": "ingest.upload",
    "attach": "ingest.attachment",
    "attach_query": "ingest.attachment",
    "attachments": "ingest.attachment",
    "backfill": "ingest.attachment",
    "browse_products": "retrieval.listing",
    "change": "ingest.changes",
    "detach": "ingest.attachment",
    "drift": "ingest.attachment",
    "explain": "retrieval.explain",
    "forget": "ingest.upload",
    "give_vectors": "ingest.vectors",
    "inspected": "ingest.upload",
    "nearest": "retrieval.by_select",
    "pictures_of": "sqlalchemy.models",
    "recommend": "retrieval.recommendation",
    "refresh": "ingest.attachment",
    "remove": "ingest.upload",
    "repair": "ingest.attachment",
    "resolve": "query",
    "search": "retrieval.by_filters",
    "sweep_store": "ingest.upload",
}

__all__ = [
    "Added",
    "Attachment",
    "AttachmentError",
    "Busy",
    "CalibrationError",
    "CatalogueError",
    "Changed",
    "DatabaseError",
    "DatabaseRights",
    "DatabaseUnreachable",
    "DiskFull",
    "Drift",
    "EmbeddedError",
    "ExtensionMissing",
    "ExtraMissing",
    "FetchFailed",
    "FetchRefused",
    "FilterError",
    "Filters",
    "Forgotten",
    "Hit",
    "Hits",
    "Image",
    "ImageId",
    "ImgsearchError",
    "Inspected",
    "JudgementError",
    "KeyEnded",
    "Listed",
    "ModelError",
    "NoQueryWorker",
    "NoSpace",
    "ObjectMissing",
    "PictureError",
    "ProductId",
    "Query",
    "QueryError",
    "QueryTimeout",
    "Ranking",
    "Resolved",
    "SchemaAhead",
    "SchemaBehind",
    "Settings",
    "SettingsError",
    "SpaceBusy",
    "SpaceChanged",
    "SpaceError",
    "SpaceGone",
    "SpaceMismatch",
    "SpaceNotFull",
    "SpaceTaken",
    "StoreDenied",
    "StoreError",
    "TextsNotUnderstood",
    "UnknownImage",
    "UnknownKey",
    "UnknownSpace",
    "UsageError",
    "VectorError",
    "add",
    "attach",
    "attach_query",
    "attachments",
    "backfill",
    "browse_products",
    "change",
    "detach",
    "drift",
    "explain",
    "forget",
    "give_vectors",
    "inspected",
    "nearest",
    "pictures_of",
    "recommend",
    "refresh",
    "remove",
    "repair",
    "resolve",
    "search",
    "sweep_store",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needed("sqlalchemy", f"imgsearch.{name}"):
        value = getattr(import_module(f"imgsearch.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
