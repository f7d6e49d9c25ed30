"""Anything → vector: resolve a question, and remember what was asked."""

from imgsearch.query.question import Crop, ImageId, ProductId, Query, Resolved, Thing
from imgsearch.query.resolution import resolve, words_alone
from imgsearch.query.vector import of_numbers

__all__ = ["Crop", "ImageId", "ProductId", "Query", "Resolved", "Thing", "of_numbers", "resolve", "words_alone"]
