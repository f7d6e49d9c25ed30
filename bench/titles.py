"""Draws what products are called: titles of brand, colour and noun, a word that half of them hold, and codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench import shop
from bench.dataset import Dataset

COMMON = "premium"  # the word in half of the titles
KINDS = ("trail", "desk", "summer", "city", "garden", "winter", "travel", "sports", "office", "kids")
THINGS = (
    "boot", "lamp", "jacket", "mug", "chair", "bag", "watch", "shirt", "bottle", "scarf",
    "table", "hat", "glove", "pillow", "kettle", "rug", "belt", "sandal", "dress", "vase",
)  # fmt: skip
LOOKS = (
    "airy", "bold", "calm", "dreamy", "earthy", "festive", "glossy", "hazy", "icy", "jolly", "knitted", "lush",
    "moody", "nordic", "opaque", "playful", "quirky", "rustic", "sleek", "tidy", "urban", "velvety", "woven", "zesty",
)  # fmt: skip
_CONSONANTS, _VOWELS = "bdfgjklmnprstvz", "aeiou"


@dataclass(frozen=True)
class Titles:
    """Of every product of a dataset: title and codes; and the words that they are made of.

    brands: the name of each brand's number; nouns: of each category's number. skus, eans, titles: one per product.
    """

    brands: list[str]
    nouns: list[str]
    titles: list[str]
    skus: list[str]
    eans: list[str]
    common: NDArray[np.bool_]  # whose title holds the common word


def titles(data: Dataset) -> Titles:
    """Draw the titles of a dataset's products; the same ones each time."""
    rng, goods = np.random.default_rng((data.rows, 23)), data.products
    categories = int(max(goods.category.max(), data.asked.category.max())) + 1
    brands = list(_names(rng, categories * shop.BRANDS_PER_CATEGORY))
    nouns = [f"{KINDS[n // len(THINGS) % len(KINDS)]} {THINGS[n % len(THINGS)]}" for n in range(categories)]
    many = len(goods.category)
    common, numbers = rng.random(many) < 0.5, rng.integers(0, 10_000, many)
    made = [
        f"{brands[brand]} {shop.COLOURS[colour]} {nouns[category]}{f' {COMMON}' if often else ''} {number}"
        for brand, colour, category, often, number in zip(
            goods.brand.tolist(), goods.colour.tolist(), goods.category.tolist(), common, numbers.tolist(), strict=True
        )
    ]
    skus = [f"{brands[brand][:3].upper()}-{n:06}-{n % 97:02}" for n, brand in enumerate(goods.brand.tolist())]
    return Titles(brands, nouns, made, skus, [f"40{n:011}" for n in range(many)], common)


def _names(rng: np.random.Generator, many: int) -> Iterator[str]:
    """Yield names of two or three syllables, none one letter away from another."""
    taken: set[str] = set()
    while many:
        name = "".join(
            rng.choice(list(letters)) for _ in range(int(rng.integers(2, 4))) for letters in (_CONSONANTS, _VOWELS)
        )
        name += str(rng.choice(list(_CONSONANTS)))
        near = {name[:n] + name[n + 1 :] for n in range(len(name))} | {
            name
        }  # one letter less: names that share one are near
        if not near & taken:
            taken |= near
            many -= 1
            yield name


def misspelt(name: str, rng: np.random.Generator) -> str:
    """Return a name with one slip of the fingers behind its first letter: swapped, left out, doubled or another."""
    place = int(rng.integers(1, len(name) - 1))
    slips = (
        name[:place] + name[place + 1] + name[place] + name[place + 2 :],
        name[:place] + name[place + 1 :],
        name[:place] + name[place] + name[place:],
        name[:place] + ("x" if name[place] in _CONSONANTS else "y") + name[place + 1 :],
    )
    slip = slips[int(rng.integers(len(slips)))]
    return slip if slip != name else slips[1]
