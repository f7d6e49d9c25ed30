"""What the story looks at: Oscar's tables beside imgsearch's."""

from __future__ import annotations

from typing import Any

from tests.adopt.looking import sql

SHOWN = """
    SELECT coalesce(p.parent_id, p.id)::text, count(*) FROM catalogue_productimage i
    JOIN catalogue_product p ON p.id = i.product_id GROUP BY 1 ORDER BY 1"""


def in_step() -> None:
    """Nothing is out of step, failed or against the rules; a picture of Oscar's is one of its family here."""
    assert sql("SELECT * FROM imgsearch.drift('catalogue_product')") == []
    assert sql("SELECT * FROM imgsearch.violations") == []
    assert sql("SELECT * FROM imgsearch.failures") == []
    assert sql(SHOWN) == sql("SELECT product_id, count(*) FROM imgsearch.image GROUP BY 1 ORDER BY 1")


def filters_of(product: Any) -> dict[str, Any]:
    """Return what searches filter a product on and what words find: the same for all its pictures."""
    names = ("price", "in_stock", "categories", "title", "codes")
    [row] = sql(
        f"SELECT DISTINCT {', '.join(names)} FROM imgsearch.image JOIN imgsearch.product USING (tenant_id, product_id) "  # noqa: S608
        "WHERE product_id = %s",
        str(product.pk),
    )
    return dict(zip(names, row, strict=True))


def pictures_of(product: Any) -> dict[int, int]:
    """Return position → image id of a product's pictures."""
    return dict(sql("SELECT position, image_id FROM imgsearch.image WHERE product_id = %s", str(product.pk)))
