"""What rows must match: one value, in Python this dataclass, in SQL the composite `imgsearch.filters`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from operator import index
from typing import Any, TypedDict

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
        return replace(self, exclude_image_ids=list(dict.fromkeys((*(self.exclude_image_ids or ()), *images))))

    def without_products(self, products: Sequence[str]) -> Filters:
        """Return the same filters that leave out these products too."""
        if not products:
            return self
        return replace(self, exclude_product_ids=list(dict.fromkeys((*(self.exclude_product_ids or ()), *products))))

    def given(self) -> dict[str, Any]:
        """Return {name: value} of the filters that are given."""
        return {name: value for name in NAMES if (value := getattr(self, name)) is not None}

    def as_json(self) -> str:
        """Return them as the JSON of which `imgsearch.filters_of(jsonb)` makes the composite."""
        found = self.given()
        if isinstance(found.get("category"), str):
            found["category"] = [found["category"]]
        try:
            return json.dumps(found, default=_plain, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise FilterError(f"These filters cannot be written as JSON ({error}). Use plain values.") from error


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
    if not named:
        return filters or Filters()
    named_filters = Filters.from_mapping(named)
    return replace(filters, **named_filters.given()) if filters else named_filters


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; use for example datetime.now(UTC)")
        return value.isoformat()
    if isinstance(value, set | frozenset | tuple):
        return sorted(value) if isinstance(value, set | frozenset) else list(value)
    with suppress(TypeError):
        return index(value)  # numpy's whole numbers
    if hasattr(value, "__float__"):
        return float(value)  # Decimal, numpy's other numbers
    raise TypeError(f"{type(value).__name__} is not a plain value")
