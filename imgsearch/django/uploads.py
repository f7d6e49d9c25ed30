"""Images of instances: added in the transaction that is open, gone with the one that removes them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any, Unpack

from django.db import connections, router
from django.db.models import Model, QuerySet

from imgsearch import values
from imgsearch.db import sql
from imgsearch.db.psycopg_connection import driver
from imgsearch.django import files, site, sources
from imgsearch.django.mapping import Searchable, key_text, mapping_for, resolve_path
from imgsearch.errors import UsageError
from imgsearch.ingest import attachment, changes, columns, upload
from imgsearch.ingest import words as product_words
from imgsearch.ingest.changes import Changed, Changes
from imgsearch.ingest.upload import Added

AT_ONCE = 500  # products whose filters are written by one statement
_log = logging.getLogger("imgsearch.django")


def add(instance: Any, picture: Any, *, position: int = 0, using: str | None = None) -> Added:
    """Add an image of a saved instance, in the transaction that is open on its database; the same position replaces.

    picture: bytes, a path, an open or uploaded file, or an http(s) address. Bytes go to the picture store; a rolled
    back transaction leaves no row. Workers are told on commit. Raises PictureError, UsageError, StoreError.
    """
    if instance.pk is None:
        raise UsageError("This instance was not saved yet, so its image has no key; save it first.")
    _of_products(instance)
    alias = database_of(instance, using)
    [stand] = sources.settle([instance], alias)
    added = put(instance, picture, position=position, using=alias)
    sources.remember(instance, stand.place, photo_of(instance), alias)
    return added


def put(instance: Any, picture: Any, *, position: int, using: str) -> Added:
    """Add an image at the place where those of an instance belong, whichever row it is remembered as."""
    mapping = mapping_for(type(instance))
    return upload.add(
        connections[using],
        picture,
        product_id=mapping.product_of(instance),
        tenant=mapping.tenant_of(instance),
        position=position,
        settings=site.settings(),
        **filters_of(instance),
        **mapping.words_of(instance),
    )


def change(instance: Any, *, position: int | None = None, using: str | None = None, **what: Unpack[Changes]) -> Changed:
    """Change what is stored beside an instance's images that no field of its model says; nothing is embedded again.

    price, in_stock, category, categories, attributes (merged by name, None takes one away), title, words, codes: see
    `imgsearch.change`. What `@searchable` maps is written anew whenever the instance is saved. Raises UsageError.
    """
    _of_products(instance)
    alias = database_of(instance, using)
    [stand] = sources.settle([instance], alias)
    return changes.change(
        connections[alias],
        tenant=stand.place.tenant,
        product_id=stand.place.product,
        position=position,
        **what,
    )


def remove(instance: Any, *, position: int | None = None, using: str | None = None) -> list[int]:
    """Delete the images of an instance, or the one at a position, wherever they stand; return their image ids."""
    _of_products(instance)
    alias = database_of(instance, using)
    gone = sources.withdraw(instance, alias, position)
    [(stand, _)] = sources.looked_up([instance], alias)
    tenant, product = stand.place
    return gone + upload.remove(connections[alias], tenant=tenant, product_id=product, position=position)


def refilter(rows: Any, *, using: str | None = None) -> int:
    """Write anew what searches filter on, price, category, words …, of all images of an instance or of a queryset's
    rows; return how many images changed. No file is read and nothing embedded.

    Call it where a value changed in another table: from a signal of a stock record, `refilter(record.product)`. For a
    row whose pictures rank another one (`searchable(of=…)`), that one is written too. For an attached model it is
    `imgsearch.refresh()`.

    Raises UsageError for a row without tenant, and the database's typed errors.
    """
    from imgsearch.django import pictures

    if isinstance(rows, Model):
        return _refilter([rows, *pictures.owners_beyond(rows)], database_of(rows, using), type(rows))
    if not isinstance(rows, QuerySet):
        raise UsageError(f"refilter() takes an instance or a queryset, not a {type(rows).__name__}.")
    total = 0
    each = rows.iterator(chunk_size=AT_ONCE)
    while some := list(islice(each, AT_ONCE)):
        beyond = [owner for row in some for owner in pictures.owners_beyond(row)]
        total += _refilter([*some, *beyond], using or rows.db, rows.model)
    return total


def filters_of(instance: Any) -> dict[str, Any]:
    """Return what searches filter on, as `imgsearch.add` takes it. What none is is left out and logged, as by attach():
    saving a row is not refused for a price below 0, or an attribute that JSON does not know."""
    found = mapping_for(type(instance)).filters_of(instance)
    for name, check in (("price", columns.checked_price), ("category", columns.checked_category)):
        if name in found:
            found[name] = _checked(instance, check, found[name])
    attributes = {
        name: _checked(instance, partial(values.as_json, field=name), value)
        for name, value in found["attributes"].items()
    }
    found["attributes"] = {name: value for name, value in attributes.items() if value is not None}
    return found


def _checked(instance: Any, check: Callable[[Any], Any], value: Any) -> Any:
    try:
        return check(str(value) if isinstance(value, Model) else value)
    except UsageError as error:
        _log.warning("%s %s: %s", instance._meta.label, instance.pk, error)  # noqa: SLF001
        return None


def write_filters(instance: Any, using: str) -> str | None:
    """Change what searches filter on; return the address of its first image, None where it has none."""
    [found] = _written([instance], using)
    address: str | None = found["uri"]
    return address


def photo_of(instance: Any) -> str:
    """Return the name of the file, or the address, that a row says is its photo."""
    photo = mapping_for(type(instance)).photo
    return files.name_of(resolve_path(instance, photo)) if photo else ""


def database_of(instance: Any, using: str | None) -> str:
    return using or instance._state.db or router.db_for_write(type(instance), instance=instance)  # noqa: SLF001


def _refilter(instances: list[Any], using: str, model: type[Model]) -> int:
    lent = driver(connections[using])
    table = connections[using].ops.quote_name(model._meta.db_table)  # noqa: SLF001
    attached = sql.value(lent, "django", "attached", {"table": table})
    if attached is not None:  # the database itself knows what to write
        return attachment.refresh(lent, attached, [key_text(instance.pk) for instance in instances])
    return sum(row["changed"] for row in _written(instances, using))


def _written(instances: Iterable[Any], using: str) -> list[Mapping[str, Any]]:
    rows = list(instances)
    for kind in {type(row) for row in rows}:  # an owner may be of another model than what it is the owner of
        sources.settle([row for row in rows if type(row) is kind], using)
    products = {_key(instance): instance for instance in rows}
    lent = driver(connections[using])
    given = [_row(key, instance) for key, instance in products.items()]
    found = sql.rows(lent, "django", "refilter", {"rows": json.dumps(given)})
    for key, instance in products.items():
        if called := mapping_for(type(instance)).words_of(instance):
            words = product_words.checked(called.get("title"), called.get("words"), called.get("codes"))
            which = {"tenant_id": key[0], "product_id": key[1], "named": list(called)}
            sql.run(lent, "change", "words", {**which, **words})
    return list(found)


def _key(instance: Any) -> tuple[str, str]:
    mapping = _of_products(instance)
    return mapping.tenant_of(instance), mapping.product_of(instance)


def _row(key: tuple[str, str], instance: Any) -> dict[str, Any]:
    """Return a product's line of `refilter`: what its model does not map stays as it was added or changed by hand."""
    named = list(mapping_for(type(instance)).attributes)
    return {**filters_of(instance), "tenant_id": key[0], "product_id": key[1], "attributes_named": named}


def _of_products(instance: Any) -> Searchable:
    mapping = mapping_for(type(instance))
    if mapping.of:
        raise UsageError(f"{type(instance).__name__} is a picture of {mapping.of[0]}; give that row instead.")
    return mapping
