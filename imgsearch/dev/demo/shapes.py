"""Which shape belongs to which category?"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from imgsearch.dev.demo import shapes_home as home
from imgsearch.dev.demo import shapes_wear as wear
from imgsearch.dev.demo.outline import Part

_SHAPES: dict[str, Callable[[], tuple[Part, ...]]] = {
    "shoes": wear.shoe,
    "boots": wear.boot,
    "hats": wear.hat,
    "shirts": wear.shirt,
    "trousers": wear.trousers,
    "dresses": wear.dress,
    "bags": wear.handbag,
    "backpacks": wear.backpack,
    "socks": wear.socks,
    "gloves": wear.mitten,
    "umbrellas": wear.umbrella,
    "watches": wear.watch,
    "lamps": home.lamp,
    "chairs": home.chair,
    "tables": home.table,
    "sofas": home.sofa,
    "mugs": home.mug,
    "vases": home.vase,
    "clocks": home.clock,
    "bottles": home.bottle,
    "guitars": home.guitar,
    "kites": home.kite,
    "balls": home.ball,
    "cars": home.car,
}


@cache
def shape(category: str) -> tuple[Part, ...]:
    """Return the parts of a category's product, back to front; raises KeyError for an unknown category."""
    return _SHAPES[category]()
