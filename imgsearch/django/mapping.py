"""How a model reaches its pictures: which field holds the picture, and which ones searches filter on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.db.models import Model

DEFAULT_TENANT = "default"

M = TypeVar("M", bound=type[Model])


@dataclass(frozen=True, kw_only=True)
class Searchable:
    """What `@searchable` was told: names of fields, or paths such as `category__name`.

    A product's pictures are those of its tenant with `product_id` = `prefix` and its primary key as text. The prefix
    keeps models apart that share a tenant.
    """

    photo: str | None = None
    tenant: str | None = None
    category: str | None = None
    price: str | None = None
    in_stock: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    pictures: bool = False  # the model's rows are the pictures themselves

    def tenant_of(self, instance: Any) -> str:
        """Answer the tenant whose pictures are this instance's."""
        return str(reach(instance, self.tenant)) if self.tenant else DEFAULT_TENANT

    def product_of(self, instance: Any) -> str:
        """Answer the product_id of this instance's pictures."""
        return f"{self.prefix}{instance.pk}"

    def filters_of(self, instance: Any) -> dict[str, Any]:
        """Answer category, price, in_stock and attributes as `imgsearch.add` takes them."""
        found: dict[str, Any] = {}
        if self.category:
            value = reach(instance, self.category)
            found["category"] = None if value is None else str(value)
        if self.price:
            value = reach(instance, self.price)
            found["price"] = None if value is None else float(value)
        if self.in_stock:
            found["in_stock"] = bool(reach(instance, self.in_stock))
        named = {name: reach(instance, path) for name, path in self.attributes.items()}
        found["attributes"] = {name: value for name, value in named.items() if value is not None}
        return found


def searchable(
    *,
    photo: str | None = None,
    tenant: str | None = None,
    category: str | None = None,
    price: str | None = None,
    in_stock: str | None = None,
    attributes: Mapping[str, str] | tuple[str, ...] = (),
    prefix: str = "",
) -> Callable[[M], M]:
    """Decorate a model whose rows have pictures; each name is a field, or a path such as `category__name`.

    photo: an ImageField, FileField, or a text field with an http(s) address; saving an instance adds its picture in the
    same transaction, deleting it removes the picture. Without it, add pictures with `imgsearch.django.add`, or attach
    the table (`AttachImgsearch`). prefix: where two models have pictures, give one a prefix, as "poster:".
    """
    named = dict(attributes) if isinstance(attributes, Mapping) else {name.split("__")[0]: name for name in attributes}
    told = Searchable(
        photo=photo, tenant=tenant, category=category, price=price, in_stock=in_stock, attributes=named, prefix=prefix
    )

    def decorate(model: M) -> M:
        model._imgsearch = told  # noqa: SLF001  # ours to set
        if photo:
            from imgsearch.django import uploads

            uploads.follow(model)
        return model

    return decorate


def told(model: type[Model]) -> Searchable:
    """Answer what `@searchable` said of a model, or its defaults."""
    found: Searchable = getattr(model, "_imgsearch", _NOTHING)
    return found


def reach(instance: Any, path: str) -> Any:
    """Answer the value at a path from an instance, None where it ends early."""
    value = instance
    for name in path.split("__"):
        value = getattr(value, name, None)
        if value is None:
            return None
    return value


_NOTHING = Searchable()
