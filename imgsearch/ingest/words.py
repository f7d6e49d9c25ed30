"""What a product is called, and its categories where it has several: checked before the database has to refuse them."""

from __future__ import annotations

from typing import Any

from imgsearch import values
from imgsearch.errors import UsageError

TITLE = 1000  # characters of a product's title
WORDS = 10_000  # characters of its words
CODES = 100  # of a product
CODE = 100  # characters
CATEGORIES = 100  # of an image
CATEGORY = 200  # characters of one of several


def checked(title: object, words: object, codes: object) -> dict[str, Any]:
    """Return title, words and codes as statements bind them; None: not given. Raises UsageError.

    codes: several, or one text in which commas, semicolons or bars part them.
    """
    return {
        "title": None if title is None else _trimmed("title", title, TITLE),
        "words": None if words is None else _trimmed("words", words, WORDS),
        "codes": None if codes is None else _codes(codes),
    }


def _trimmed(name: str, text: object, most: int) -> str:
    """Blanks around it do not count, as they do not in SQL."""
    return values.text(text.strip(" ") if isinstance(text, str) else text, name, most)


def _codes(given: object) -> list[str]:
    parts = given.replace(";", ",").replace("|", ",").split(",") if isinstance(given, str) else given
    codes = _several("code", parts, CODE)
    if len(codes) > CODES:
        raise UsageError(f"A product has at most {CODES} codes, these are {len(codes)}; leave some out.")
    return codes


def checked_categories(given: object) -> list[str] | None:
    """Return an image's categories as statements bind them, without doubles and blanks; None where there are none.

    given: several, or one text in which bars part them. Raises UsageError.
    """
    parts = given.split("|") if isinstance(given, str) else () if given is None else given
    categories = sorted(_several("category", parts, CATEGORY))
    if len(categories) > CATEGORIES:
        raise UsageError(f"An image has at most {CATEGORIES} categories, these are {len(categories)}; leave some out.")
    return categories or None


def _several(name: str, parts: object, most: int) -> list[str]:
    """Return texts without doubles and blanks, in the order they came in."""
    stripped = (part.strip() if isinstance(part, str) else part for part in values.several(parts, name))
    return list(
        dict.fromkeys(values.line(part, name, most) for part in stripped if not (isinstance(part, str) and part == ""))
    )
