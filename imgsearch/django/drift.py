"""What is out of step between a searchable model's rows and their images, as `update()` and SQL may leave it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Any

from django.apps import apps
from django.db import transaction
from django.db.models import Model

from imgsearch.django import failures, files, pictures, sources, uploads
from imgsearch.django.mapping import mapping_for, resolve_path

GONE = "images of rows that are gone"
ELSEWHERE = "rows whose images stand in another tenant or under another key"
OTHERWISE = "rows whose images are filtered by old values"
MISSING = "rows whose picture was not added, or replaced unseen"


def models() -> list[type[Model]]:
    """Return the models that were decorated, each once."""
    rows = (model for model in apps.get_models() if "_imgsearch" in model.__dict__ and not model._meta.proxy)  # noqa: SLF001
    return [model for model in rows if not mapping_for(model).pictures]


def count(model: type[Model], using: str, most: int | None = None) -> Counter[str]:
    """Return how many rows of a model (the first `most`, or all) are out of step, by what is wrong."""
    out: Counter[str] = Counter()
    out[GONE] = sum(len(names) for names in sources.left_behind(model, using))
    rows = model._base_manager.using(using).order_by("pk").iterator(chunk_size=sources.AT_ONCE)  # noqa: SLF001
    each = islice(rows, most)
    while some := list(islice(each, sources.AT_ONCE)):
        out.update(_of_pictures(some, using) if mapping_for(model).of else _of_products(some, using))
    return +out


def said(model: type[Model], database: str, most: int | None = None) -> list[str]:
    """Return a line for each way in which rows of a model and their images are out of step."""
    return [f"{model._meta.label}: {n} {what}." for what, n in count(model, database, most).items()]  # noqa: SLF001


def mend_gone(model: type[Model], using: str) -> int:
    """Delete the images of rows that are no longer in a model's table; return how many."""
    whole = not mapping_for(model).of
    return sum(sources.withdraw_sources(names, using, whole=whole) for names in sources.left_behind(model, using))


def _of_products(rows: list[Any], using: str) -> Iterable[str]:
    for row in rows:
        try:
            [(stand, old)] = sources.looked_up([row], using)
        except Exception:  # noqa: BLE001  # no tenant, or another row's place: backfill says which
            yield ELSEWHERE
            continue
        if old is not None and old != stand.place:
            yield ELSEWHERE
        elif _otherwise(row, using):
            yield OTHERWISE
        elif (mapping_for(type(row)).photo or stand.file) and uploads.photo_of(row) != (stand.file or ""):
            yield MISSING


def _of_pictures(rows: list[Any], using: str) -> Iterable[str]:
    for row in rows:
        mapping = mapping_for(type(row))
        owner, name = mapping.owner_of(row), files.name_of(resolve_path(row, mapping.photo or ""))
        there = pictures.find(row, using)
        if there is None or owner is None or not name:
            if (there is None) == (owner is not None and bool(name)):
                yield MISSING
        elif (there["tenant_id"], there["product_id"]) != sources.place_of(owner):
            yield ELSEWHERE
        elif there["file"] != name:
            yield MISSING


def _otherwise(row: Any, using: str) -> bool:
    changed: list[int] = []

    def write() -> None:
        changed.append(uploads.refilter(row, using=using))
        transaction.set_rollback(True, using=using)

    return failures.attempt(using, write) is None and changed[0] > 0
