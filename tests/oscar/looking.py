"""What the story looks at: Oscar's tables beside imgsearch's."""

from __future__ import annotations

import io
import itertools
from typing import Any

from PIL import Image

from tests.processes import eventually

SHOWN = """
    SELECT coalesce(p.parent_id, p.id)::text, count(*) FROM catalogue_productimage i
    JOIN catalogue_product p ON p.id = i.product_id GROUP BY 1 ORDER BY 1"""
_numbers = itertools.count()


def sql(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall())


def in_step() -> None:
    """Nothing is out of step, failed or against the rules; a picture of Oscar's is one of its family here."""
    assert sql("SELECT * FROM imgsearch.drift('catalogue_product')") == []
    assert sql("SELECT * FROM imgsearch.violations") == []
    assert sql("SELECT * FROM imgsearch.failures") == []
    assert sql(SHOWN) == sql("SELECT product_id, count(*) FROM imgsearch.image GROUP BY 1 ORDER BY 1")


def eventually_ready() -> None:
    """Wait until every picture has its vector."""
    eventually(lambda: sql("SELECT ready = images FROM imgsearch.status") == [(True,)], what="embedding")


def filters_of(product: Any) -> dict[str, Any]:
    """Return what searches filter a product on and what words find: the same for all its pictures."""
    names = ("price", "in_stock", "categories", "title", "codes")
    [row] = sql(
        f"SELECT DISTINCT {', '.join(names)} FROM imgsearch.image JOIN imgsearch.product USING (tenant_id, product_id) "  # noqa: S608
        "WHERE product_id = %s",
        str(product.pk),
    )
    return dict(zip(names, row, strict=True))


def photo(*colour: int) -> Any:
    """Return an upload: a JPEG of about one colour."""
    from django.core.files.uploadedfile import SimpleUploadedFile

    out = io.BytesIO()
    drawn = Image.new("RGB", (64, 64), (40, 40, 40))
    drawn.paste(colour, (0, 0, 64, 40))
    drawn.save(out, "JPEG")
    return SimpleUploadedFile(f"photo-{next(_numbers)}.jpg", out.getvalue(), "image/jpeg")


def pictures_of(product: Any) -> dict[int, int]:
    """Return position → image id of a product's pictures."""
    return dict(sql("SELECT position, image_id FROM imgsearch.image WHERE product_id = %s", str(product.pk)))
