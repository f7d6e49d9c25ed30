"""Products like those of Oscar's sandbox: families with variants, pictures, stock records, a category tree."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby
from random import Random
from typing import Any

from django.core.files.base import ContentFile
from oscar.apps.catalogue.categories import create_from_breadcrumbs
from oscar.core.loading import get_model

from imgsearch.dev.demo import catalogue

Product = get_model("catalogue", "Product")
ProductClass = get_model("catalogue", "ProductClass")
ProductImage = get_model("catalogue", "ProductImage")
ProductCategory = get_model("catalogue", "ProductCategory")
Partner = get_model("partner", "Partner")
StockRecord = get_model("partner", "StockRecord")

HOME = {"lamps", "chairs", "tables", "sofas", "mugs", "vases", "clocks", "bottles"}


def fill(count: int, seed: int = 14) -> None:
    """Make `count` products that Oscar lists; every second has variants, and every tenth has no picture of its own."""
    random = Random(seed)
    drawn = _drawn()
    for number in range(count):
        shots = next(drawn)
        first = shots[0]
        bare = number % 10 == 9
        made = product(f"{first.title} {number}", structure="parent" if number % 2 else "standalone")
        file_under(made, first.category)
        if not bare:
            picture(made, *shots)
        if number % 2 == 0:
            stock(made, first.price)
            continue
        for n in range(random.randint(2, 4)):
            child = product("", structure="child", parent=made)
            stock(child, first.price + n, in_stock=n)
            if bare or n == 0:  # some families have pictures of their variants alone
                picture(child, *next(drawn))


def product(title: str, *, structure: str = "standalone", parent: Any = None) -> Any:
    """Return a new product of the one class."""
    kind = None
    if parent is None:
        kind, _ = ProductClass.objects.get_or_create(name="Goods", track_stock=True, requires_shipping=True)
    number = Product.objects.count()
    return Product.objects.create(
        structure=structure, title=title, parent=parent, product_class=kind, upc=f"97801{number:08d}"
    )


def stock(one: Any, price: float, *, in_stock: int = 5) -> Any:
    """Return a new stock record; every second product has two partners."""
    partner, _ = Partner.objects.get_or_create(name=f"Partner {one.pk % 2}")
    return StockRecord.objects.create(
        product=one, partner=partner, partner_sku=f"{one.pk}", price=Decimal(f"{price:.2f}"), num_in_stock=in_stock
    )


def file_under(one: Any, category: str) -> None:
    """Put a product into a leaf of the tree, All > Home > lamps, and every second into another one."""
    group = "Home" if category in HOME else "Wear"
    leaves = [create_from_breadcrumbs(f"All > {group} > {category}")]
    if one.pk % 2:
        leaves.append(create_from_breadcrumbs("Offers > New"))
    for leaf in leaves:
        ProductCategory.objects.create(product=one, category=leaf)


def picture(one: Any, *shots: catalogue.Item) -> list[Any]:
    """Add pictures; as in shops of some age, two of them may have the same place."""
    return [
        ProductImage.objects.create(
            product=one,
            original=ContentFile(catalogue.draw(shot), name=f"{one.pk}-{shot.position}.jpg"),
            display_order=min(shot.position, 1),
        )
        for shot in shots
    ]


def _drawn() -> Iterator[list[catalogue.Item]]:
    for _, shots in groupby(catalogue.endless(), lambda item: item.product_id):
        yield list(shots)
