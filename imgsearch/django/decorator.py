"""`@searchable`: a model whose rows have images, and the signals that keep them in step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from django.db.models import Model

from imgsearch.django.mapping import Searchable
from imgsearch.django.uploads import connect_signals

M = TypeVar("M", bound=type[Model])


def searchable(
    *,
    photo: str | None = None,
    tenant: str | None = None,
    category: str | None = None,
    price: str | None = None,
    in_stock: str | None = None,
    title: str | None = None,
    words: str | tuple[str, ...] = (),
    codes: str | tuple[str, ...] = (),
    attributes: Mapping[str, str] | tuple[str, ...] = (),
    prefix: str = "",
) -> Callable[[M], M]:
    """Decorate a model whose rows have images; each name is a field, or a path such as `category__name`.

    photo: an ImageField, FileField, or a text field with an http(s) address; saving an instance adds its picture in the
    same transaction, deleting it removes the picture. Without it, add images with `imgsearch.django.add`, or attach
    the table (`AttachImgsearch`). title, words and codes (each of the last two one or several) are what words find.
    prefix: where two models have images, give one a prefix, as "poster:".
    """
    named = dict(attributes) if isinstance(attributes, Mapping) else {name.split("__")[0]: name for name in attributes}
    mapping = Searchable(
        photo=photo,
        tenant=tenant,
        category=category,
        price=price,
        in_stock=in_stock,
        title=title,
        words=(words,) if isinstance(words, str) else words,
        codes=(codes,) if isinstance(codes, str) else codes,
        attributes=named,
        prefix=prefix,
    )

    def decorate(model: M) -> M:
        model._imgsearch = mapping  # noqa: SLF001  # ours to set
        if photo:
            connect_signals(model)
        return model

    return decorate
