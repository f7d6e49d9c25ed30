"""What the doctor knows of the picture store: whether other databases keep pictures in it."""

from __future__ import annotations

from typing import Any, Literal

import psycopg

from imgsearch.errors import StoreError
from imgsearch.ingest import picture_store
from imgsearch.ops.doctor import Finding
from imgsearch.settings import Settings
from imgsearch.storage import open_store, owners

SECONDS = 5.0  # for one request to a bucket


def examine(connection: psycopg.Connection[Any], settings: Settings) -> list[Finding]:
    """Return what is wrong with the picture store; reads only. Raises the database's typed errors."""
    try:
        others = picture_store.others_of(connection, open_store(settings.storage_url, SECONDS))
    except StoreError as error:
        return [_finding("picture store unreachable", "problem", str(error), "Pictures cannot be added or embedded.")]
    if not others:
        return []
    if [other.id for other in others] == [owners.UNKNOWN]:
        detail = "the picture store holds pictures from before a database left its mark there"
        impact = "What no row uses stays: it may be the pictures of another database."
        return [_finding("picture store unmarked", "advice", detail, impact)]
    detail = f"the picture store is also that of {' and '.join(map(str, others))}"
    return [
        _finding("picture store shared", "problem", detail, "Nothing is deleted from it: each would lose pictures.")
    ]


def _finding(check_name: str, severity: Literal["problem", "advice"], detail: str, impact: str) -> Finding:
    fix = (
        "imgsearch store take-over  -- where the other one is gone for good; else give each database a place of its "
        "own in IMGSEARCH_STORAGE_URL (imgsearch store copy fills it)"
    )
    return Finding(check_name=check_name, severity=severity, detail=detail, impact=impact, fix=fix)
