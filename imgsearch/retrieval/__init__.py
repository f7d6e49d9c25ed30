"""Nearest pictures that match: `search()` by named filters, `nearest()` over the caller's own SELECT."""

from imgsearch.retrieval.by_filters import search
from imgsearch.retrieval.explain import explain
from imgsearch.retrieval.filters import Filters
from imgsearch.retrieval.hits import Hit, Hits
from imgsearch.retrieval.nearest import nearest

__all__ = ["Filters", "Hit", "Hits", "explain", "nearest", "search"]
