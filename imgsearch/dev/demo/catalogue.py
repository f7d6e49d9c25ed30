"""Which products does the demo shop sell? The same seed gives the same shop, whatever the count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, islice
from random import Random

from imgsearch.dev.demo import draw as drawing
from imgsearch.dev.demo.words import BACKGROUNDS, CATEGORIES, COLOURS, PATTERNS, PLAIN, Look, caption

TENANTS: dict[str, float] = {"acme": 0.60, "bazaar": 0.28, "corner": 0.10, "dune": 0.02}
"""Tenant → its share of the products: very different sizes, as in life."""

_BRANDS = ("Harbour", "Juniper", "Lumen", "Marlow", "Northway", "Otter", "Pebble", "Quill", "Saffron", "Tilde")


def _odds(words: Iterable[str], favourites: Mapping[str, float]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return words beside their cumulative weights; a word that is no favourite weighs 1."""
    known = tuple(words)
    return known, tuple(accumulate(favourites.get(word, 1.0) for word in known))


# Popular combinations on purpose: "red shoes, acme, under 50" must have pages of matches among 3,000 pictures.
_CATEGORY_ODDS = _odds(CATEGORIES, {name: category.popularity for name, category in CATEGORIES.items()})
_COLOUR_ODDS = _odds(COLOURS, {"red": 4.0, "black": 2.5, "blue": 2.5, "white": 2.0, "green": 1.5})
_PATTERN_ODDS = _odds(PATTERNS, {PLAIN: 4.0, "striped": 2.0, "dotted": 1.5})
_BACKGROUND_ODDS = _odds(BACKGROUNDS, {"white": 4.0, "studio": 2.0})
_TENANT_ODDS = _odds(TENANTS, TENANTS)
_VIEWS = (1, 1, 1, 2, 2, 2, 2, 3, 3, 3)
_IN_STOCK = 0.85


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of one product; pictures of the same product differ in `position` alone."""

    product_id: str
    tenant_id: str
    title: str
    caption: str
    category: str
    price: float
    """In the shop's currency, two decimals, greater than zero."""
    in_stock: bool
    attributes: Mapping[str, str]
    """colour, pattern, background, brand and, unless the product is plain, pattern_colour."""
    position: int
    """0 for the product's first picture, 1 for the next …"""
    seed: int
    """What `draw` starts from: the product's identity."""

    @property
    def look(self) -> Look:
        """Return what can be seen in the picture."""
        words = self.attributes
        pattern_colour = words.get("pattern_colour")
        return Look(self.category, words["colour"], words["pattern"], pattern_colour, words["background"])


def items(count: int = 3000, seed: int = 20) -> list[Item]:
    """Return the first `count` pictures of the shop made from `seed`; a longer list begins with the shorter one."""
    return list(islice(endless(seed), count))


def endless(seed: int = 20) -> Iterator[Item]:
    """Yield the pictures of the shop made from `seed`, for ever."""
    random = Random(seed)
    number = 0
    while True:
        yield from _product(number, random)
        number += 1


def draw(item: Item) -> bytes:
    """Draw the picture of an item as a JPEG file, 640 px on the short side; the same item gives the same bytes."""
    return drawing.jpeg(item.look, item.seed, item.position)


def _pick(random: Random, odds: tuple[tuple[str, ...], tuple[float, ...]]) -> str:
    return random.choices(odds[0], cum_weights=odds[1])[0]


def _look(random: Random) -> Look:
    category, colour = _pick(random, _CATEGORY_ODDS), _pick(random, _COLOUR_ODDS)
    pattern, background = _pick(random, _PATTERN_ODDS), _pick(random, _BACKGROUND_ODDS)
    other = None if pattern == PLAIN else random.choice([word for word in COLOURS if word != colour])
    return Look(category, colour, pattern, other, background)


def _attributes(look: Look, brand: str) -> dict[str, str]:
    known = {
        "colour": look.colour,
        "pattern": look.pattern,
        "pattern_colour": look.pattern_colour,
        "background": look.background,
        "brand": brand,
    }
    return {name: word for name, word in known.items() if word is not None}


def _product(number: int, random: Random) -> list[Item]:
    """Make one product with its one to three pictures."""
    look, brand, tenant = _look(random), random.choice(_BRANDS), _pick(random, _TENANT_ODDS)
    low, high = CATEGORIES[look.category].price
    price = round(random.triangular(low, high, low + 0.35 * (high - low)), 2)
    in_stock = random.random() < _IN_STOCK
    return [
        Item(
            product_id=f"{tenant}-{number:06d}",
            tenant_id=tenant,
            title=f"{brand} {CATEGORIES[look.category].nouns[0]}, {look.colour}",
            caption=caption(look),
            category=look.category,
            price=price,
            in_stock=in_stock,
            attributes=_attributes(look, brand),
            position=position,
            seed=number,
        )
        for position in range(random.choice(_VIEWS))
    ]
