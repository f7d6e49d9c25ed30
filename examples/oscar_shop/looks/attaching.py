"""How Oscar's catalogue is attached: pictures of variants rank their parent; prices and categories are read from
the tables they are in, and followed there.
"""

from __future__ import annotations

from django.conf import settings

from imgsearch.django import AttachImgsearch

# A product's own stock records and those of its variants.
RECORDS = """FROM partner_stockrecord s JOIN catalogue_product v ON v.id = s.product_id
             WHERE v.id = catalogue_product.id OR v.parent_id = catalogue_product.id"""
# Oscar keeps a category's place in its tree in path: an ancestor's path is how its descendants' begin.
CATEGORIES = """ARRAY(SELECT DISTINCT a.slug::text FROM catalogue_productcategory pc
                      JOIN catalogue_category c ON c.id = pc.category_id
                      JOIN catalogue_category a ON a.path = left(c.path, length(a.path))
                      WHERE pc.product_id = catalogue_product.id ORDER BY 1)"""
BELOW = """SELECT pc.product_id FROM catalogue_productcategory pc JOIN catalogue_category c ON c.id = pc.category_id
           JOIN changed ON changed.path = left(c.path, length(changed.path))"""


def attach() -> AttachImgsearch:
    """Return the operation; made anew where a migration detaches and attaches again."""
    return AttachImgsearch(
        "product",
        app_label="catalogue",
        owner="parent",
        pictures="productimage",
        picture_of="product",
        ordinal="display_order",
        image="original",
        base=settings.MEDIA_ROOT.as_uri(),
        price=f"(SELECT min(s.price) {RECORDS})",
        in_stock=f"EXISTS (SELECT 1 {RECORDS} AND s.num_in_stock > coalesce(s.num_allocated, 0))",
        categories=CATEGORIES,
        title="title",
        codes="upc",
        follow={
            "catalogue_product": "parent_id",
            "partner_stockrecord": "product_id",
            "catalogue_productcategory": "product_id",
            "catalogue_category": BELOW,
        },
    )
