"""Images of instances: added in the transaction that saves them, gone with the one that deletes them."""

from __future__ import annotations

import json
from typing import Any, Unpack

from django.db import connections, router
from django.db.models import Model
from django.db.models.signals import post_delete, post_init, post_save

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import driver
from imgsearch.django import site
from imgsearch.django.mapping import mapping_for, resolve_path
from imgsearch.errors import UsageError
from imgsearch.ingest import changes, upload
from imgsearch.ingest import words as product_words
from imgsearch.ingest.changes import Changed, Changes
from imgsearch.ingest.upload import Added

_KNOWN = "_imgsearch_photo"  # the picture's name as it was last read from or written to the database


def add(instance: Any, picture: Any, *, position: int = 0, using: str | None = None) -> Added:
    """Add an image of a saved instance, in the transaction that is open on its database; the same position replaces.

    picture: bytes, a path, an open or uploaded file, or an http(s) address. Bytes go to the picture store; a rolled
    back transaction leaves no row. Workers are told on commit. Raises PictureError, UsageError, StoreError.
    """
    if instance.pk is None:
        raise UsageError("This instance was not saved yet, so its image has no key; save it first.")
    alias = _database(instance, using)
    mapping = mapping_for(type(instance))
    if hasattr(picture, "seek"):
        picture.seek(0)
    return upload.add(
        connections[alias],
        picture,
        product_id=mapping.product_of(instance),
        tenant=mapping.tenant_of(instance),
        position=position,
        settings=site.settings(),
        **mapping.filters_of(instance),
        **mapping.words_of(instance),
    )


def change(instance: Any, *, position: int | None = None, using: str | None = None, **what: Unpack[Changes]) -> Changed:
    """Change what is stored beside an instance's images that no field of its model says; nothing is embedded again.

    price, in_stock, category, attributes (merged by name, None takes one away), title, words, codes: see
    `imgsearch.change`. What `@searchable` maps is written anew whenever the instance is saved. Raises UsageError.
    """
    mapping = mapping_for(type(instance))
    return changes.change(
        connections[_database(instance, using)],
        tenant=mapping.tenant_of(instance),
        product_id=mapping.product_of(instance),
        position=position,
        **what,
    )


def remove(instance: Any, *, position: int | None = None, using: str | None = None) -> list[int]:
    """Delete the images of an instance, or the one at a position; return their image ids."""
    mapping = mapping_for(type(instance))
    return upload.remove(
        connections[_database(instance, using)],
        tenant=mapping.tenant_of(instance),
        product_id=mapping.product_of(instance),
        position=position,
    )


def connect_signals(model: type[Model]) -> None:
    """Keep images in step with instances of `model` that are saved and deleted one by one."""
    post_init.connect(_loaded, sender=model, dispatch_uid=f"imgsearch.loaded.{model._meta.label}")  # noqa: SLF001
    post_save.connect(_saved, sender=model, dispatch_uid=f"imgsearch.saved.{model._meta.label}")  # noqa: SLF001
    post_delete.connect(_deleted, sender=model, dispatch_uid=f"imgsearch.deleted.{model._meta.label}")  # noqa: SLF001


def catch_up(instance: Any, using: str) -> bool:
    """Add the image of an instance that has none yet; return whether it was added."""
    photo = resolve_path(instance, mapping_for(type(instance)).photo or "")
    if not _name(photo) or _refilter(instance, using):
        return False
    _read(instance, photo, using)
    return True


def _loaded(sender: Any, instance: Any, **_: Any) -> None:
    instance.__dict__[_KNOWN] = (
        _name(instance.__dict__.get(mapping_for(sender).photo)) if instance.pk is not None else None
    )


def _saved(sender: Any, instance: Any, created: bool, using: str, raw: bool, **_: Any) -> None:
    if raw:  # loaddata: fixtures carry their own rows
        return
    photo = resolve_path(instance, mapping_for(sender).photo or "")
    name = _name(photo)
    if not name:
        if instance.__dict__.get(_KNOWN):
            remove(instance, position=0, using=using)
    elif created or name != instance.__dict__.get(_KNOWN) or not _refilter(instance, using):
        _read(instance, photo, using)
    instance.__dict__[_KNOWN] = name


def _deleted(sender: Any, instance: Any, using: str, **_: Any) -> None:
    remove(instance, using=using)


def _read(instance: Any, photo: Any, using: str) -> None:
    if isinstance(photo, str):
        add(instance, photo, using=using)
        return
    with photo.storage.open(photo.name, "rb") as file:
        add(instance, file.read(), using=using)


def _refilter(instance: Any, using: str) -> bool:
    """Change what searches filter on; return whether there is an image at all."""
    mapping = mapping_for(type(instance))
    filters = {"category": None, "price": None, "in_stock": True} | mapping.filters_of(instance)
    values = filters | {
        "attributes": json.dumps(filters["attributes"], default=str),
        "tenant_id": mapping.tenant_of(instance),
        "product_id": mapping.product_of(instance),
        "position": 0,
    }
    lent = driver(connections[using])
    there = bool(sql.rows(lent, "django", "refilter", values))
    if there and (called := mapping.words_of(instance)):
        words = product_words.checked(called.get("title"), called.get("words"), called.get("codes"))
        sql.run(lent, "change", "words", {**values, **words, "named": list(called)})
    return there


def _name(photo: Any) -> str:
    return str(getattr(photo, "name", photo) or "")


def _database(instance: Any, using: str | None) -> str:
    return using or instance._state.db or router.db_for_write(type(instance), instance=instance)  # noqa: SLF001
