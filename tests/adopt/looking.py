"""What stories look at: an application's tables beside imgsearch's."""

from __future__ import annotations

import io
import itertools
from typing import Any
from urllib.parse import unquote

from PIL import Image

from imgsearch import db
from imgsearch.settings import Settings
from tests.processes import eventually

_numbers = itertools.count()
IMAGES = """
    SELECT i.tenant_id, i.product_id, i.uri, i.price, i.category, p.title FROM imgsearch.image i
    LEFT JOIN imgsearch.product p USING (tenant_id, product_id) ORDER BY i.product_id, i.position"""


class Database:
    """Asks beside an application. rows: its SELECT of tenant, key, address, price, category and title."""

    def __init__(self, settings: Settings, relation: str, rows: str) -> None:
        self.settings, self.relation, self.rows = settings, relation, rows

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with db.connect(self.settings, autocommit=True) as connection:
            return connection.execute(statement, values or None).fetchall()  # type: ignore[arg-type]

    def in_step(self, way: str) -> None:
        """Images are those of the application's rows, nothing drifts, nothing is against the rules."""
        images = [(tenant, key, unquote(uri), *copied) for tenant, key, uri, *copied in self.sql(IMAGES)]
        assert images == self.sql(self.rows), way
        assert self.sql("SELECT * FROM imgsearch.drift(%s)", self.relation) == [], way
        assert self.sql("SELECT * FROM imgsearch.violations") == [], way
        assert self.sql("SELECT * FROM imgsearch.failures") == [], way

    def ready(self) -> None:
        """Wait until every picture has its vector."""
        eventually(lambda: self.sql("SELECT ready = images FROM imgsearch.status") == [(True,)], what="embedding")


def sql(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """In a Django project: return the rows of a statement on Django's own connection."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall())


def eventually_ready() -> None:
    """In a Django project: wait until every picture has its vector."""
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
