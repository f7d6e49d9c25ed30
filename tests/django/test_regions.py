"""`similar_to(…, region=)`: a part of a photo, of a file, of an instance's picture."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.test import TestCase
from PIL import Image as Pillow

from imgsearch.db.psycopg_connection import driver
from imgsearch.django import add
from imgsearch.errors import RegionError
from imgsearch.picture.region import Region
from imgsearch.query import Crop, ImageId, cache
from tests.django import filling
from tests.django.filling import photo, point
from tests.django.shop.models import Product

PART = (0.1, 0.2, 0.5, 0.5)


class Regions(TestCase):
    databases = frozenset({"default", "replica"})

    @classmethod
    def setUpTestData(cls) -> None:
        filling.space()
        acme = filling.shop("acme")
        cls.products = [filling.product(acme, name=f"n{n}", price=n) for n in range(4)]
        cls.images = [add(product, photo(n * 40, 9, 9)).image_id for n, product in enumerate(cls.products)]
        places = {str(product.pk): point(0.2 * n, 0) for n, product in enumerate(cls.products)}
        filling.embed_waiting(lambda product, position: places[product])

    def knows(self, content: bytes, vector: Any) -> None:
        """Answer a region of these bytes, as a query worker would have."""
        lent: Any = driver(connection)
        entry = cache.of_picture(content, Region.of(PART))
        cache.ask(lent, entry)
        cache.answer(lent, filling.space().space_id, entry, vector)

    def first(self, query: Any, **more: Any) -> str:
        return str(Product.objects.similar_to(query, **more)[:1][0].name)

    def test_a_part_of_a_photo_in_any_form(self) -> None:
        content = photo(1, 2, 3)
        self.knows(content, point(0.62, 0))
        for query in (content, ContentFile(content, "p.jpg"), io.BytesIO(content)):
            assert self.first(query, region=PART) == "n3"
        assert self.first(Crop(content, PART)) == "n3"
        assert self.first([(Crop(content, PART), 1), (point(0.6, 0), 0.5)]) == "n3"
        picture = Pillow.new("RGB", (30, 30), (5, 6, 7))
        out = io.BytesIO()
        picture.save(out, "PNG")
        self.knows(out.getvalue(), point(0.21, 0))
        assert self.first(picture, region=PART) == "n1"

    def test_a_part_of_an_instances_picture(self) -> None:
        self.knows(photo(80, 9, 9), point(0.59, 0))
        for query in (self.products[2], ImageId(self.images[2]), Crop(ImageId(self.images[2]), PART)):
            region = None if isinstance(query, Crop) else PART
            assert self.first(query, region=region) == "n3"

    def test_what_is_no_region_is_refused(self) -> None:
        for wrong in ((0.5, 0.5, 0.6, 0.1), (0, 0, 0, 1), (1, 2), "x"):
            with pytest.raises(RegionError):
                Product.objects.similar_to(photo(1, 2, 3), region=wrong)
        with pytest.raises(RegionError):
            list(Product.objects.similar_to("red shoe", region=PART)[:1])
