"""Django answers what the other doors answer: the same products and pictures, as far, in one statement."""

from __future__ import annotations

import random
from typing import Any

import psycopg
import sqlalchemy
from django.db import connection, connections
from django.test import TransactionTestCase
from django.test.utils import CaptureQueriesContext
from sqlalchemy import select

from imgsearch import Image, nearest
from imgsearch.db.psycopg_connection import driver
from imgsearch.django import add, models
from imgsearch.query import ImageId
from imgsearch.retrieval import search
from tests.django import filling
from tests.django.shop.models import Product

TENANTS = ("acme", "bazaar", "corner")
FILTERS: list[dict[str, Any]] = [{}, {"category": "bags"}, {"max_price": 50}, {"category": "shoes", "max_price": 20}]


class SameAnswers(TransactionTestCase):
    """120 products of three tenants, of one to three pictures; asked by vector and by picture id, then changed."""

    def setUp(self) -> None:
        chance = random.Random(5)
        filling.space()
        models.Image.objects.all().delete()
        self.chance = chance
        self.vectors: dict[tuple[str, int], list[float]] = {}
        for n in range(120):
            shop = filling.shop(TENANTS[n % 3])
            made = filling.product(shop, name=f"n{n}", price=n % 97 + 1, category=("shoes", "bags")[n % 2])
            for position in range(1 + n // 3 % 3):
                self.vectors[str(made.pk), position] = self.vector()
                add(made, filling.photo(n, 255 - n, 7 + position), position=position)
        filling.embed_waiting(lambda product, position: self.vectors[product, position])

    def tearDown(self) -> None:
        models.Image.objects.all().delete()

    def vector(self) -> list[float]:
        return [self.chance.gauss(0, 1) for _ in range(48)]

    def compare(self) -> None:
        alchemy = sqlalchemy.create_engine("postgresql+psycopg://", creator=self.another)
        for tenant in TENANTS:
            picture = models.Image.objects.filter(tenant_id=tenant).order_by("image_id")[7]
            for query in (self.vector(), ImageId(picture.image_id)):
                for filters in FILTERS:
                    wanted, single = (
                        [
                            (hit.image_id, hit.product_id, round(hit.distance, 6))
                            for hit in search(driver(connection), query, tenant=tenant, k=12, per=per, **filters)
                        ]
                        for per in ("product", "image")
                    )
                    statement = select(Image.image_id, Image.product_id).where(Image.tenant_id == tenant)
                    rows = Product.objects.filter(store__slug=tenant)
                    pictures = models.Image.objects.filter(tenant_id=tenant)
                    if "category" in filters:
                        statement = statement.where(Image.category == filters["category"])
                        rows, pictures = (one.filter(category=filters["category"]) for one in (rows, pictures))
                    if "max_price" in filters:
                        statement = statement.where(Image.price <= filters["max_price"])
                        rows, pictures = (one.filter(price__lte=filters["max_price"]) for one in (rows, pictures))
                    with alchemy.connect() as session:
                        for per, answer in ((Image.product_id, wanted), (None, single)):
                            found = session.execute(nearest(statement, query, limit=12, per=per)).all()
                            assert [(row[0], row[1], round(row[2], 6)) for row in found] == answer
                    with CaptureQueriesContext(connection) as queries:
                        page = list(rows.similar_to(query)[:12])
                    assert len(queries) == 1
                    assert [(row.image_id, str(row.pk), round(row.distance, 6)) for row in page] == wanted
                    own = [(row.image_id, round(row.distance, 6)) for row in pictures.similar_to(query)[:12]]
                    assert own == [(image, distance) for image, _, distance in single]
        alchemy.dispose()

    def another(self) -> Any:
        return psycopg.connect(driver(connections["default"]).info.dsn)

    def test_the_same_answers_before_and_after_changes(self) -> None:
        self.compare()
        for product in Product.objects.filter(name__in=[f"n{n}" for n in range(60)]):
            product.price = 3
            product.save()
            n = int(product.name[1:])
            for position in range(1 + n // 3 % 3):
                if product.pk % 5 == 0:
                    add(product, filling.photo(1, product.pk % 256, 3 + position), position=position)
                else:  # its pictures stay: only the filters change, as @searchable does on save where there is a photo
                    add(product, filling.photo(n, 255 - n, 7 + position), position=position)
        for product in Product.objects.filter(name__in=[f"n{n}" for n in range(100, 130)]):
            product.delete()
        filling.embed_waiting(lambda product, _: self.vector())
        self.compare()
