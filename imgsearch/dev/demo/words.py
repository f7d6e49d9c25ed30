"""Which words and attributes does the demo shop know?"""

from __future__ import annotations

from dataclasses import dataclass

RGB = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Category:
    """A shop category: its plural name, the words people use for it, its usual prices and how much of it is sold."""

    name: str
    nouns: tuple[str, ...]
    """Singular words; the first one is used in captions."""
    plurals: tuple[str, ...]
    price: tuple[float, float]
    """Lowest and highest usual price; the middle is the most common."""
    popularity: float
    """Weight of the category among the products of the shop."""


@dataclass(frozen=True, slots=True)
class Look:
    """Everything about a product that can be seen in its picture; plain products have no pattern colour."""

    category: str
    colour: str
    pattern: str
    pattern_colour: str | None
    background: str


def _category(name: str, nouns: str, plurals: str, price: tuple[float, float], popularity: float) -> Category:
    return Category(name, tuple(nouns.split(", ")), tuple(plurals.split(", ")), price, popularity)


_CATEGORIES = (
    _category("shoes", "canvas shoe, shoe, sneaker, trainer", "canvas shoes, shoes, sneakers, trainers", (19, 79), 12),
    _category("boots", "boot, ankle boot, leather boot", "boots, ankle boots, leather boots", (39, 189), 5),
    _category("hats", "hat, sun hat, brimmed hat", "hats, sun hats, brimmed hats", (12, 59), 3),
    _category("shirts", "shirt, t-shirt, t shirt, tee", "shirts, t-shirts, t shirts, tees", (9, 49), 7),
    _category("trousers", "pair of trousers, pair of pants, pair of jeans", "trousers, pants, jeans", (25, 99), 3),
    _category("dresses", "dress, summer dress, gown", "dresses, summer dresses, gowns", (29, 149), 5),
    _category("bags", "handbag, bag, purse", "handbags, bags, purses", (25, 159), 6),
    _category("backpacks", "backpack, rucksack, school bag", "backpacks, rucksacks, school bags", (29, 119), 3),
    _category("socks", "pair of socks, sock", "socks, warm socks", (4, 19), 2),
    _category("gloves", "mitten, glove, winter glove", "mittens, gloves, winter gloves", (8, 39), 1.5),
    _category("umbrellas", "umbrella, parasol", "umbrellas, parasols", (9, 45), 1.5),
    _category("watches", "watch, wrist watch", "watches, wrist watches", (39, 299), 3),
    _category("lamps", "lamp, table lamp, desk lamp", "lamps, table lamps, desk lamps", (25, 129), 4),
    _category("chairs", "chair, dining chair", "chairs, dining chairs", (45, 199), 3),
    _category("tables", "table, coffee table", "tables, coffee tables", (79, 399), 1.5),
    _category("sofas", "sofa, couch, settee", "sofas, couches, settees", (249, 999), 1.5),
    _category("mugs", "mug, cup, coffee mug", "mugs, cups, coffee mugs", (5, 24), 4),
    _category("vases", "vase, flower vase", "vases, flower vases", (12, 69), 2),
    _category("clocks", "clock, alarm clock", "clocks, alarm clocks", (15, 79), 1.5),
    _category("bottles", "bottle, water bottle, flask", "bottles, water bottles, flasks", (9, 35), 2),
    _category("guitars", "guitar, acoustic guitar", "guitars, acoustic guitars", (89, 499), 1),
    _category("kites", "kite, flying kite", "kites, flying kites", (9, 39), 1),
    _category("balls", "ball, beach ball, football", "balls, beach balls, footballs", (5, 29), 1.5),
    _category("cars", "toy car, car", "toy cars, cars", (7, 49), 2),
)

CATEGORIES: dict[str, Category] = {category.name: category for category in _CATEGORIES}

COLOURS: dict[str, RGB] = {
    "red": (208, 28, 36),
    "orange": (244, 130, 24),
    "yellow": (250, 214, 36),
    "green": (38, 148, 62),
    "teal": (16, 176, 176),
    "blue": (32, 84, 208),
    "purple": (122, 46, 166),
    "pink": (250, 138, 180),
    "brown": (118, 70, 34),
    "black": (26, 26, 30),
    "grey": (136, 138, 142),
    "white": (246, 246, 244),
}

COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("red", "scarlet", "crimson"),
    "teal": ("teal", "turquoise"),
    "purple": ("purple", "violet"),
    "grey": ("grey", "gray"),
}
"""Other words for a colour; a colour that is not listed has only its own name."""

PLAIN = "plain"

PATTERNS: dict[str, tuple[str, ...]] = {
    PLAIN: ("plain", "plain", "solid"),
    "striped": ("striped", "stripes", "stripy"),
    "dotted": ("dotted", "dots", "spotted"),
    "checked": ("checked", "checks", "checkered"),
    "zigzag": ("zigzag", "zigzags", "chevron"),
    "two-tone": ("two-tone", "panel", "two tone"),
}
"""Pattern → (adjective, noun for "with white …", another adjective)."""

BACKGROUNDS: dict[str, tuple[str, ...]] = {
    "white": ("on a white background", "on white"),
    "studio": ("on a studio backdrop", "in a studio"),
    "room": ("in a room", "on the floor of a room"),
    "dark": ("on a dark background", "on black velvet"),
    "wood": ("on a wooden table", "on wood"),
    "grass": ("on grass", "on a lawn"),
}
"""Background → the ways to say it; the first one is used in captions."""


def colour_words(colour: str) -> tuple[str, ...]:
    """Return every word for a colour, its own name first."""
    return COLOUR_WORDS.get(colour, (colour,))


def caption(look: Look) -> str:
    """Describe everything that can be seen, in plain words: "red canvas shoe with white dots on grass"."""
    noun = CATEGORIES[look.category].nouns[0]
    where = BACKGROUNDS[look.background][0]
    if look.pattern_colour is None:
        return f"plain {look.colour} {noun} {where}"
    return f"{look.colour} {noun} with {look.pattern_colour} {PATTERNS[look.pattern][1]} {where}"
