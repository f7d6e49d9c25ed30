"""Anything → vector: resolve a question, and remember what was asked."""

from imgsearch.query.question import ImageId, ProductId, Query, Resolved, Thing
from imgsearch.query.resolution import resolve, words_alone

__all__ = ["ImageId", "ProductId", "Query", "Resolved", "Thing", "resolve", "words_alone"]
