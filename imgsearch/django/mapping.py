"""How a model reaches its images: which field holds the picture, and which ones searches filter on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Manager, Model

from imgsearch.errors import UsageError
from imgsearch.ingest import words as limits
from imgsearch.values import composed

DEFAULT_TENANT = "default"


@dataclass(frozen=True, kw_only=True)
class Searchable:
    """What `@searchable` was given: names of fields, or paths such as `category__name`.

    A product's images are those of its tenant with `product_id` = `prefix` and its primary key as text. The prefix
    keeps models apart that share a tenant. With `of`, a row is a picture and no product: everything but its photo and
    its place is said of the model that it is a picture of.
    """

    photo: str | None = None
    tenant: str | None = None
    category: str | None = None
    categories: str | None = None
    price: str | None = None
    in_stock: str | None = None
    title: str | None = None
    words: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    of: tuple[str, ...] = ()  # paths to the row whose picture it is: the first that leads somewhere
    position: str | None = None
    main: str | None = None
    fallback: str | None = None
    colliding: tuple[str, ...] = ()  # attributes that two paths would be called by
    pictures: bool = False  # the model's rows are the images themselves

    def paths(self) -> Iterator[tuple[str, str]]:
        """Yield (argument, path) of everything that was named."""
        single = (
            "photo",
            "tenant",
            "category",
            "categories",
            "price",
            "in_stock",
            "title",
            "position",
            "main",
            "fallback",
        )
        yield from ((name, path) for name in single if (path := getattr(self, name)))
        for name in ("words", "codes", "of"):
            yield from ((name, path) for path in getattr(self, name))
        yield from (("attributes", path) for path in self.attributes.values())

    def owner_of(self, instance: Any) -> Any:
        """Return the row that a picture is of, None where it is of none."""
        return next((row for path in self.of if (row := resolve_path(instance, path)) is not None), None)

    def tenant_of(self, instance: Any) -> str:
        """Return the tenant whose images are this instance's. Raises UsageError where its path leads nowhere."""
        if not self.tenant:
            return DEFAULT_TENANT
        value = resolve_path(instance, self.tenant)
        if value is None:
            raise UsageError(
                f"{_named(instance)} has no tenant: {self.tenant} leads nowhere; fill it in, save it again."
            )
        return composed(str(value), "the tenant")

    def product_of(self, instance: Any) -> str:
        """Return the product_id of this instance's images."""
        return composed(f"{self.prefix}{key_text(instance.pk)}", "the primary key")

    def filters_of(self, instance: Any) -> dict[str, Any]:
        """Return category, categories, price, in_stock and attributes as `imgsearch.add` takes them."""
        found: dict[str, Any] = {}
        if self.category:
            value = resolve_path(instance, self.category)
            found["category"] = None if value is None else str(value)
        if self.categories:
            found["categories"] = _fitting(categories_at(instance, self.categories))
        if self.price:
            value = resolve_path(instance, self.price)
            found["price"] = None if value is None else float(value)
        if self.in_stock:
            found["in_stock"] = bool(resolve_path(instance, self.in_stock))
        named = {name: resolve_path(instance, path) for name, path in self.attributes.items()}
        found["attributes"] = {name: value for name, value in named.items() if value is not None}
        return found

    def words_of(self, instance: Any) -> dict[str, Any]:
        """Return title, words and codes as `imgsearch.add` takes them; only what the model maps, cut where too long."""
        found: dict[str, Any] = {}
        if self.title:
            found["title"] = str(resolve_path(instance, self.title) or "")[: limits.TITLE]
        if self.words:
            found["words"] = " ".join(_texts(instance, self.words))[: limits.WORDS]
        if self.codes:
            codes = (code for code in _texts(instance, self.codes) if len(code) <= limits.CODE)
            found["codes"] = list(dict.fromkeys(codes))[: limits.CODES]
        return found


def key_text(key: Any) -> str:
    """Return a primary key as product_id says it: of a composite one (a tuple) its parts, as attach() writes them."""
    if isinstance(key, tuple):
        return "/".join(str(part).replace("%", "%25").replace("/", "%2F") for part in key)
    return str(key)


def key_parts(written: str) -> list[str]:
    """Return the parts of a composite key as `key_text` wrote them."""
    return [part.replace("%2F", "/").replace("%25", "%") for part in written.split("/")]


def categories_at(instance: Any, path: str) -> list[str]:
    """Return the names at a path that may lead to many rows, as `sections__name`, or to a list."""
    found = [instance]
    for name in path.split("__"):
        values = (resolve_path(one, name, many=True) for one in found)
        found = [one for value in values for one in _all_of(value)]
    return [str(one) for one in found]


def _all_of(value: Any) -> Iterable[Any]:
    if isinstance(value, Manager):
        return list(value.all())
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [] if value is None else [value]
    return [one for one in value if one is not None]


def _fitting(categories: list[str]) -> list[str] | None:
    """Cut to what an image may have: saving a row is never refused for its categories."""
    kept = {name for one in categories if (name := one.strip()) and len(name) <= limits.CATEGORY}
    return sorted(kept)[: limits.CATEGORIES] or None


def _texts(instance: Any, paths: tuple[str, ...]) -> list[str]:
    values = (resolve_path(instance, path) for path in paths)
    return [str(value) for value in values if value not in (None, "")]


def _named(instance: Any) -> str:
    return f"{instance._meta.label} {instance.pk}"  # noqa: SLF001


def mapping_for(model: type[Model]) -> Searchable:
    """Return what `@searchable` said of a model, or the defaults."""
    found: Searchable = getattr(model, "_imgsearch", _NOTHING)
    return found


def resolve_path(instance: Any, path: str, *, many: bool = False) -> Any:
    """Return the value at a path from an instance, None where it ends early.

    Raises UsageError where the path leads to many rows and `many` is not said: none of them is the value.
    """
    value = instance
    for name in path.split("__"):
        try:
            value = getattr(value, name, None)
        except ObjectDoesNotExist:  # a key that leads to no row
            return None
        if value is None:
            return None
    if isinstance(value, Manager) and not many:
        raise UsageError(f"{path} of {_named(instance)} leads to many rows; name a property that chooses one value.")
    return value


_NOTHING = Searchable()
