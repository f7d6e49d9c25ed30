"""Signals that keep images in step with instances that are saved and deleted one by one.

None of them makes a save or a delete fail: what goes wrong with a picture stands in imgsearch.failures, and the next
save of its row, or `imgsearch_backfill`, mends it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.apps import apps
from django.db import connections
from django.db.models import Model
from django.db.models.signals import post_delete, post_save

from imgsearch.django import failures, files, pictures, sources, uploads
from imgsearch.django.mapping import mapping_for, resolve_path
from imgsearch.errors import UsageError


def connect_all() -> None:
    """Connect every model that is searchable now: those of other packages are given when apps are ready."""
    for model in apps.get_models():
        mapping = mapping_for(model)
        if mapping.photo:
            files.watch(model)
        if mapping.of:
            _connect(model, "picture", saved=_picture_saved, deleted=_picture_deleted)
            for owner in pictures.models_on_the_way(model):
                for kind in _family(owner):
                    _connect(kind, "owner", saved=_owner_saved, deleted=_owner_deleted)
        elif hasattr(model, "_imgsearch") and not mapping.pictures:
            _connect(model, "product", saved=_saved, deleted=_deleted)


class Kept(NamedTuple):
    """Whether a file was read, and what went wrong."""

    read: bool = False
    error: Exception | None = None


def catch_up(instance: Any, using: str) -> bool:
    """Bring the images of an instance in step: where they stand, what searches filter on, a picture that is missing or
    could not be read before; return whether a file was read.

    Each in a transaction of its own. Raises what was wrong with the picture, once it is in imgsearch.failures.
    """
    if mapping_for(type(instance)).of:
        outcome: list[pictures.Outcome] = []
        error = failures.attempt(using, lambda: outcome.append(pictures.keep_in_step(instance, using)))
        error, read = error or outcome[0].error, bool(outcome) and outcome[0].read
    else:
        read, error = _keep(instance, using)
    if error is not None:
        raise error
    return read


def _saved(
    sender: Any, instance: Any, created: bool, using: str, raw: bool, update_fields: Any = None, **_: Any
) -> None:
    if raw or connections[using].vendor != "postgresql":  # loaddata: fixtures carry their own rows
        return
    written = files.written(instance)
    row = _as_stored(instance, using) if update_fields is not None else instance
    if row is not None:
        photo = (mapping_for(sender).photo or "").split("__")[0]
        concrete = {field.name for field in sender._meta.concrete_fields}  # noqa: SLF001
        untouched = update_fields is not None and photo in concrete and photo not in update_fields
        _keep(row, using, created=created, written=written, untouched=untouched and not written)


def _as_stored(instance: Any, using: str) -> Any:
    """Return a row as it is in the database: what was set in memory alone, or not loaded, is not what it is."""
    return type(instance)._base_manager.using(using).filter(pk=instance.pk).first()  # noqa: SLF001


def _keep(
    instance: Any, using: str, *, created: bool = False, written: frozenset[str] = frozenset(), untouched: bool = False
) -> Kept:
    """Bring the images of an instance in step; a file is read where it is another one, or there is no image of it."""
    stood: list[sources.Stand] = []
    address: list[str | None] = []
    error = failures.attempt(using, lambda: stood.extend(sources.settle([instance], using)))
    if error is not None:
        _refused(instance, using, error)
        return Kept(error=error)
    error = failures.attempt(using, lambda: address.append(uploads.write_filters(instance, using)))
    if error is not None:
        failures.note("what searches filter on", instance, error)
    if untouched or not mapping_for(type(instance)).photo:
        return Kept(error=error)
    photo = resolve_path(instance, mapping_for(type(instance)).photo or "")
    name, file = files.name_of(photo), stood[0].file
    if not name:
        if file:
            error = failures.attempt(using, lambda: uploads.remove(instance, position=0, using=using)) or error
        return Kept(error=error)
    if file is None and isinstance(photo, str):
        file = address[0] if address else None
    if created or name in written or file not in (None, name) or files.is_unread(*address):
        return Kept(read=True, error=_read(instance, using, stood[0].place))
    if stood[0].file is None:
        failures.attempt(using, lambda: sources.remember(instance, stood[0].place, name, using))
    return Kept(error=error)


def _refused(instance: Any, using: str, error: Exception) -> None:
    """Take a row's images away from where they no longer belong, and say why they are nowhere else."""
    failures.note("keeping the images", instance, error)
    if isinstance(error, UsageError):
        failures.attempt(using, lambda: sources.withdraw(instance, using))
        failures.attempt(using, lambda: _set_aside(instance, using, error))


def _set_aside(instance: Any, using: str, error: Exception) -> None:
    """Put a row that cannot have its place into the failures, under a name of its own."""
    place = sources.Place(sources.place_of(instance).tenant, sources.source_of(instance, using))
    values = {**place._asdict(), "position": 0}
    failures.record(using, values, uploads.photo_of(instance), error, failures.mend_of(instance))
    sources.remember(instance, place, "", using)


def _deleted(sender: Any, instance: Any, using: str, **_: Any) -> None:
    if connections[using].vendor == "postgresql":
        _kept(instance, lambda: sources.withdraw(instance, using), using)
        _kept(instance, lambda: uploads.remove(instance, using=using), using)


def _read(instance: Any, using: str, place: sources.Place) -> Exception | None:
    """Read the photo and add it; return why that was not possible, once it is written down."""
    photo = resolve_path(instance, mapping_for(type(instance)).photo or "")

    def write() -> None:
        uploads.put(instance, files.content_of(photo), position=0, using=using)

    error = failures.attempt(using, write)
    if error is not None:
        values = {**place._asdict(), "position": 0}
        failures.record(using, values, files.name_of(photo), error, failures.mend_of(instance))
    failures.attempt(using, lambda: sources.remember(instance, place, files.name_of(photo), using))
    return error


def _picture_saved(sender: Any, instance: Any, using: str, raw: bool, update_fields: Any = None, **_: Any) -> None:
    if raw or connections[using].vendor != "postgresql":
        return
    written = files.written(instance)
    row = _as_stored(instance, using) if update_fields is not None else instance
    if row is not None:
        _kept(instance, lambda: pictures.keep_in_step(row, using, written=written), using)


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
