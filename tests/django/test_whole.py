"""What is asked of all rows that are ranked: counts per group, dates, the last; which picture each row is there by."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import Any

import pytest
from django.db.models import Count, Min
from django.test import TestCase

from imgsearch.django import add
from imgsearch.django.models import Image
from imgsearch.errors import UsageError
from tests.django import filling
from tests.django.filling import point
from tests.django.shop.models import Offer, Product, Tag

HERE = point(0, 0)


class Whole(TestCase):
    """Twenty products on a line, in three categories, with up to two tags; the last has no picture."""

    @classmethod
    def setUpTestData(cls) -> None:
        filling.space()
        tags = [Tag.objects.create(name=name) for name in ("red", "green")]
        cls.products = [
            filling.product(
                filling.shop(),
                name=f"n{n}",
                category=("shoes", "bags", "hats")[n % 3],
                price=100 - n,
                added=datetime.date(2026, 1 + n % 4, 1 + n),
            )
            for n in range(20)
        ]
        for n, product in enumerate(cls.products[:-1]):
            product.tags.set(tags[: n % 3])
            for position in range(1 + n % 2):
                add(product, filling.photo(n * 4, 9, position), position=position)
        numbers = {str(product.pk): n for n, product in enumerate(cls.products)}
        filling.embed_waiting(lambda product, position: point(0.05 * numbers[product] + 0.01 * (1 - position), 0))

    def pictured(self) -> list[Product]:
        return self.products[:-1]

    def test_counts_per_group_are_of_all_that_is_ranked(self) -> None:
        wanted = Counter(product.category for product in self.pictured())
        rows = Product.objects.similar_to(HERE)
        counted = rows.values("category").annotate(n=Count("pk"))
        assert {row["category"]: row["n"] for row in counted} == wanted
        assert list(counted.order_by("-n", "category").values_list("n", flat=True)) == [7, 6, 6]
        assert [row["n"] for row in counted.order_by("-n")[:1]] == [7]
        assert counted.filter(n__gt=6).count() == 1
        assert sum(row["n"] for row in counted.filter(price__gt=90)) == 10
        named = rows.values("tags__name").annotate(n=Count("pk"), nearest=Min("distance")).order_by("tags__name")
        assert [(row["tags__name"], row["n"]) for row in named] == [("green", 6), ("red", 12), (None, 7)]
        assert named[1]["nearest"] < named[0]["nearest"] < 0.1

    def test_counts_obey_filters_a_limit_on_distance_and_nearest(self) -> None:
        rows = Product.objects.filter(tags__name="red")
        wanted = Counter(p.category for n, p in enumerate(self.pictured()) if n % 3)
        near = rows.similar_to(HERE).values("category").annotate(n=Count("pk"))
        assert {row["category"]: row["n"] for row in near} == wanted
        far = Product.objects.similar_to(HERE)[5].distance
        limited = Product.objects.similar_to(HERE, max_distance=far + 1e-6).values("category").annotate(n=Count("pk"))
        assert {row["category"]: row["n"] for row in limited} == {"shoes": 2, "bags": 2, "hats": 2}
        best = Product.objects.similar_to(HERE).nearest(4).values("category").annotate(n=Count("pk"))
        assert {row["category"]: row["n"] for row in best} == {"shoes": 2, "bags": 1, "hats": 1}

    def test_dates_are_those_of_rows_with_a_picture(self) -> None:
        rows = Product.objects.similar_to(HERE)
        assert [day.month for day in rows.dates("added", "month")] == [1, 2, 3, 4]
        assert list(rows.dates("added", "day")) == sorted(product.added for product in self.pictured())
        bags = rows.filter(category="bags").nearest(2).dates("added", "day", order="DESC")
        assert list(bags) == [self.products[1].added, self.products[4].added]
        assert rows.aggregate(first=Min("added"))["first"] == self.products[0].added

    def test_the_last_the_latest_and_the_earliest(self) -> None:
        rows = Product.objects.similar_to(HERE)
        assert rows.last().name == "n18"
        assert rows.latest("added").name == max(self.pictured(), key=lambda one: one.added).name
        assert rows.earliest("price").name == "n18", "the cheapest of all that have a picture, not the nearest"
        assert rows.earliest("price").distance == pytest.approx(rows.last().distance)
        assert rows.nearest(5).last().name == "n4"
        assert rows.nearest(5).latest("price").name == "n0"

    def test_the_best_in_another_order(self) -> None:
        rows = Product.objects.similar_to(HERE).nearest(6)
        assert [row.name for row in rows.order_by("price")] == ["n5", "n4", "n3", "n2", "n1", "n0"]
        assert [row.name for row in rows.order_by("price")[2:4]] == ["n3", "n2"]
        assert rows.filter(category="bags").count() == 2

    def test_distinct_rows_are_what_they_are_already(self) -> None:
        rows = Product.objects.filter(tags__name__in=["red", "green"]).similar_to(HERE)
        assert [row.name for row in rows.distinct()[:3]] == ["n1", "n2", "n4"]
        with pytest.raises(UsageError, match=r"nearest\(100\)"):
            rows.values("category").distinct()
        chosen = Product.objects.similar_to(HERE).nearest(100).order_by().values("category").distinct()
        assert sorted(row["category"] for row in chosen) == ["bags", "hats", "shoes"]

    def test_each_row_tells_which_picture_it_was(self) -> None:
        found: list[Any] = list(Product.objects.similar_to(HERE)[:6])
        assert [row.position for row in found] == [0, 1, 0, 1, 0, 1]
        for row in found:
            image = Image.objects.get(pk=row.image_id)
            assert (image.product_id, image.position, image.uri) == (str(row.pk), row.position, row.image_uri)
        told = Product.objects.similar_to(HERE).values("name", "position", "image_uri")[0]
        assert told["position"] == 0
        assert told["image_uri"].startswith("store:")
        counted = Product.objects.annotate(n=Count("tags")).similar_to(HERE)[:3]
        assert [(row.n, row.position) for row in counted] == [(0, 0), (1, 1), (2, 0)]
        joined = Product.objects.filter(tags__name__in=["red", "green"]).similar_to(HERE)[:2]
        assert [row.position for row in joined] == [1, 0]
        assert Image.objects.similar_to(HERE)[0].position == 0

    def test_an_instance_is_left_out_of_its_own_answer_whatever_its_class(self) -> None:
        for asked, rows in ((self.products[3], Offer.objects), (Offer.objects.get(name="n3"), Product.objects)):
            assert "n3" not in [row.name for row in rows.similar_to(asked)[:10]]
