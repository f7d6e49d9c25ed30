"""A filter, told in every language it is asked in: NumPy for the truth, SQL for Postgres."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import shop
from bench.dataset import Dataset

# The user's own table that cells with a supplier join to.
PRODUCT_TABLE = "shop.product"


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What a picture must be. Everything given must hold; the numbers are those of `bench.shop`.

    equal: attributes that equal a value. one_of: attributes that are one of several. between: numeric attributes in a
    closed range. has: keys that exist. without: attributes that do not equal a value. supplier: of the user's product.
    """

    tenant: str | None = None
    categories: tuple[str, ...] = ()
    min_price: float | None = None
    max_price: float | None = None
    in_stock: bool | None = None
    equal: tuple[tuple[str, str], ...] = ()
    one_of: tuple[tuple[str, tuple[str, ...]], ...] = ()
    between: tuple[tuple[str, float, float], ...] = ()
    has: tuple[str, ...] = ()
    without: tuple[tuple[str, str], ...] = ()
    supplier: int | None = None

    @property
    def empty(self) -> bool:
        return self == Filter()


@dataclass
class Columns:
    """A dataset's columns as the database has them, for masks."""

    data: Dataset
    _attributes: dict[str, NDArray[np.str_]] = field(default_factory=dict)

    def attribute(self, name: str) -> NDArray[np.str_]:
        """Return the values of an attribute per picture, '' where it is absent."""
        if name not in self._attributes:
            self._attributes[name] = attribute_values(self.data.products)[name][self.data.product_of]
        return self._attributes[name]


def category_name(number: int) -> str:
    return f"category-{number:03}"


def attribute_values(goods: shop.Goods) -> dict[str, NDArray[np.str_]]:
    """Return {attribute: value per product}, '' where a product has none; `size` as text."""
    styles = np.full(len(goods.style), "mixed", dtype="U8")
    for name, start, share in shop.STYLES:
        styles[(goods.style >= start) & (goods.style < start + share)] = name
    grades = np.array([*(name for name, _ in shop.GRADES), ""])
    return {
        "brand": np.char.add("brand-", goods.brand.astype(str)),
        "colour": np.array(shop.COLOURS)[goods.colour],
        "style": styles,
        "grade": grades[goods.grade],
        "size": goods.size.astype(str),
        "sale": np.where(goods.on_sale, "yes", ""),
    }


def attributes_json(goods: shop.Goods) -> list[str]:
    """Return the JSON object of each product; `size` is a number, absent attributes are absent."""
    names, columns = zip(*attribute_values(goods).items(), strict=True)
    return [
        json.dumps(
            {name: int(v) if name == "size" else v for name, v in zip(names, row, strict=True) if v},
            separators=(",", ":"),
        )
        for row in zip(*(column.tolist() for column in columns), strict=True)
    ]


def mask(wanted: Filter, columns: Columns) -> NDArray[np.bool_]:
    """Return which pictures match, (rows,) bool."""
    goods, keep = columns.data.pictures, np.ones(columns.data.rows, dtype=bool)
    if wanted.tenant is not None:
        keep &= goods.tenant == shop.tenant_names().index(wanted.tenant)
    if wanted.categories:
        keep &= np.isin(goods.category, [int(name.split("-")[1]) for name in wanted.categories])
    if wanted.min_price is not None:
        keep &= goods.price >= wanted.min_price
    if wanted.max_price is not None:
        keep &= goods.price <= wanted.max_price
    if wanted.in_stock is not None:
        keep &= goods.in_stock == wanted.in_stock
    if wanted.supplier is not None:
        keep &= goods.supplier == wanted.supplier
    for name, value in wanted.equal:
        keep &= columns.attribute(name) == value
    for name, values in wanted.one_of:
        keep &= np.isin(columns.attribute(name), values)
    for name, low, high in wanted.between:
        numbers = columns.attribute(name).astype(float)
        keep &= (numbers >= low) & (numbers <= high)
    for name in wanted.has:
        keep &= columns.attribute(name) != ""
    for name, value in wanted.without:
        keep &= columns.attribute(name) != value
    return keep


@lru_cache(maxsize=4096)
def where(wanted: Filter, alias: str = "i") -> tuple[str, str, dict[str, Any]]:
    """Return (joins, condition, values) for a FROM clause that has `image` as `alias`; '' when there is none."""
    joins, conditions, values = "", [], dict[str, Any]()

    def bind(value: Any) -> str:
        values[f"f{len(values)}"] = value
        return f"%(f{len(values) - 1})s"

    if wanted.supplier is not None:
        joins = f" JOIN {PRODUCT_TABLE} p ON p.product_id = {alias}.product_id"
        conditions.append(f"p.supplier = {bind(wanted.supplier)}")
    if wanted.tenant is not None:
        conditions.append(f"{alias}.tenant_id = {bind(wanted.tenant)}")
    if len(wanted.categories) == 1:
        conditions.append(f"{alias}.category = {bind(wanted.categories[0])}")
    elif wanted.categories:
        conditions.append(f"{alias}.category = ANY({bind(list(wanted.categories))})")
    if wanted.min_price is not None:
        conditions.append(f"{alias}.price >= {bind(wanted.min_price)}")
    if wanted.max_price is not None:
        conditions.append(f"{alias}.price <= {bind(wanted.max_price)}")
    if wanted.in_stock is not None:
        conditions.append(f"{alias}.in_stock = {bind(wanted.in_stock)}")
    if wanted.equal:
        conditions.append(f"{alias}.attributes @> {bind(json.dumps(dict(wanted.equal)))}::jsonb")
    for name, several in wanted.one_of:
        conditions.append(f"{alias}.attributes ->> {bind(name)}::text = ANY({bind(list(several))})")
    for name, low, high in wanted.between:
        number = f"({alias}.attributes ->> {bind(name)}::text)::float8"
        conditions.append(f"{number} BETWEEN {bind(low)} AND {bind(high)}")
    conditions += [f"{alias}.attributes ? {bind(name)}::text" for name in wanted.has]
    conditions += [
        f"NOT {alias}.attributes @> {bind(json.dumps({name: value}))}::jsonb" for name, value in wanted.without
    ]
    return joins, " AND ".join(conditions), values
