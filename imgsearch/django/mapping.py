"""How a model reaches its images: which field holds the picture, and which ones searches filter on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Model

DEFAULT_TENANT = "default"


@dataclass(frozen=True, kw_only=True)
class Searchable:
    """What `@searchable` was given: names of fields, or paths such as `category__name`.

    A product's images are those of its tenant with `product_id` = `prefix` and its primary key as text. The prefix
    keeps models apart that share a tenant.
    """

    photo: str | None = None
    tenant: str | None = None
    category: str | None = None
    price: str | None = None
    in_stock: str | None = None
    title: str | None = None
    words: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    pictures: bool = False  # the model's rows are the images themselves

    def tenant_of(self, instance: Any) -> str:
        """Return the tenant whose images are this instance's."""
        return str(resolve_path(instance, self.tenant)) if self.tenant else DEFAULT_TENANT

    def product_of(self, instance: Any) -> str:
        """Return the product_id of this instance's images."""
        return f"{self.prefix}{instance.pk}"

    def filters_of(self, instance: Any) -> dict[str, Any]:
        """Return category, price, in_stock and attributes as `imgsearch.add` takes them."""
        found: dict[str, Any] = {}
        if self.category:
            value = resolve_path(instance, self.category)
            found["category"] = None if value is None else str(value)
        if self.price:
            value = resolve_path(instance, self.price)
            found["price"] = None if value is None else float(value)
        if self.in_stock:
            found["in_stock"] = bool(resolve_path(instance, self.in_stock))
        named = {name: resolve_path(instance, path) for name, path in self.attributes.items()}
        found["attributes"] = {name: value for name, value in named.items() if value is not None}
        return found

    def words_of(self, instance: Any) -> dict[str, Any]:
        """Return title, words and codes as `imgsearch.add` takes them; only what the model maps."""
        found: dict[str, Any] = {}
        if self.title:
            found["title"] = str(resolve_path(instance, self.title) or "")
        if self.words:
            found["words"] = " ".join(_texts(instance, self.words))
        if self.codes:
            found["codes"] = _texts(instance, self.codes)
        return found


def _texts(instance: Any, paths: tuple[str, ...]) -> list[str]:
    values = (resolve_path(instance, path) for path in paths)
    return [str(value) for value in values if value not in (None, "")]


def mapping_for(model: type[Model]) -> Searchable:
    """Return what `@searchable` said of a model, or the defaults."""
    found: Searchable = getattr(model, "_imgsearch", _NOTHING)
    return found


def resolve_path(instance: Any, path: str) -> Any:
    """Return the value at a path from an instance, None where it ends early."""
    value = instance
    for name in path.split("__"):
        value = getattr(value, name, None)
        if value is None:
            return None
    return value


_NOTHING = Searchable()
