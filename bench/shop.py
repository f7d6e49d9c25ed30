"""Draws the columns people filter on: some tied to the picture's cluster, some not, at exactly known selectivities."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.vectors import Floats, Whole, World

Numbers = NDArray[np.floating[Any]]
SHARES = (0.5, 0.1, 0.01, 0.001, 0.0001)
TENANT_SHARES = (0.3, 0.1, 0.01, 0.001, 0.0001)
SMALL_TENANTS = 100
SHOPS = 600  # of bench.paging, where every product belongs to one of them
LARGE = ("large-50", "large-30", "large-10", "large-5")  # of bench.tenants: share in percent
COLOURS = ("black", "white", "red", "blue", "green", "grey", "pink", "brown", "yellow", "orange", "violet", "teal")
# Where on the scale of styles each style lies: (name, from, share). The rest is "mixed".
STYLES = (
    ("plain", 0.0, 0.5),
    ("classic", 0.65, 0.1),
    ("retro", 0.9, 0.01),
    ("baroque", 0.97, 0.001),
    ("dada", 0.995, 0.0001),
)
GRADES = (("a", 0.5), ("b", 0.1), ("c", 0.01), ("d", 0.001), ("e", 0.0001))
SUPPLIER_SHARES = (0.1, 0.01, 0.001)
BRANDS_PER_CATEGORY = 12


@dataclass(frozen=True, kw_only=True)
class Goods:
    """The columns of products or of queries, one entry each."""

    cluster: Whole
    category: Whole
    price: Numbers
    in_stock: NDArray[np.bool_]
    brand: Whole
    colour: Whole
    style: Numbers  # place on the scale of styles, 0 to 1
    grade: Whole
    size: Whole
    on_sale: NDArray[np.bool_]
    tenant: Whole
    supplier: Whole

    def first(self, many: int) -> Goods:
        """Return the first `many` of them."""
        return Goods(**{field.name: getattr(self, field.name)[:many] for field in fields(self)})


def tenant_names() -> list[str]:
    """Return the tenants: general ones and specialists of each size, then many small ones, the shops, the large."""
    kinds = [f"{kind}-{100 * share:g}" for kind in ("general", "special") for share in TENANT_SHARES]
    small = [f"small-{number:03}" for number in range(SMALL_TENANTS)]
    return kinds + small + [f"shop-{number:03}" for number in range(SHOPS)] + list(LARGE)


def goods(made: World, count: int, seed: int, *, level: float = 0.0) -> tuple[Goods, Floats]:
    """Draw `count` products and their latent points; level: share whose category is drawn evenly, for queries."""
    from bench.vectors import products

    rng, tied = np.random.default_rng((seed, 1)), _Tied.of(made)
    cluster = rng.choice(len(made.weight), count, p=made.weight).astype(np.int32)
    even = rng.random(count) < level
    by_category = made.weight / np.bincount(made.category_of, weights=made.weight)[made.category_of]
    cluster[even] = rng.choice(len(made.weight), int(even.sum()), p=by_category / by_category.sum())
    latent = products(made, cluster, rng)
    category = made.category_of[cluster]
    price = np.exp(3.5 + tied.price_level[cluster] + 0.6 * rng.standard_normal(count))
    own_colour = rng.random(count) < 0.5
    found = Goods(
        cluster=cluster,
        category=category,
        price=np.round(price, 2),
        in_stock=rng.random(count) < tied.stock[cluster],
        brand=(category * BRANDS_PER_CATEGORY + rng.geometric(0.25, count) % BRANDS_PER_CATEGORY).astype(np.int32),
        colour=np.where(own_colour, tied.colour[cluster], rng.integers(0, len(COLOURS), count)).astype(np.int32),
        style=np.searchsorted(tied.styles, latent @ tied.style_axis) / len(tied.styles),
        grade=_grades(rng, count),
        size=rng.integers(0, 100, count).astype(np.int32),
        on_sale=rng.random(count) < 0.05,
        tenant=_tenants(tied, category, seed),
        supplier=_suppliers(rng, count),
    )
    return found, latent


@dataclass(frozen=True)
class _Tied:
    """What a cluster or a category says about its products; the same for rows and queries of one world."""

    price_level: Numbers
    stock: Numbers
    colour: Whole
    style_axis: Floats
    styles: Numbers  # sorted scores of a sample: the scale of styles
    department: Numbers  # (categories,), neighbouring categories lie next to one another

    @classmethod
    def of(cls, made: World) -> _Tied:
        rng = np.random.default_rng(17)
        clusters, latent = made.centres.shape
        of_category = 0.8 * rng.standard_normal(int(made.category_of.max()) + 1)
        axis = rng.standard_normal((1, latent)).astype(np.float32)[0]
        axis = axis / np.linalg.norm(axis)
        sample = rng.choice(clusters, 100_000, p=made.weight)
        noise = 0.62 * rng.standard_normal(len(sample))
        department = np.zeros(len(of_category))
        np.maximum.at(department, made.category_of, made.centres[:, 0] + 10)
        return cls(
            price_level=of_category[made.category_of] + 0.4 * rng.standard_normal(clusters),
            # One line in ten is sold out; 85 % of everything is in stock.
            stock=np.where(rng.random(clusters) < 0.1, 0.1, 0.933),
            colour=rng.integers(0, len(COLOURS), size=(clusters,)).astype(np.int32),
            style_axis=axis,
            styles=np.sort(made.centres[sample] @ axis + noise),
            department=department,
        )


def _grades(rng: np.random.Generator, count: int) -> Whole:
    edges = np.cumsum([share for _, share in GRADES])
    return np.searchsorted(edges, rng.random(count)).astype(np.int32)  # len(GRADES) stands for no grade


def _suppliers(rng: np.random.Generator, count: int) -> Whole:
    edges = np.cumsum(SUPPLIER_SHARES)
    drawn = np.searchsorted(edges, rng.random(count))
    other = len(SUPPLIER_SHARES) + rng.integers(0, 500, count)
    return np.where(drawn < len(SUPPLIER_SHARES), drawn, other).astype(np.int32)


def _tenants(tied: _Tied, category: Whole, seed: int) -> Whole:
    """Deal the products out: specialists take what they stock, general shops anything, the rest goes to small ones."""
    rng, count, sizes = np.random.default_rng((seed, 2)), len(category), len(TENANT_SHARES)
    # Small shops: a power law. Each is a bit of everything.
    odds = (np.arange(SMALL_TENANTS) + 1.0) ** -1.2
    tenant = (2 * sizes + rng.choice(SMALL_TENANTS, count, p=odds / odds.sum())).astype(np.int32)
    free = np.ones(count, dtype=bool)
    for place, share in enumerate(TENANT_SHARES):
        many, width = round(share * count), 2.0
        own = np.flatnonzero(free & np.isin(category, specialities(tied.department, category, share, width)))
        while len(own) < many and width < 64:
            width *= 2
            own = np.flatnonzero(free & np.isin(category, specialities(tied.department, category, share, width)))
        _deal(tenant, free, own, sizes + place, many, rng)
    for place, share in enumerate(TENANT_SHARES):
        _deal(tenant, free, np.flatnonzero(free), place, round(share * count), rng)
    return tenant


def _deal(tenant: Whole, free: NDArray[np.bool_], own: Whole, number: int, many: int, rng: np.random.Generator) -> None:
    taken = rng.permutation(own)[:many]
    tenant[taken] = number
    free[taken] = False


def specialities(department: Numbers, category: Whole, share: float, width: float) -> Whole:
    """Return the categories of the specialist with `share` of all products: neighbours that make up `width` as much."""
    sizes = np.bincount(category, minlength=len(department)) / max(1, len(category))
    order = np.argsort(department)
    if share < 0.2:  # the large one begins at one end, the others at the other
        order = order[::-1]
    return order[: int(np.searchsorted(np.cumsum(sizes[order]), width * share)) + 1].astype(np.int32)
