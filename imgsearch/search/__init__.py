"""Nearest pictures that match: `search()` by named filters, `nearest()` over the caller's own SELECT."""

from imgsearch.search.explain import explain
from imgsearch.search.hits import Hit, Hits
from imgsearch.search.nearest import nearest
from imgsearch.search.statement import search

__all__ = ["Hit", "Hits", "explain", "nearest", "search"]
