"""The cells: what is filtered by, how much is left, and how the filter lies to the query's neighbourhood.

`corr`: the filter keeps the query's neighbourhood. `unc`: it has nothing to do with it. `anti`: it leaves the
neighbourhood out, which is the hard case for every index that filters behind a graph walk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import shop
from bench.choice import Choice, Rank
from bench.dataset import Dataset
from bench.filters import Filter, category_name

TIES = ("corr", "unc", "anti")
FEWEST = 5  # pictures that a filter should leave: below, a cell says nothing about this dataset


@dataclass(frozen=True)
class Ask:
    """One question: the number of the query in its pool, and the filter."""

    query: int
    filter: Filter


@dataclass(frozen=True, kw_only=True)
class Cell:
    """choose: the filter for a query, or None where this query cannot be asked. weight: (POOL,), how usual a query is.

    rank: (POOL,), where the cell wants queries of a kind; low is preferred.
    """

    name: str
    kind: str  # image or text
    choose: Callable[[int], Filter | None]
    weight: NDArray[np.floating[Any]]
    rank: Callable[[], Rank] | None = None
    walled: bool = False  # asked as a role that row-level security walls in

    def asks(self, many: int, seed: int) -> list[Ask]:
        """Return `many` questions, fewer where the pool has no more."""
        rng = np.random.default_rng((seed, *self.name.encode()))
        if self.rank is None:
            # The pool knows small categories better than shoppers do: ask as often as their size suggests. (Sorting
            # chance ** (1 / weight) draws without putting back, Efraimidis and Spirakis 2006.)
            order = np.argsort(-(rng.random(self._pool) ** (1 / self.weight)))
        else:
            # Not the most extreme queries alone: a draw from the best tenth, then the others in order.
            ordered = np.lexsort((rng.random(self._pool), self.rank()))
            best = max(many, self._pool // 10)
            order = np.concatenate([rng.permutation(ordered[:best]), ordered[best:]])
        chosen: list[Ask] = []
        for query in order.tolist():
            wanted = self.choose(query)
            if wanted is not None:
                chosen.append(Ask(query, wanted))
            if len(chosen) == many:
                break
        return chosen

    @property
    def _pool(self) -> int:
        return len(self.weight)


def cells(data: Dataset) -> Iterator[Cell]:
    """Yield every cell that this dataset is large enough for."""
    for kind in ("image", "text"):
        choice = Choice(data, kind)
        for made in (_none, _category, _price, _tenant, _stock, _attribute, _operators, _conjunctions, _joins, _walled):
            yield from made(choice)


def _enough(choice: Choice, share: float) -> bool:
    return share * choice.data.rows >= FEWEST


def _none(choice: Choice) -> Iterator[Cell]:
    yield Cell(name=f"{choice.kind} unfiltered", kind=choice.kind, weight=choice.weight, choose=lambda _: Filter())


def _category(choice: Choice) -> Iterator[Cell]:
    def choose(share: float, tie: str) -> Callable[[int], Filter | None]:
        def wanted(query: int) -> Filter | None:
            found = choice.categories(query, share, tie)
            return Filter(categories=found) if found else None

        return wanted

    for share in filter(lambda share: _enough(choice, share), shop.SHARES):
        for tie in TIES:
            yield Cell(
                name=f"{choice.kind} category {_percent(share)} {tie}",
                kind=choice.kind,
                weight=choice.weight,
                choose=choose(share, tie),
            )


def _price(choice: Choice) -> Iterator[Cell]:
    def choose(share: float, tie: str) -> Callable[[int], Filter]:
        def wanted(query: int) -> Filter:
            low, high = choice.price(query, share, tie)
            return Filter(min_price=low, max_price=high)

        return wanted

    for share in filter(lambda share: _enough(choice, share), shop.SHARES):
        for tie in TIES:
            yield Cell(
                name=f"{choice.kind} price {_percent(share)} {tie}",
                kind=choice.kind,
                weight=choice.weight,
                choose=choose(share, tie),
            )


def _tenant(choice: Choice) -> Iterator[Cell]:
    for share in filter(lambda share: _enough(choice, share), shop.TENANT_SHARES):
        for tie in TIES:
            tenant = f"{'general' if tie == 'unc' else 'special'}-{100 * share:g}"
            yield Cell(
                name=f"{choice.kind} tenant {_percent(share)} {tie}",
                kind=choice.kind,
                weight=choice.weight,
                choose=_same(Filter(tenant=tenant)),
                rank=None if tie == "unc" else _signed(partial(choice.far_from_tenant, tenant), tie),
            )


def _stock(choice: Choice) -> Iterator[Cell]:
    for wanted, share in ((True, 0.85), (False, 0.15)):
        for tie in TIES:
            yield Cell(
                name=f"{choice.kind} stock {_percent(share)} {tie}",
                kind=choice.kind,
                weight=choice.weight,
                choose=_same(Filter(in_stock=wanted)),
                rank=None if tie == "unc" else _signed(partial(choice.far_from_stock, wanted), tie),
            )


def _attribute(choice: Choice) -> Iterator[Cell]:
    for (style, start, share), (grade, _) in zip(shop.STYLES, shop.GRADES, strict=True):
        if not _enough(choice, share):
            continue
        for tie in TIES:
            wanted = Filter(equal=(("grade", grade),) if tie == "unc" else (("style", style),))
            yield Cell(
                name=f"{choice.kind} attribute {_percent(share)} {tie}",
                kind=choice.kind,
                weight=choice.weight,
                choose=_same(wanted),
                rank=None if tie == "unc" else _signed(partial(choice.far_from_style, start + share / 2), tie),
            )


def _operators(choice: Choice) -> Iterator[Cell]:
    for name, wanted in {
        "one-of 15%": Filter(one_of=(("colour", ("red", "teal")),)),
        "range 10%": Filter(between=(("size", 30, 39),)),
        "exists 5%": Filter(has=("sale",)),
        "negation 90%": Filter(without=(("colour", "black"),)),
    }.items():
        yield Cell(name=f"{choice.kind} {name}", kind=choice.kind, weight=choice.weight, choose=_same(wanted))


def _conjunctions(choice: Choice) -> Iterator[Cell]:
    def crowded(query: int) -> Filter:
        return Filter(tenant="general-30", in_stock=True, equal=(("colour", choice.own("colour", query)),))

    def usual(query: int) -> Filter:
        low, high = choice.price(query, 0.5, "corr")
        return Filter(
            tenant="general-10",
            categories=(category_name(int(choice.asked.category[query])),),
            min_price=low,
            max_price=high,
        )

    def narrow(query: int) -> Filter:
        low, high = choice.price(query, 0.1, "unc")
        return Filter(
            tenant="special-10", min_price=low, max_price=high, equal=(("colour", choice.own("colour", query)),)
        )

    def far(query: int) -> Filter:
        low, high = choice.price(query, 0.5, "corr")
        return Filter(
            categories=choice.categories(query, 0.1, "anti") or (), in_stock=True, min_price=low, max_price=high
        )

    def everything(query: int) -> Filter:
        low, high = choice.price(query, 0.5, "unc")
        several = choice.categories(query, 0.5, "corr") or ()
        return Filter(
            tenant="special-30",
            categories=several,
            in_stock=True,
            min_price=low,
            max_price=high,
            without=(("colour", "black"),),
        )

    makers = {
        "tenant 30% & stock & colour": crowded,
        "tenant 10% & category & price": usual,
        "tenant 10% & price 10% & colour": narrow,
        "category 10% anti & price & stock": far,
        "tenant 30% & everything": everything,
        "brand": lambda query: Filter(equal=(("brand", choice.own("brand", query)),)),
    }
    for name, choose in makers.items():
        yield Cell(name=f"{choice.kind} {name}", kind=choice.kind, weight=choice.weight, choose=choose)


def _joins(choice: Choice) -> Iterator[Cell]:
    for number, share in enumerate(shop.SUPPLIER_SHARES):
        if _enough(choice, share):
            yield Cell(
                name=f"{choice.kind} join {_percent(share)}",
                kind=choice.kind,
                weight=choice.weight,
                choose=_same(Filter(supplier=number)),
            )


def _walled(choice: Choice) -> Iterator[Cell]:
    for cell in [*_tenant(choice), *_conjunctions(choice)]:
        if "tenant" in cell.name:
            yield Cell(
                name=f"{cell.name} walled",
                kind=cell.kind,
                weight=cell.weight,
                choose=cell.choose,
                rank=cell.rank,
                walled=True,
            )


def _same(wanted: Filter) -> Callable[[int], Filter]:
    return lambda _: wanted


def _signed(rank: Callable[[], Rank], tie: str) -> Callable[[], Rank]:
    ranked = cache(rank)
    return lambda: ranked() if tie == "corr" else -ranked()


def _percent(share: float) -> str:
    return f"{100 * share:g}%"
