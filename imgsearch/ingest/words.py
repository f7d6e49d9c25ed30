"""What a product is called, and its categories where it has several: checked before the database has to refuse them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from imgsearch.errors import UsageError

TITLE = 1000  # characters of a product's title
WORDS = 10_000  # characters of its words
CODES = 100  # of a product
CODE = 100  # characters
CATEGORIES = 100  # of an image
CATEGORY = 200  # characters of one of several


def checked(title: str | None, words: str | None, codes: Iterable[str] | str | None) -> dict[str, Any]:
    """Return title, words and codes as statements bind them; None: not given. Raises UsageError.

    codes: several, or one text in which commas, semicolons or bars part them.
    """
    for name, text, most in (("title", title, TITLE), ("words", words, WORDS)):
        if text is None:
            continue
        if (many := len(text.strip(" "))) > most:
            raise UsageError(f"{name} has {many} characters, the limit is {most}; shorten it.")
        if "\0" in text:
            raise UsageError(f"{name} holds a null character; take it out.")
    return {"title": title, "words": words, "codes": None if codes is None else _codes(codes)}


def _codes(given: Iterable[str] | str) -> list[str]:
    parts = given.replace(";", ",").replace("|", ",").split(",") if isinstance(given, str) else given
    codes = list(dict.fromkeys(code for part in parts if (code := str(part).strip())))
    if len(codes) > CODES:
        raise UsageError(f"A product has at most {CODES} codes, these are {len(codes)}; leave some out.")
    if any(len(code) > CODE or "\0" in code for code in codes):
        raise UsageError(f"A code has at most {CODE} characters, none of them null; what is longer goes into words.")
    return codes


def checked_categories(given: Iterable[str] | str | None) -> list[str] | None:
    """Return an image's categories as statements bind them, without doubles and blanks; None where there are none.

    given: several, or one text in which bars part them. Raises UsageError.
    """
    parts = given.split("|") if isinstance(given, str) else given or ()
    categories = sorted({one for part in parts if (one := str(part).strip())})
    if len(categories) > CATEGORIES:
        raise UsageError(f"An image has at most {CATEGORIES} categories, these are {len(categories)}; leave some out.")
    if any(len(one) > CATEGORY or "\0" in one for one in categories):
        raise UsageError(f"One of several categories has at most {CATEGORY} characters, none of them null; shorten it.")
    return categories or None
