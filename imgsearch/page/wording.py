"""What the page says, in the language of the shop. English stands in the templates; a catalogue holds the others.

Two languages need no library: one that knows all the world's (babel) weighs ten megabytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from imgsearch.page_settings import LANGUAGES
from imgsearch.settings import Settings

# Signs of the decimal point and of thousands, and how an amount and its currency stand together.
_WRITTEN: dict[str, tuple[str, str, str]] = {
    "en": (".", ",", "{sign}{amount}"),
    "de": (",", ".", "{amount}\N{NBSP}{sign}"),
}
_SIGNS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹", "KRW": "₩", "PLN": "zł", "CZK": "Kč", "TRY": "₺"}
_WITHOUT_CENTS = frozenset({"JPY", "KRW", "CLP", "ISK", "VND", "XAF", "XOF", "PYG", "UGX"})  # ISO 4217: no minor unit


@dataclass(frozen=True)
class Wording:
    """How one shop's page speaks. Texts hold {names} that are put in."""

    language: str = "en"
    currency: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    script: Mapping[str, str] = field(default_factory=dict)  # those that the page's scripts say

    def say(self, text: str, /, **values: Any) -> str:
        """Return a text in the page's language."""
        found = self.texts.get(text, text)
        return found.format_map({name: self._value(value) for name, value in values.items()}) if values else found

    def count(self, one: str, many: str, n: int, /, **values: Any) -> str:
        """Return the text for one, or the text for many with {n} in it."""
        return self.say(one if n == 1 else many, n=n, **values)

    def number(self, value: float) -> str:
        """Return a number as people write it, with as few places as it has."""
        return self._signs(f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".removesuffix(".00"))

    def price(self, amount: float, *, short: bool = False) -> str:
        """Return a price with its currency; `short`: without places where it is whole."""
        places = 0 if self.currency in _WITHOUT_CENTS or (short and amount == int(amount)) else 2
        written = self._signs(f"{amount:,.{places}f}")
        if not self.currency:
            return written
        sign = _SIGNS.get(self.currency)
        _, _, order = _WRITTEN[self.language]
        return order.format(amount=written, sign=sign) if sign else f"{written}\N{NBSP}{self.currency}"

    @property
    def marks(self) -> tuple[str, str]:
        """What stands before the decimals of a number, and between its thousands."""
        return _WRITTEN[self.language][:2]

    def _value(self, value: Any) -> str:
        return self.number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)

    def _signs(self, written: str) -> str:
        point, thousands, _ = _WRITTEN[self.language]
        return written.translate({ord(","): thousands, ord("."): point})


def wording(settings: Settings) -> Wording:
    """Return how the page of these settings speaks."""
    found = catalogue(settings.page_language)
    return Wording(settings.page_language, settings.page_currency, found["page"], found["script"])


@cache
def catalogue(language: str) -> Mapping[str, Mapping[str, str]]:
    """Return {"page": {English: translated}, "script": …}; both are empty in English."""
    if language == LANGUAGES[0]:
        return {"page": {}, "script": {}}
    found: Mapping[str, Mapping[str, str]] = json.loads(
        files(__package__).joinpath("languages", f"{language}.json").read_text("utf-8")
    )
    return found
