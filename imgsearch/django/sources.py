"""Which images are a row's: where they stand, and how they follow when its tenant or its key is another one.

A row is remembered in imgsearch.picture_source by its model and key, so its images are found wherever they stand,
whoever changed the row. A model's table may be in several schemas (a schema for each tenant): those are different rows.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from django.apps import apps
from django.db import connections
from django.db.models import Model

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import driver
from imgsearch.django.mapping import key_text, mapping_for
from imgsearch.errors import UsageError

AT_ONCE = 500  # rows that are looked up by one statement


class Place(NamedTuple):
    """Where the images of a row belong."""

    tenant: str
    product: str


class Stand(NamedTuple):
    """The place of a row's images, and the name of the photo that was last read; None: none was remembered."""

    place: Place
    file: str | None


def kind_of(model: type[Model], using: str) -> str:
    """Return what stands before the keys of a model's rows: the decorated model, in the schema of its table."""
    decorated: Any = next((kind for kind in model.__mro__ if "_imgsearch" in kind.__dict__), model)
    meta = getattr(decorated, "_meta", None)
    meta = (model if meta is None or meta.abstract else decorated)._meta.concrete_model._meta  # noqa: SLF001
    table = connections[using].ops.quote_name(meta.db_table)
    schema = sql.value(driver(connections[using]), "django_source", "schema_of", {"table": table})
    return f"{quote(schema, safe='')}/{meta.label_lower}:" if schema else f"{meta.label_lower}:"


def source_of(instance: Any, using: str) -> str:
    """Return what picture_source calls a row."""
    return f"{kind_of(type(instance), using)}{key_text(instance.pk)}"


def place_of(instance: Any) -> Place:
    """Return where the images of a row belong.

    Raises UsageError for a picture of another, without a tenant, and for a key of which some letters are composed.
    """
    mapping = mapping_for(type(instance))
    if mapping.of:
        raise UsageError(f"{instance._meta.label} is a picture itself: of= leads to what is ranked.")  # noqa: SLF001
    key = key_text(instance.pk)
    if key not in {unicodedata.normalize(form, key) for form in ("NFC", "NFD")}:  # images could not lead back to it
        raise UsageError(
            f"The primary key {key!r} has some letters composed and others not;"
            " save the row under unicodedata.normalize('NFC', key)."
        )
    return Place(mapping.tenant_of(instance), mapping.product_of(instance))


def settle(instances: Sequence[Any], using: str) -> list[Stand]:
    """Bring the images of rows to where they belong now, out of other tenants and from under other keys.

    Raises UsageError where images of another row stand at that place already: both would be one product.
    """
    stands = looked_up(instances, using)
    for instance, (stand, old) in zip(instances, stands, strict=True):
        if old is not None and old != stand.place:
            move(source_of(instance, using), old, stand.place, using)
            if stand.file is not None:
                remember(instance, stand.place, stand.file, using)
    return [stand for stand, _ in stands]


def looked_up(instances: Sequence[Any], using: str) -> list[tuple[Stand, Place | None]]:
    """Return where the images of rows of one model belong and where they stand, None for a row without images."""
    if not instances:
        return []
    kind = kind_of(type(instances[0]), using)
    names, places = [f"{kind}{key_text(one.pk)}" for one in instances], [place_of(one) for one in instances]
    return [
        (Stand(place, row["file"]), Place(row["tenant_id"], row["product_id"]) if row["tenant_id"] else None)
        for place, row in zip(places, standing(names, places, using), strict=True)
    ]


def standing(names: list[str], places: list[Place], using: str) -> list[Any]:
    """Return the lines of statement `stands`. Raises UsageError where images of another row stand at such a place."""
    tenants, products = [place.tenant for place in places], [place.product for place in places]
    lent = driver(connections[using])
    values = {"sources": names, "tenants": tenants, "products": products}
    rows = {row["source"]: row for row in sql.rows(lent, "django_source", "stands", values)}
    stale: list[str] = []
    for name, place in zip(names, places, strict=True):
        stale += [other for other in rows[name]["others"] if _refuse_rival(name, other, place)]
    if stale:
        sql.run(lent, "django_source", "forget", {"sources": stale})
    return [rows[name] for name in names]


def move(source: str, old: Place, new: Place, using: str) -> None:
    """Move the images of a row, and what its product is called. A worker embeds them where they are then."""
    lent = driver(connections[using])
    values = {"source": source, "old_tenant": old.tenant, "old_product": old.product, **new._asdict()}
    sql.run(lent, "django_source", "copy", {**values, "position": None, "image_id": None})
    sql.run(lent, "django_source", "copy_words", values)
    sql.run(lent, "django_source", "withdraw", {"source": source, "position": None, **old._asdict()})


def remember(instance: Any, place: Place, file: str, using: str) -> None:
    """Note that the images at a place are this row's, and the name of its photo when it was last read."""
    values = {"source": source_of(instance, using), "file": file, **place._asdict()}
    sql.run(driver(connections[using]), "django_source", "anchor", values)


def withdraw(instance: Any, using: str, position: int | None = None) -> list[int]:
    """Delete the images that are remembered as this row's, or the one at a position, wherever they stand."""
    lent, source = driver(connections[using]), source_of(instance, using)
    values = {"sources": [source], "tenants": [""], "products": [""]}
    [row] = sql.rows(lent, "django_source", "stands", values)
    if row["tenant_id"] is None:
        return []
    place = Place(row["tenant_id"], row["product_id"])
    gone = sql.rows(lent, "django_source", "withdraw", {"source": source, "position": position, **place._asdict()})
    remember(instance, place, row["file"] if position else "", using)
    return [image["image_id"] for image in gone]


def left_behind(model: type[Model], using: str) -> Iterator[list[str]]:
    """Yield the sources of rows of a model that are no longer in its table, though images of them are there."""
    kind = kind_of(model, using)
    for names in _remembered(kind, using):
        there = {f"{kind}{key_text(key)}" for key in _keys_there(model, [name[len(kind) :] for name in names], using)}
        if gone := [name for name in names if name not in there]:
            yield gone


def withdraw_all(model: type[Model], using: str) -> None:
    """Delete the images that were added for rows of a model, but those that an attached table has taken over."""
    for names in _remembered(kind_of(model, using), using):
        withdraw_sources(names, using, whole=True)


def _remembered(kind: str, using: str) -> Iterator[list[str]]:
    lent, after = driver(connections[using]), ""
    while True:
        rows = sql.rows(lent, "django_source", "of_kind", {"kind": kind, "after": after, "most": AT_ONCE})
        if not rows:
            return
        names = [row["source"] for row in rows]
        after = names[-1]
        yield names


def withdraw_sources(names: list[str], using: str, *, whole: bool) -> int:
    """Delete the images of rows that are gone; `whole`: with what else was added to their products by hand."""
    values = {"sources": names, "whole": whole}
    return len(sql.rows(driver(connections[using]), "django_source", "withdraw_sources", values))


def _keys_there(model: type[Model], written: list[str], using: str) -> Iterable[Any]:
    from imgsearch.django.queryset import key_from

    keys = [key for text in written if (key := key_from(model, text)) is not None]
    rows = model._base_manager.using(using).filter(pk__in=keys)  # noqa: SLF001
    return rows.values_list("pk", flat=True) if keys else ()


def _refuse_rival(name: str, other: str, place: Place) -> bool:
    """Refuse two rows that would be one product; return whether the other one is of a model that is gone."""
    (schema, label), (other_schema, other_label) = _parts(name), _parts(other)
    try:
        picture = bool(mapping_for(apps.get_model(other_label)).of)
    except LookupError:
        return True
    if schema != other_schema:
        raise UsageError(
            f"Product {place.product!r} of tenant {place.tenant!r} is {_called(other)} already, so {_called(name)} was "
            f"not added. With a schema for each shop, name the tenant: @searchable(tenant=…) with a field of the model "
            f"that holds the schema's name."
        )
    if not picture and not mapping_for(apps.get_model(label)).of:
        raise UsageError(
            f"Product {place.product!r} of tenant {place.tenant!r} is {_called(other)} already, so {_called(name)} was "
            f"not added. Tell the two models apart: @searchable(prefix=…) on one of them."
        )
    return False


def _parts(source: str) -> tuple[str, str]:
    schema, slash, label = source.partition(":")[0].rpartition("/")
    return unquote(schema) if slash else "public", label


def _called(source: str) -> str:
    schema, label = _parts(source)
    return f"{label} {source.partition(':')[2]} of schema {schema}"
