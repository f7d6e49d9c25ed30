"""imgsearch.dev.testing in a Django shop's own TestCase."""

from __future__ import annotations

from django.db import connection
from django.test import TestCase

from imgsearch.dev.testing import embed
from imgsearch.django import add
from tests.django.filling import photo, shop
from tests.django.shop.models import Product


class Looks(TestCase):
    def test_a_text_looks_like_a_product(self) -> None:
        store = shop()
        for n in range(3):
            product = Product.objects.create(store=store, name=f"n{n}")
            add(product, photo(80 * n, 0, 0))
        embed(connection, texts={"red shoe": str(product.pk)})  # it looks like that product from now on
        assert Product.objects.similar_to("red shoe").first() == product
        assert Product.objects.similar_to("red shoe").count() == 3
