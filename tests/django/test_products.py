"""`similar_to()` answers products: each once, by its nearest picture, however many pictures it has."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Count, F
from django.test import TestCase
from django.test.utils import CaptureQueriesContext

from imgsearch.db.psycopg_connection import driver
from imgsearch.django import add, models
from imgsearch.errors import UsageError
from imgsearch.query import ImageId
from tests.django import filling
from tests.django.shop.models import Poster, Product, Tag

DIMENSION = 48
FEW = '{"pool": 40}'  # of what is compared: so that 400 pictures are many
WIDE = '{"pool": 40, "ef": 900}'


class Products(TestCase):
    """Sixty products of 1 to 20 pictures that look alike, in two shops, with none to three tags."""

    databases = frozenset({"default", "replica"})

    @classmethod
    def setUpTestData(cls) -> None:
        filling.space()
        models.Image.objects.all().delete()
        cls.chance, rng = random.Random(8), np.random.default_rng(8)
        tags = [Tag.objects.create(name=name) for name in ("red", "green", "blue")]
        shops = filling.shop("acme"), filling.shop("bazaar")
        cls.places: dict[tuple[str, int], list[float]] = {}
        cls.products: dict[int, Product] = {}
        for n in range(60):
            made = filling.product(shops[n % 2], name=f"n{n}", price=n + 1, category=("shoes", "bags")[n % 4 == 0])
            made.tags.set(tags if n % 3 == 0 else tags[: n % 2])
            cls.products[made.pk] = made
            own = rng.normal(size=DIMENSION)
            for position in range(cls.chance.choice([1, 2, 5, 20])):
                add(made, filling.photo(n, position, 3), position=position)
                cls.places[str(made.pk), position] = (own + 0.2 * rng.normal(size=DIMENSION)).tolist()
        filling.embed_waiting(lambda product, position: cls.places[product, position])
        rows = models.Image.objects.values_list("product_id", "position", "image_id")
        cls.images = {(product, position): image for product, position, image in rows}

    def believe(self, search: str, pictures: int = 0) -> None:
        """Let the search think so of its parameters, for this test's transaction."""
        lent: Any = driver(connection)
        lent.execute("SELECT set_config('imgsearch.search', %s, true)", [search])
        lent.execute("SELECT imgsearch.refresh_sample()")
        if pictures:
            lent.execute(
                "UPDATE imgsearch.space SET parameters = jsonb_set(parameters, '{sample,pictures}', to_jsonb(%s::int))",
                [pictures],
            )

    def reference(self, query: list[float], keep: Callable[[Product], bool]) -> list[tuple[float, int, int]]:
        """Brute force: (distance, image_id, key) of each product that is kept, by its nearest picture."""
        best: dict[int, tuple[float, int]] = {}
        wanted = np.asarray(query) / np.linalg.norm(query)
        for (product, position), place in self.places.items():
            if keep(self.products[int(product)]):
                away = 1 - float(wanted @ np.asarray(place)) / float(np.linalg.norm(place))
                this = (away, self.images[product, position])
                best[int(product)] = min(best.get(int(product), this), this)
        return sorted((away, image, key) for key, (away, image) in best.items())

    def asked(self) -> Iterator[tuple[Any, Callable[[Product], bool]]]:
        """Yield querysets and what they keep, among them joins that multiply."""
        rows = Product.objects
        yield rows.all(), lambda one: True
        yield rows.filter(price__lte=20), lambda one: one.price <= 20
        yield rows.filter(store__slug="acme", category="shoes"), lambda one: one.pk in acme_shoes
        yield rows.filter(tags__name__in=["red", "green", "blue"]), lambda one: one.pk in tagged
        yield rows.annotate(n=Count("tags")).filter(n__gte=3), lambda one: one.pk in thrice
        yield rows.filter(price__lt=0), lambda one: False
        acme_shoes = {one.pk for one in self.products.values() if one.store.slug == "acme" and one.category == "shoes"}
        thrice = {one.pk for n, one in enumerate(self.products.values()) if n % 3 == 0}
        tagged = thrice | {one.pk for n, one in enumerate(self.products.values()) if n % 2}

    def check(self) -> None:
        found = possible = 0
        for _ in range(8):
            query = (np.array(self.chance.choice(list(self.places.values()))) + 0.01).tolist()
            for rows, keep in [(rows, keep) for rows, keep in self.asked()]:
                true = self.reference(query, keep)
                start, size = self.chance.choice([0, 0, 3]), self.chance.choice([1, 5, 12, 100])
                page = list(rows.similar_to(query)[start : start + size])
                wanted = true[start : start + size]
                assert len(page) == len({row.pk for row in page}) == len(wanted)
                found += sum(
                    (row.pk, row.image_id) == (key, image) and abs(row.distance - away) < 2e-3
                    for row, (away, image, key) in zip(page, wanted, strict=True)
                )
                possible += len(wanted)
        assert found >= 0.98 * possible, (found, possible)

    def test_each_once_with_its_nearest_picture_exactly(self) -> None:
        self.check()

    def test_the_same_by_bits(self) -> None:
        self.believe(FEW)
        self.check()

    def test_the_same_along_the_graph(self) -> None:
        self.believe(WIDE, pictures=50_000_000)
        told = Product.objects.similar_to(next(iter(self.places.values())))[:5].explain(analyze=True)
        assert "CTE imgsearch_step" in told
        assert re.search(r"Limit .*never executed", told), "what the walk met is believed"
        self.check()

    def test_pages_end_where_the_products_end(self) -> None:
        for search in ("{}", FEW):
            self.believe(search)
            query = next(iter(self.places.values()))
            pages = Paginator(Product.objects.filter(price__lte=50).similar_to(query), 7)
            keys = [row.pk for page in pages for row in page.object_list]
            assert len(keys) == len(set(keys)) == 50

    def test_no_candidate_is_compared_that_its_bits_rule_out(self) -> None:
        """Twenty pictures of each: three times a page of pictures is one product, and no reason to compare them all."""
        self.believe(FEW)
        for rows in (Product.objects.all(), Product.objects.filter(tags__name__in=["red", "green"])):
            told = json.loads(
                rows.similar_to(next(iter(self.places.values())))[:12].explain(analyze=True, format="json")
            )
            assert not [name for name in _scanned(told[0]["Plan"]) if name.startswith("embedding")]

    def test_the_best_are_chosen_and_then_put_in_any_order(self) -> None:
        query = next(iter(self.places.values()))
        for search in ("{}", FEW):
            self.believe(search)
            true = self.reference(query, lambda one: one.price > 5)[:20]
            ranked = Product.objects.filter(price__gt=5).similar_to(query)
            best = ranked.nearest(20)
            with CaptureQueriesContext(connection) as queries:
                dear = list(best.order_by("-price"))
            assert len(queries) == 1
            assert {row.pk for row in dear} == {key for _, _, key in true}
            assert [row.price for row in dear] == sorted((row.price for row in dear), reverse=True)
            assert [row.pk for row in best] == [key for _, _, key in true], "nearest first where nothing else is said"
            prices = sorted(row.price for row in dear)
            assert [row.price for row in best.order_by("price")[5:9]] == prices[5:9]
            assert [row.pk for row in best.filter(price__lte=30)] == [
                key for _, _, key in true if self.products[key].price <= 30
            ], "filters behind it choose among the twenty"
            assert best.count() == 20
            assert best.filter(distance__lte=true[4][0] + 1e-3).count() == 5
            assert best.order_by("price").last().price == prices[-1]
            assert best.reverse()[0].pk == true[-1][2]
            pages = Paginator(best.order_by("price", "pk"), 6)
            assert [row.price for page in pages for row in page.object_list] == prices
            assert [row.likeness for row in best.annotate(likeness=1 - F("distance"))[:3]] == [
                1 - row.distance for row in best[:3]
            ]
            assert Product.objects.filter(pk__in=best.order_by("price").values("pk")).count() == 20
            tagged = best.filter(tags__name__in=["red", "green"]).order_by("price")
            assert len(tagged) == len({row.pk for row in tagged})
            assert set(best.values_list("category", flat=True).order_by("category").distinct()) <= {"shoes", "bags"}

    def test_choosing_is_refused_where_it_makes_no_sense(self) -> None:
        rows = Product.objects.similar_to(next(iter(self.places.values())))
        for refused in (
            lambda: Product.objects.all().nearest(5),
            lambda: rows[:5].nearest(5),
            lambda: rows.nearest(5).nearest(3),
            lambda: rows.nearest(0),
            lambda: rows.nearest(1001),
            lambda: rows.nearest(5).similar_to([1.0] * DIMENSION),
            lambda: rows.nearest(5).union(Product.objects.all()),
            lambda: rows.nearest(5).update(price=1),
            rows.nearest(5).delete,
        ):
            with pytest.raises(UsageError):
                refused()

    def test_the_picture_that_is_that_near_is_named(self) -> None:
        (product, position), place = next((at, place) for at, place in self.places.items() if at[1] == 1)
        row = Product.objects.similar_to(place)[:1][0]
        assert (str(row.pk), row.image_id) == (product, self.images[product, position])
        assert Product.objects.similar_to(ImageId(row.image_id))[:1][0].image_id == row.image_id
        assert list(Product.objects.similar_to(place).values("image_id")[:1]) == [{"image_id": row.image_id}]
        picture = models.Image.objects.similar_to(place)[:1][0]
        assert picture.image_id == picture.pk == row.image_id

    def test_a_key_that_is_a_uuid_behind_a_prefix(self) -> None:
        posters = [Poster.objects.create(title=f"t{n}") for n in range(6)]
        place = {}
        for n, poster in enumerate(posters):
            for position in range(9):
                add(poster, filling.photo(n, position, 200), position=position)
                place[f"poster:{poster.pk}", position] = filling.point(0.1 * n + 0.001 * position, 1)
        filling.embed_waiting(lambda product, position: place[product, position])
        for search in ("{}", FEW):
            self.believe(search)
            found = Poster.objects.similar_to(filling.point(0, 1))
            assert [poster.title for poster in found[:4]] == ["t0", "t1", "t2", "t3"]
            assert [poster.title for poster in found.nearest(3).order_by("-title")] == ["t2", "t1", "t0"]


def _scanned(node: dict[str, Any]) -> Iterator[str]:
    if node["Actual Loops"] and "Relation Name" in node:
        yield node["Relation Name"]
    for child in node.get("Plans", ()):
        yield from _scanned(child)
