"""`similar_to(…, duplicates=False)`: no picture that is marked as the same as another one brings a row."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.test import TestCase

from imgsearch.db.psycopg_connection import driver
from imgsearch.django import add, models
from imgsearch.retrieval import search
from tests.django import filling
from tests.django.filling import photo, point
from tests.django.shop.models import Product


class WithoutDuplicates(TestCase):
    """Twelve products of one picture each, those of an odd number marked; the first has another one that is not."""

    @classmethod
    def setUpTestData(cls) -> None:
        filling.space()
        cls.made = [filling.product(filling.shop("acme"), name=f"n{n}", price=n) for n in range(12)]
        cls.images = [add(one, photo(n * 20, 5, 5)).image_id for n, one in enumerate(cls.made)]
        cls.second = add(cls.made[1], photo(7, 200, 7), position=1).image_id
        places = {str(one.pk): n for n, one in enumerate(cls.made)}
        filling.embed_waiting(lambda product, position: point(places[str(product)] / 12, position))
        with connection.cursor() as cursor:
            for image in [*cls.images, cls.second]:
                cursor.execute(
                    "INSERT INTO imgsearch.fingerprint (tenant_id, image_id, sha256, pdq, turned, quality, bands)"
                    " SELECT tenant_id, image_id, sha256, 0::bit(256), 0::bit(1792), 90, '{}'"
                    " FROM imgsearch.image WHERE image_id = %s ON CONFLICT DO NOTHING",
                    [image],
                )
            for n, tier in ((1, "certain"), (3, "certain"), (5, "look"), (7, "certain")):
                cursor.execute(
                    "INSERT INTO imgsearch.duplicate (tenant_id, image_id, original, tier, distance, turn)"
                    " VALUES ('acme', %s, %s, %s, 3, 1)",
                    [cls.images[n], cls.images[0], tier],
                )

    def found(self, **asked: Any) -> list[tuple[str, int]]:
        rows = Product.objects.filter(store__slug="acme").similar_to(point(0, 0), **asked)[:50]
        return [(row.name, row.image_id) for row in rows]

    def test_marked_pictures_bring_no_row(self) -> None:
        everything = self.found()
        assert len(everything) == 12
        left = [row for row in everything if row[0] not in {"n1", "n3", "n7"}]
        assert self.found(duplicates=False) == [*left, ("n1", self.second)]
        assert self.found(duplicates=True) == [("n1", self.images[1]), ("n3", self.images[3]), ("n7", self.images[7])]

    def test_it_answers_what_search_answers(self) -> None:
        for wanted in (False, True):
            hits = search(driver(connection), point(0, 0), tenant="acme", duplicates=wanted, k=50)
            rows = Product.objects.filter(store__slug="acme").similar_to(point(0, 0), duplicates=wanted)[:50]
            assert [(str(row.pk), row.image_id) for row in rows] == [(hit.product_id, hit.image_id) for hit in hits]
            pictures = models.Image.objects.filter(tenant_id="acme").similar_to(point(0, 0), duplicates=wanted)[:50]
            hits = search(driver(connection), point(0, 0), tenant="acme", duplicates=wanted, k=50, per="image")
            assert [row.image_id for row in pictures] == [hit.image_id for hit in hits]
