"""Anything → vector: resolve a question, and remember what was asked."""

from imgsearch.query.question import ImageId, Query, Resolved, Thing
from imgsearch.query.resolution import resolve, words_alone

__all__ = ["ImageId", "Query", "Resolved", "Thing", "resolve", "words_alone"]
