"""Anything → vector: resolve a question, and remember what was asked."""

from imgsearch.query.resolution import ImageId, Query, Resolved, resolve

__all__ = ["ImageId", "Query", "Resolved", "resolve"]
