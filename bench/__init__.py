"""Measures filtered search on imgsearch's own schema: every single method, the product, other engines."""
