"""`@searchable`: a model whose rows have images, and the signals that keep them in step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

from django.apps import apps
from django.db.models import Model

from imgsearch.django.mapping import Searchable
from imgsearch.errors import UsageError

M = TypeVar("M", bound=type[Model])


def searchable(
    *,
    photo: str | None = None,
    tenant: str | None = None,
    category: str | None = None,
    categories: str | None = None,
    price: str | None = None,
    in_stock: str | None = None,
    title: str | None = None,
    words: str | tuple[str, ...] = (),
    codes: str | tuple[str, ...] = (),
    attributes: Mapping[str, str] | tuple[str, ...] = (),
    prefix: str = "",
    of: str | tuple[str, ...] = (),
    position: str | None = None,
    main: str | None = None,
    fallback: str | None = None,
) -> Callable[[M], M]:
    """Decorate a model whose rows have images; each name is a field, a property, or a path such as `category__name`.

    A model of another package is given in `AppConfig.ready()`: `searchable(photo="image")(Product)`.

    photo: an ImageField, FileField, or a text field with an http(s) address; saving an instance adds its picture in the
    same transaction, deleting it removes the picture. Without it, add images with `imgsearch.django.add`, or attach
    the table (`AttachImgsearch`). title, words and codes (each of the last two one or several) are what words find.
    categories: a path to many rows, `sections__name`, or a property that is a list; `refilter()` where they change.
    attributes: names of fields, the last part of a path is the attribute's name; or name → path.
    prefix: where two models have images, give one a prefix, as "poster:".

    of: the rows are pictures of others, `of="product"`: they rank that product, whose own @searchable says prices and
    words. Several paths, `of=("product__parent", "product")`: the first that leads to a row, so that the pictures of
    variants rank what they are variants of. Pictures stand in the order of `main` (a boolean, true first), `position`
    (which need not be unique) and their key. fallback: the foreign key to the row whose pictures this one is found by
    as long as it has none itself.
    """
    paths = attributes if isinstance(attributes, tuple) else ()
    named = dict(attributes) if isinstance(attributes, Mapping) else {name.split("__")[-1]: name for name in paths}
    counted = Counter(name.split("__")[-1] for name in paths)
    mapping = Searchable(
        photo=photo,
        tenant=tenant,
        category=category,
        categories=categories,
        price=price,
        in_stock=in_stock,
        title=title,
        words=_several(words),
        codes=_several(codes),
        attributes=named,
        prefix=prefix,
        of=_several(of),
        position=position,
        main=main,
        fallback=fallback,
        colliding=tuple(name for name, count in counted.items() if count > 1),
    )
    _refuse(mapping)

    def decorate(model: M) -> M:
        model._imgsearch = mapping  # noqa: SLF001  # ours to set
        if apps.models_ready:  # else ImgsearchConfig.ready() does it, when relations are known
            from imgsearch.django import signals

            signals.connect_all()
        return model

    return decorate


def _several(given: str | tuple[str, ...]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _refuse(mapping: Searchable) -> None:
    if mapping.of:
        if not mapping.photo:
            raise UsageError('searchable(of=…) needs the photo: searchable(of="product", photo="image").')
        theirs = {argument for argument, _ in mapping.paths()} - {"of", "photo", "position", "main"}
        if theirs or mapping.prefix:
            said = ", ".join(sorted(theirs | ({"prefix"} if mapping.prefix else set())))
            raise UsageError(
                f"{said}: searches filter on what the product says; give it to the model that of= leads to."
            )
    elif mapping.position or mapping.main:
        raise UsageError("position and main order the pictures of a product; they go with searchable(of=…).")
