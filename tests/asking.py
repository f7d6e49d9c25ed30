"""Random shops and random filters, each filter told three ways: to search(), to nearest(), and to plain Python."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Float, cast, func
from sqlalchemy.dialects.postgresql import JSONB

from imgsearch.sqlalchemy.models import Image
from tests.shop import Row

TENANTS = ["acme", "bolt", "tiny"]
CATEGORIES = ["shoes", "hats", "bags", None]
COLOURS = ["red", "blue", "green"]
DIMENSION = 48

Condition = tuple[dict[str, Any], Callable[[], ColumnElement[bool]], Callable[[Row], bool]]


@dataclass(frozen=True)
class Asked:
    """arguments: of search(). where: of nearest(). keep: whether a row matches."""

    arguments: dict[str, Any]
    where: list[ColumnElement[bool]]
    keep: Callable[[Row], bool]


def shop(many: int, seed: int) -> list[Row]:
    """Pictures in clusters that categories follow, one in ten the copy of another, with nulls in every column."""
    chance = random.Random(seed)
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(20, DIMENSION))
    rows: list[Row] = []
    for n in range(many):
        cluster = int(rng.integers(20))
        vector = centres[cluster] + 0.4 * rng.normal(size=DIMENSION)
        attributes: dict[str, Any] = {"colour": chance.choice(COLOURS), "size": chance.randrange(30, 50)}
        if chance.random() < 0.3:
            attributes["tags"] = chance.sample(["new", "sale", "rare"], 2)
        if chance.random() < 0.2:
            attributes["colour"] = None
        rows.append(
            Row(
                vector=rows[chance.randrange(n)].vector if n and chance.random() < 0.1 else vector.tolist(),
                tenant="tiny" if n % 100 == 0 else TENANTS[chance.random() < 0.4],
                category=CATEGORIES[cluster % 4],
                price=None if chance.random() < 0.1 else float(chance.randrange(100)),
                in_stock=chance.random() < 0.8,
                attributes=attributes,
            )
        )
    return rows


def asked(chance: random.Random) -> Asked:
    """Draw a filter: of none to four conditions, some that nothing and some that everything matches."""
    drawn = chance.sample(list(_conditions(chance)), chance.choice([0, 1, 1, 2, 2, 3, 4]))
    arguments: dict[str, Any] = {}
    for given, _, _ in drawn:
        attributes = {**arguments.get("attributes", {}), **given.get("attributes", {})}
        trees = [tree for tree in (arguments.get("condition"), given.get("condition")) if tree]
        arguments |= given
        if trees:
            arguments["condition"] = trees[0] if len(trees) == 1 else {"all": trees}
        if attributes:
            arguments["attributes"] = attributes
    return Asked(arguments, [where() for _, where, _ in drawn], lambda row: all(keep(row) for _, _, keep in drawn))


def _conditions(chance: random.Random) -> Iterator[Condition]:
    attributes = cast(Image.attributes, JSONB)
    tenant = chance.choice([*TENANTS, "tiny", "nobody"])
    yield {"tenant": tenant}, lambda: Image.tenant_id == tenant, lambda row: row.tenant == tenant
    several = chance.sample(["shoes", "hats", "bags", "none such"], chance.randrange(4))
    yield (
        {"category": several},
        lambda: Image.category.in_(several),
        lambda row: row.category in several,
    )
    low, high = sorted(chance.sample(range(-10, 110), 2))
    yield (
        {"min_price": low, "max_price": high},
        lambda: Image.price.between(low, high),
        lambda row: row.price is not None and low <= row.price <= high,
    )
    stock = chance.random() < 0.7
    yield {"in_stock": stock}, lambda: Image.in_stock.is_(stock), lambda row: row.in_stock is stock
    colour = chance.choice([*COLOURS, "mauve"])
    yield (
        {"attributes": {"colour": colour}},
        lambda: attributes.contains({"colour": colour}),
        lambda row: row.attributes["colour"] == colour,
    )
    size = chance.randrange(28, 52)
    yield (
        {"attributes": {"size": {"min": size}}},
        lambda: cast(attributes["size"].astext, Float) >= size,
        lambda row: row.attributes["size"] >= size,
    )
    has = chance.random() < 0.5
    yield (
        {"attributes": {"tags": {"exists": has}}},
        lambda: attributes.has_key("tags") if has else ~attributes.has_key("tags"),
        lambda row: ("tags" in row.attributes) is has,
    )
    group, most = chance.choice(["shoes", "hats"]), chance.randrange(100)
    yield (
        {"condition": {"any": [{"category": group}, {"price": {"max": most}}]}},
        lambda: (Image.category == group) | (Image.price <= most),
        lambda row: row.category == group or (row.price is not None and row.price <= most),
    )
    other = chance.choice(COLOURS)
    yield (
        {"condition": {"not": {"attributes.colour": [other, "mauve"], "in_stock": True}}},
        lambda: ~(func.coalesce(attributes["colour"].astext, "") == other) | Image.in_stock.is_(False),
        lambda row: not (row.attributes["colour"] == other and row.in_stock),
    )


def distances(rows: Sequence[Row], query: Sequence[float]) -> NDArray[np.float64]:
    """Return the cosine distance of each row to the query, with vectors rounded as the database keeps them."""
    vectors = np.array([row.vector for row in rows], dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    kept = vectors.astype(np.float16).astype(np.float64)
    wanted = np.asarray(query, dtype=np.float16).astype(np.float64)
    cosines: NDArray[np.float64] = kept @ wanted / (np.linalg.norm(kept, axis=1) * np.linalg.norm(wanted))
    return 1 - cosines


def shop_of_products(many: int, seed: int) -> list[Row]:
    """Products of 1 to 20 pictures, alike within a product, filters of their own for each picture; some are copies.

    Ids of products are the same in every tenant: two tenants' product `p7` is two products.
    """
    chance, rng = random.Random(seed), np.random.default_rng(seed)
    rows: list[Row] = []
    for n in range(many):
        own = shop(chance.choice([1, 1, 2, 5, 20]), seed=seed * 1000 + n)
        centre = np.array(rows[chance.randrange(len(rows))].vector if rows and chance.random() < 0.1 else own[0].vector)
        for row in own:
            near = centre + chance.choice([0.0, 0.3, 1.0]) * rng.normal(size=DIMENSION)
            tenant = "tiny" if n % 40 == 0 else own[0].tenant if own[0].tenant != "tiny" else "acme"
            rows.append(replace(row, vector=near.tolist(), tenant=tenant, product=f"p{n // 2}"))
    return rows


Product = tuple[str, str]


def nearest_of_products(rows: Mapping[int, Row], query: Sequence[float]) -> dict[Product, tuple[float, int]]:
    """Return {(tenant, product): (distance, image)} of the nearest picture of each, ties by image: plain numpy."""
    found: dict[Product, tuple[float, int]] = {}
    away = distances(list(rows.values()), query) if rows else []
    for (image, row), distance in zip(rows.items(), away, strict=True):
        key = (row.tenant, row.product or f"image {image}")
        found[key] = min(found.get(key, (9.0, 0)), (float(distance), image))
    return found
