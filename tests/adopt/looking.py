"""What stories look at in a Django project's database."""

from __future__ import annotations

import io
import itertools
from typing import Any

from PIL import Image

from tests.processes import eventually

_numbers = itertools.count()


def sql(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a statement on Django's own connection."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall())


def eventually_ready() -> None:
    """Wait until every picture has its vector."""
    eventually(lambda: sql("SELECT ready = images FROM imgsearch.status") == [(True,)], what="embedding")


def drawn(*colour: int) -> bytes:
    """Return a JPEG of about one colour."""
    out = io.BytesIO()
    picture = Image.new("RGB", (64, 64), (40, 40, 40))
    picture.paste(colour, (0, 0, 64, 40))
    picture.save(out, "JPEG")
    return out.getvalue()


def photo(*colour: int) -> Any:
    """Return an upload of Django's: a JPEG of about one colour."""
    from django.core.files.uploadedfile import SimpleUploadedFile

    return SimpleUploadedFile(f"photo-{next(_numbers)}.jpg", drawn(*colour), "image/jpeg")
