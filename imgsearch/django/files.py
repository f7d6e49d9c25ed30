"""The photo of a row: a file in one of the project's storages, or an address."""

from __future__ import annotations

from typing import Any

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


def is_unread(*address: str | None) -> bool:
    """Return whether there is no image at an address, or one whose file could not be read."""
    return not any(one and not one.startswith(f"{UNREAD}:") for one in address)
