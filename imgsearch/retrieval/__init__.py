"""Nearest pictures that match: `search()` by named filters, `nearest()` over the caller's own SELECT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgsearch.extras import needed
from imgsearch.retrieval.by_filters import search
from imgsearch.retrieval.explain import explain
from imgsearch.retrieval.filters import Filters
from imgsearch.retrieval.hits import Hit, Hits
from imgsearch.retrieval.ranking import Ranking

if TYPE_CHECKING:
    from imgsearch.retrieval.by_select import nearest

__all__ = ["Filters", "Hit", "Hits", "Ranking", "explain", "nearest", "search"]


def __getattr__(name: str) -> Any:
    """Import `nearest` when it is first asked for: only it needs SQLAlchemy."""
    if name != "nearest":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needed("sqlalchemy", "nearest()"):
        from imgsearch.retrieval.by_select import nearest
    globals()[name] = nearest
    return nearest
