"""What rows must match: one value, in Python this dataclass, in SQL the composite `imgsearch.filters`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import Enum
from typing import Any, TypedDict

from imgsearch import values
from imgsearch.errors import FilterError


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Conditions on images, all of which must hold; None means no condition. What each asks stands beside it.

    attributes: {name: value}, {name: [one, of]} or {name: {operator: value}} with the operators is, not, in, not_in,
    has, min, max, above, below, exists. condition: a tree of {"any": […]}, {"all": […]}, {"not": …} over columns and
    attributes, for example {"any": [{"category": "shoes"}, {"attributes.colour": ["red", "blue"]}]}. taken_after,
    taken_before and near: of tenants whose pictures' captures are kept (`set_shop(keep_captures=True)`).
    """

    tenant: str | None = field(default=None, metadata={"help": "Only this tenant's images."})
    category: str | Sequence[str] | None = field(
        default=None, metadata={"help": "Only this category, or any of these."}
    )
    min_price: float | None = field(default=None, metadata={"help": "Only from this price on, in your currency."})
    max_price: float | None = field(default=None, metadata={"help": "Only up to this price, in your currency."})
    in_stock: bool | None = field(default=None, metadata={"help": "Only what is (not) in stock."})
    attributes: Mapping[str, Any] | None = field(
        default=None, metadata={"help": "Only where each attribute has this value."}
    )
    product_ids: Sequence[str] | None = field(default=None, metadata={"help": "Only these products."})
    exclude_product_ids: Sequence[str] | None = field(default=None, metadata={"help": "None of these products."})
    exclude_image_ids: Sequence[int] | None = field(default=None, metadata={"help": "None of these images."})
    created_after: datetime | None = field(
        default=None, metadata={"help": "Only images first added at this time or later."}
    )
    created_before: datetime | None = field(
        default=None, metadata={"help": "Only images first added before this time."}
    )
    condition: Mapping[str, Any] | None = field(
        default=None, metadata={"help": "A tree of conditions on columns and attributes."}
    )
    taken_after: datetime | None = field(default=None, metadata={"help": "Only images taken at this time or later."})
    taken_before: datetime | None = field(default=None, metadata={"help": "Only images taken before this time."})
    near: Sequence[float] | None = field(
        default=None, metadata={"help": "Only images taken here: latitude, longitude, and within how many kilometres."}
    )
    duplicates: bool | None = field(
        default=None, metadata={"help": "Only images that are (not) marked as a duplicate of another one."}
    )

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> Filters:
        """Return the filters of a mapping. Raises FilterError for a name that is no filter."""
        if unknown := sorted(set(given) - set(NAMES)):
            raise FilterError(f"There is no filter {unknown[0]!r}. Filters are: {', '.join(NAMES)}.")
        return cls(**given)

    def of_tenant(self, tenant: str | None) -> Filters:
        """Return the same filters within `tenant`."""
        return replace(self, tenant=tenant)

    def without_images(self, images: Sequence[int]) -> Filters:
        """Return the same filters that leave out these images too."""
        if not images:
            return self
        before = [] if self.exclude_image_ids is None else _images(self.exclude_image_ids, "exclude_image_ids")
        return replace(self, exclude_image_ids=list(dict.fromkeys((*before, *images))))

    def without_products(self, products: Sequence[str]) -> Filters:
        """Return the same filters that leave out these products too."""
        if not products:
            return self
        before = [] if self.exclude_product_ids is None else _keys(self.exclude_product_ids, "exclude_product_ids")
        return replace(self, exclude_product_ids=list(dict.fromkeys((*before, *products))))

    def given(self) -> dict[str, Any]:
        """Return {name: value} of the filters that are given."""
        return {name: value for name in NAMES if (value := getattr(self, name)) is not None}

    def as_json(self) -> str:
        """Return them as the JSON of which `imgsearch.filters_of(jsonb)` makes the composite. Raises FilterError."""
        plain = {name: _READERS[name](value, name) for name, value in self.given().items()}
        return json.dumps(plain, allow_nan=False)


class FilterArguments(TypedDict, total=False):
    """The same as named arguments, for functions that take `**filters`."""

    tenant: str | None
    category: str | Sequence[str] | None
    min_price: float | None
    max_price: float | None
    in_stock: bool | None
    attributes: Mapping[str, Any] | None
    product_ids: Sequence[str] | None
    exclude_product_ids: Sequence[str] | None
    exclude_image_ids: Sequence[int] | None
    created_after: datetime | None
    created_before: datetime | None
    condition: Mapping[str, Any] | None
    taken_after: datetime | None
    taken_before: datetime | None
    near: Sequence[float] | None
    duplicates: bool | None


HELP: Mapping[str, str] = {one.name: one.metadata["help"] for one in fields(Filters)}
NAMES = tuple(HELP)


def merged(filters: Filters | None, named: Mapping[str, Any]) -> Filters:
    """Return one value of `filters=` and named arguments; the named ones win, None says
    nothing. Raises FilterError for unknown names."""
    given: object = filters  # of whoever runs no type checker
    if not isinstance(given, Filters | None):
        kind = type(given).__name__
        raise FilterError(f'filters is not a {kind}; write Filters(tenant="acme") or tenant="acme".')
    named_filters = Filters.from_mapping(named) if named else Filters()
    both = replace(filters, **named_filters.given()) if filters and named else filters or named_filters
    return both if both.tenant is None else both.of_tenant(_key(both.tenant, "tenant"))


def _key(value: Any, name: str) -> str:
    return values.named(value, name, FilterError)


def _keys(value: Any, name: str) -> list[str]:
    return values.keys(value, name, FilterError)


def _categories(value: Any, name: str) -> list[str]:
    parts = value if isinstance(value, Iterable) and not isinstance(value, str | Enum) else [value]
    return [values.text(part, name, values.NAME, FilterError) for part in values.several(parts, name, FilterError)]


def _numbers(value: Any, name: str) -> list[float]:
    """Latitude and longitude, which may be below 0, and kilometres."""
    return [values.number(part, name, -1e6, 1e6, FilterError) for part in values.several(value, name, FilterError)]


def _images(value: Any, name: str) -> list[int]:
    parts = values.several(value, name, FilterError)
    return [values.whole(part, name, -(2**63), 2**63 - 1, FilterError) for part in parts]


def _price(value: Any, name: str) -> float:
    return values.number(value, name, -values.PRICE, values.PRICE, FilterError)


def _truth(value: Any, name: str) -> bool:
    return values.truth(value, name, FilterError)


def _tree(value: Any, name: str) -> dict[str, Any]:
    return values.mapping(value, name, FilterError)


def _time(value: Any, name: str) -> str:
    """A text is read by the database, which asks for its zone."""
    if isinstance(value, str):
        return values.text(value, name, values.NAME, FilterError)
    if not isinstance(value, datetime):
        raise FilterError(f"{name} is a time with its zone, for example datetime.now(UTC).")
    if value.tzinfo is None:
        raise FilterError(f"{name}: {value} has no time zone; use for example datetime.now(UTC).")
    plain: str = values.as_json(value, name, FilterError)
    return plain


_READERS: Mapping[str, Callable[[Any, str], Any]] = {
    "tenant": _key,
    "category": _categories,
    **dict.fromkeys(("min_price", "max_price"), _price),
    **dict.fromkeys(("in_stock", "duplicates"), _truth),
    **dict.fromkeys(("attributes", "condition"), _tree),
    **dict.fromkeys(("product_ids", "exclude_product_ids"), _keys),
    "exclude_image_ids": _images,
    **dict.fromkeys(("created_after", "created_before", "taken_after", "taken_before"), _time),
    "near": _numbers,
}
