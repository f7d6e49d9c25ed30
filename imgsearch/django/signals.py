"""Signals that keep images in step with instances that are saved and deleted one by one.

None of them makes a save or a delete fail: what goes wrong with a picture stands in imgsearch.failures, and the next
save of its row, or `imgsearch_backfill`, mends it.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db.models import Model
from django.db.models.signals import post_delete, post_init, post_save

from imgsearch.django import failures, files, pictures, uploads
from imgsearch.django.mapping import mapping_for, resolve_path
from imgsearch.errors import UsageError

_KNOWN = "_imgsearch_photo"  # the picture's name as it was last read from or written to the database


def connect_all() -> None:
    """Connect every model that is searchable now: those of other packages are given when apps are ready."""
    for model in apps.get_models():
        mapping = mapping_for(model)
        if mapping.of:
            _connect(model, "picture", saved=_picture_saved, deleted=_picture_deleted)
            for owner in pictures.models_on_the_way(model):
                for kind in _family(owner):
                    _connect(kind, "owner", saved=_owner_saved, deleted=_owner_deleted)
        elif mapping.photo:
            post_init.connect(_loaded, sender=model, dispatch_uid=f"imgsearch.loaded.{_label(model)}")
            _connect(model, "product", saved=_saved, deleted=_deleted)


def catch_up(instance: Any, using: str) -> bool:
    """Add the image of an instance that has none, or could not be read before; return whether a file was read.

    Each in a transaction of its own. Raises what was wrong with the picture, once it is in imgsearch.failures.
    """
    mapping = mapping_for(type(instance))
    if mapping.of:
        outcome: list[pictures.Outcome] = []
        error = failures.attempt(using, lambda: outcome.append(pictures.keep_in_step(instance, using)))
        error, read = error or outcome[0].error, bool(outcome) and outcome[0].read
    else:
        name = files.name_of(resolve_path(instance, mapping.photo or ""))
        read = bool(name) and files.is_unread(uploads.write_filters(instance, using))
        error = _read(instance, using) if read else None
    if error is not None:
        raise error
    return read


def _loaded(sender: Any, instance: Any, **_: Any) -> None:
    known = files.name_of(instance.__dict__.get(mapping_for(sender).photo)) if instance.pk is not None else None
    instance.__dict__[_KNOWN] = known


def _saved(sender: Any, instance: Any, created: bool, using: str, raw: bool, **_: Any) -> None:
    if raw or not mapping_for(sender).photo:  # loaddata: fixtures carry their own rows
        return
    known, address = instance.__dict__.get(_KNOWN), []
    name = files.name_of(resolve_path(instance, mapping_for(sender).photo or ""))
    instance.__dict__[_KNOWN] = name

    def write() -> None:
        if name:
            address.append(uploads.write_filters(instance, using))
        elif known:
            uploads.remove(instance, position=0, using=using)

    error = failures.attempt(using, write)
    if error is not None:
        failures.note("what searches filter on", instance, error)
    if name and (created or name != known or files.is_unread(*address)):
        _read(instance, using)


def _deleted(sender: Any, instance: Any, using: str, **_: Any) -> None:
    error = failures.attempt(using, lambda: uploads.remove(instance, using=using))
    if error is not None:
        failures.note("removing the images", instance, error)


def _read(instance: Any, using: str) -> Exception | None:
    """Read the photo and add it; return why that was not possible, once it is written down."""
    mapping = mapping_for(type(instance))
    photo = resolve_path(instance, mapping.photo or "")

    def write() -> None:
        uploads.add(instance, files.content_of(photo), using=using)

    error = failures.attempt(using, write)
    if error is None:
        return None
    try:
        place = {"tenant": mapping.tenant_of(instance), "product": mapping.product_of(instance), "position": 0}
    except UsageError:  # not even whose failure it is can be said
        failures.note("adding the image", instance, error)
        return error
    failures.record(using, place, files.name_of(photo), error, failures.mend_of(instance))
    return error


def _picture_saved(sender: Any, instance: Any, using: str, raw: bool, **_: Any) -> None:
    if not raw:
        _kept(instance, lambda: pictures.keep_in_step(instance, using), using)


def _picture_deleted(sender: Any, instance: Any, using: str, **_: Any) -> None:
    _kept(instance, lambda: pictures.forget(instance, using), using)


def _owner_saved(sender: Any, instance: Any, created: bool, using: str, raw: bool, **_: Any) -> None:
    if not raw:
        _kept(instance, lambda: pictures.follow(instance, using, created=created), using)


def _owner_deleted(sender: Any, instance: Any, using: str, **_: Any) -> None:
    _kept(instance, lambda: uploads.remove(instance, using=using), using)


def _kept(instance: Any, work: Any, using: str) -> None:
    error = failures.attempt(using, work)
    if error is not None:
        failures.note("keeping the images", instance, error)


def _connect(model: type[Model], role: str, *, saved: Any, deleted: Any) -> None:
    post_save.connect(saved, sender=model, dispatch_uid=f"imgsearch.{role}.saved.{_label(model)}")
    post_delete.connect(deleted, sender=model, dispatch_uid=f"imgsearch.{role}.deleted.{_label(model)}")


def _family(model: type[Model]) -> list[type[Model]]:
    """Return a model, its proxies and child tables: each sends signals of its own."""
    concrete = model._meta.concrete_model  # noqa: SLF001
    return [one for one in apps.get_models() if issubclass(one, concrete)]


def _label(model: type[Model]) -> str:
    return str(model._meta.label)  # noqa: SLF001
