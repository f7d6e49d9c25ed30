"""Which looks does the model learn from, and which 1,000 does it never see?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from random import Random

from imgsearch.dev.demo.words import BACKGROUNDS, CATEGORIES, COLOURS, PATTERNS, PLAIN, Look

HELD_OUT = 1000
PLAIN_SHARE = 0.3
"""Plain looks are 2 % of all combinations but a third of what shops sell, so both sets hold this share of them."""

_NONE = "none"
FACETS: tuple[tuple[str, ...], ...] = (
    tuple(CATEGORIES),
    tuple(COLOURS),
    tuple(PATTERNS),
    (*COLOURS, _NONE),
    tuple(BACKGROUNDS),
)
"""The words of each visible attribute, in the order of Look's fields; the pattern colour may be none."""
UNSAID = -1
"""Index of an attribute that a text does not state."""


def codes(look: Look) -> tuple[int, ...]:
    """Return the index of each attribute within FACETS."""
    words = (look.category, look.colour, look.pattern, look.pattern_colour or _NONE, look.background)
    return tuple(facet.index(word) for facet, word in zip(FACETS, words, strict=True))


def split(seed: int = 0) -> tuple[list[Look], list[Look], list[Look]]:
    """Return (held out, plain for training, patterned for training); no look is in two of them."""
    random = Random(seed)
    plain = [Look(a, b, PLAIN, None, c) for a, b, c in product(CATEGORIES, COLOURS, BACKGROUNDS)]
    patterned = [
        Look(category, colour, pattern, other, background)
        for category, colour, pattern, other, background in product(CATEGORIES, COLOURS, PATTERNS, COLOURS, BACKGROUNDS)
        if pattern != PLAIN and other != colour
    ]
    random.shuffle(plain)
    random.shuffle(patterned)
    cut = round(HELD_OUT * PLAIN_SHARE)
    held_out = plain[:cut] + patterned[: HELD_OUT - cut]
    random.shuffle(held_out)
    return held_out, plain[cut:], patterned[HELD_OUT - cut :]


def training_looks(count: int, seed: int = 0) -> Sequence[Look]:
    """Return `count` looks to learn from; plain ones come up more than once, in other poses."""
    _, plain, patterned = split()
    random = Random(seed + 1)
    some = round(count * PLAIN_SHARE)
    chosen = random.choices(plain, k=some) + random.sample(patterned, count - some)
    random.shuffle(chosen)
    return chosen
