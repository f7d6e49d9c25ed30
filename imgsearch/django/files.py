"""The photo of a row: a file in one of the project's storages, or an address."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.db.models import FileField, Model

from imgsearch.storage import UNREAD
from imgsearch.storage.store import MAX_BYTES


def name_of(photo: Any) -> str:
    """Return the name of a file, or an address; empty where there is none."""
    return str(getattr(photo, "name", photo) or "")


def content_of(photo: Any) -> bytes | str:
    """Return the bytes of a file, or an address as it stands. Raises whatever its storage does.

    Of a file that is too large one byte more than is allowed is read: then it is refused as any other.
    """
    if isinstance(photo, str):
        return photo
    with photo.storage.open(photo.name, "rb") as file:
        content: bytes = file.read(MAX_BYTES + 1)
        return content


def watch(model: type[Model]) -> None:
    """Note on an instance which of its files were written: another picture may come under the same name."""
    for field in model._meta.get_fields():  # noqa: SLF001
        if isinstance(field, FileField):
            field.attr_class = _watched(field.attr_class)


def written(instance: Any) -> frozenset[str]:
    """Return the names of the files that were written by an instance since this was asked last."""
    return frozenset(instance.__dict__.pop(_WRITTEN, ()))


_WRITTEN = "_imgsearch_written"


@cache
def _watched(kind: Any) -> Any:
    if hasattr(kind, "_imgsearch_kind"):
        return kind

    def save(self: Any, name: str, content: Any, save: bool = True) -> None:
        kind.save(self, name, content, save=False)
        self.instance.__dict__.setdefault(_WRITTEN, set()).add(self.name)
        if save:
            self.instance.save()

    # A class that is made here has no address, by which pickle would find it.
    bare = {"__reduce_ex__": lambda file, _: (kind.__new__, (kind,), file.__getstate__())}
    return type(kind.__name__, (kind,), {"save": save, "_imgsearch_kind": kind, **bare})


def is_unread(*address: str | None) -> bool:
    """Return whether there is no image at an address, or one whose file could not be read."""
    return not any(one and not one.startswith(f"{UNREAD}:") for one in address)
