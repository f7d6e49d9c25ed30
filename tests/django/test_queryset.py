"""`similar_to()` is a queryset: lazy, filterable, sliceable, one statement, complete."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest
from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Count, F, OuterRef, Q, Subquery
from django.test import TestCase
from django.test.utils import CaptureQueriesContext

from imgsearch.django import add
from imgsearch.django.models import Image
from imgsearch.errors import FilterError, UnknownImage, UsageError, VectorError
from imgsearch.query import ImageId
from imgsearch.retrieval import search
from tests.django import filling
from tests.django.filling import point
from tests.django.shop.models import Poster, Product, Tag

HERE = point(0, 0)


class Ranked(TestCase):
    """Sixty products of two shops on a line, each farther from HERE; every third has a second, nearer picture."""

    databases = frozenset({"default", "replica"})

    @classmethod
    def setUpTestData(cls) -> None:
        filling.space()
        acme, bazaar = filling.shop("acme"), filling.shop("bazaar")
        cls.products = [
            filling.product(
                acme if n % 2 == 0 else bazaar, name=f"n{n}", price=n + 1, category=("shoes", "bags")[n % 4 == 0]
            )
            for n in range(60)
        ]
        cls.bare = filling.product(acme, name="no picture")
        cls.places = {}
        for n, product in enumerate(cls.products):
            add(product, filling.photo(n * 4, 9, 9))
            cls.places[str(product.pk), 0] = point(0.05 * n, 0)
            if n % 3 == 0:
                add(product, filling.photo(9, n * 4, 9), position=1)
                cls.places[str(product.pk), 1] = point(0.05 * n - 0.01, 0)
        filling.embed_waiting(lambda product, position: cls.places[product, position])

    def names(self, found: Any) -> list[str]:
        return [product.name for product in found]

    def ranked(self, keep: Any = lambda n: True) -> list[str]:
        """Brute force: names in the order of their nearest picture."""
        near = {n: abs(0.05 * n - (0.01 if n % 3 == 0 else 0)) for n in range(60) if keep(n)}
        return [f"n{n}" for n in sorted(near, key=lambda n: near[n])]

    def test_what_a_search_ranked_comes_as_rows_in_its_order(self) -> None:
        hits = search(connection, HERE, tenant="acme", sort="-price", k=10)
        assert len(hits) == 10
        rows = Product.objects.in_order_of(hits)
        assert [str(row.pk) for row in rows] == [hit.product_id for hit in hits]
        assert [row.price for row in rows] == sorted((row.price for row in rows), reverse=True)
        assert rows.filter(category="bags").count() + rows.exclude(category="bags").count() == 10
        assert list(Product.objects.in_order_of([])) == []
        strange = [replace(hits[0], product_id="no key"), *hits[1:]]
        assert [str(row.pk) for row in Product.objects.in_order_of(strange)] == [hit.product_id for hit in hits[1:]]
        other = [replace(hit, tenant_id="bazaar") for hit in hits]
        assert list(Product.objects.in_order_of(other)) == [], "another shop's"

    def test_a_page_is_one_statement_and_complete(self) -> None:
        with CaptureQueriesContext(connection) as queries:
            found = list(Product.objects.filter(price__lte=30).similar_to(HERE)[:10])
        assert len(queries) == 1
        assert self.names(found) == self.ranked(lambda n: n < 30)[:10]
        assert found[0].distance < found[5].distance < found[9].distance
        assert isinstance(found[3].distance, float)

    def test_filters_before_and_after_choose_the_candidates(self) -> None:
        wanted = self.ranked(lambda n: n >= 50 and n % 4 == 0)
        before = Product.objects.filter(price__gt=50, category="bags").similar_to(HERE)
        after = Product.objects.similar_to(HERE).filter(price__gt=50).exclude(~Q(category="bags"))
        assert self.names(before[:10]) == self.names(after[:10]) == wanted
        assert len(wanted) == 2

    def test_every_slice_is_a_page_of_the_same_order(self) -> None:
        rows = Product.objects.similar_to(HERE)
        everything = self.names(rows)
        assert everything == self.ranked()
        for start, stop in ((0, 1), (5, 20), (40, 60), (55, 200), (0, 3000), (60, 70)):
            assert self.names(rows[start:stop]) == everything[start:stop], (start, stop)
        assert rows[7].name == everything[7]
        assert self.names(rows[10:30][5:8]) == everything[15:18]
        assert self.names(rows.none()) == []
        assert self.names(rows[:0]) == []

    def test_a_product_is_there_once_with_its_nearest_picture(self) -> None:
        found = list(Product.objects.similar_to(point(0.15 - 0.01, 0))[:5])
        assert len({product.pk for product in found}) == 5
        assert found[0].name == "n3"
        assert found[0].distance < 1e-3

    def test_a_join_that_multiplies_rows_multiplies_nothing(self) -> None:
        tags = [Tag.objects.create(name=name) for name in ("red", "green", "blue")]
        for product in self.products[:9]:
            product.tags.set(tags)
        rows = Product.objects.filter(tags__name__in=["red", "green", "blue"]).similar_to(HERE)
        assert self.names(rows[:6]) == self.ranked(lambda n: n < 9)[:6]
        assert self.names(rows) == self.ranked(lambda n: n < 9)
        assert rows.count() == 9
        counted = Product.objects.annotate(n=Count("tags")).filter(n=3).similar_to(HERE)
        assert [(p.name, p.n) for p in counted[:3]] == [(name, 3) for name in self.ranked(lambda n: n < 9)[:3]]
        assert counted.count() == 9

    def test_tenants_are_apart(self) -> None:
        assert self.names(Product.objects.filter(store__slug="acme").similar_to(HERE)[:30]) == self.ranked(
            lambda n: n % 2 == 0
        )
        assert self.names(Product.objects.similar_to(HERE, tenant="bazaar")[:99]) == self.ranked(lambda n: n % 2 == 1)
        assert not Product.objects.similar_to(HERE, tenant="nobody").exists()

    def test_what_a_queryset_can_do_it_can_do(self) -> None:
        rows = Product.objects.filter(price__lte=20).similar_to(HERE)
        wanted = self.ranked(lambda n: n < 20)
        assert rows.count() == 20
        assert rows[:7].count() == 7
        assert rows.exists()
        assert not rows.filter(price=-1).exists()
        assert rows.first().name == wanted[0]
        assert [page.object_list.count() for page in Paginator(rows, 8)] == [8, 8, 4]
        assert list(rows.values_list("name", flat=True)[:5]) == wanted[:5]
        assert [round(row["distance"], 6) for row in rows.values("name", "distance")[:2]] == [
            round(p.distance, 6) for p in rows[:2]
        ]
        assert self.names(rows.iterator(chunk_size=3)) == wanted
        assert self.names(pickle.loads(pickle.dumps(rows[:4]))) == wanted[:4]  # noqa: S301 - our own
        asked = Product.objects.none()
        asked.query = pickle.loads(pickle.dumps(rows[:4].query))  # noqa: S301 - our own
        assert self.names(asked) == wanted[:4]
        assert "CTE imgsearch_step" in rows[:5].explain()
        assert self.names(rows.select_related("store").only("name", "store")[:5]) == wanted[:5]
        assert self.names(rows.prefetch_related("tags").defer("brand")[:5]) == wanted[:5]
        assert self.names(rows.annotate(likeness=1 - F("distance"))[:5]) == wanted[:5]
        assert rows.aggregate(total=Count("pk"))["total"] == 20
        assert rows.get(name="n4").name == "n4"
        assert rows.in_bulk([self.products[1].pk])[self.products[1].pk].name == "n1"

    def test_it_works_as_a_subquery(self) -> None:
        page = Product.objects.similar_to(HERE)[:5]
        assert set(self.names(Product.objects.filter(pk__in=page.values("pk")))) == set(self.ranked()[:5])
        best = Product.objects.filter(category=OuterRef("category")).similar_to(HERE)
        rows = Product.objects.filter(name__in=["n8", "n9"]).annotate(best=Subquery(best.values("name")[:1]))
        assert {row.name: row.best for row in rows} == {"n8": "n0", "n9": "n1"}

    def test_anything_is_a_query(self) -> None:
        third = self.products[3]
        first = Image.objects.get(product_id=str(third.pk), position=0)
        by_id = Product.objects.similar_to(ImageId(first.image_id))[:3]
        assert next(iter(by_id)).name == "n3"
        like_it = Product.objects.similar_to(third)[:3]
        assert "n3" not in self.names(like_it)
        assert set(self.names(like_it)) <= {"n2", "n4", "n1", "n5"}
        with pytest.raises(UnknownImage):
            list(Product.objects.similar_to(self.bare)[:3])
        with pytest.raises(UnknownImage):
            list(Product.objects.similar_to(ImageId(10**12))[:3])
        with pytest.raises(VectorError):
            list(Product.objects.similar_to([1.0, 2.0])[:3])

    def test_not_this_leaves_it_out_and_keeps_the_question(self) -> None:
        third = self.products[3]
        asked = Product.objects.similar_to([(HERE, 1), (third, -1), (self.products[5], -1)])
        assert not {"n3", "n5"} & set(self.names(asked[:20]))
        image = Image.objects.get(product_id=str(self.products[4].pk), position=0)
        assert "n4" not in self.names(Product.objects.similar_to([(HERE, 1), (ImageId(image.image_id), -1)])[:59])
        near, far = (Product.objects.similar_to([(HERE, 1), (third, weight)]).count() for weight in (1, -1))
        assert near == far

    def test_pictures_themselves(self) -> None:
        with CaptureQueriesContext(connection) as queries:
            found = list(Image.objects.filter(tenant_id="acme", price__lt=30).similar_to(HERE)[:8])
        assert len(queries) == 1
        assert len(found) == 8
        assert sorted(image.distance for image in found) == [image.distance for image in found]
        assert {image.tenant_id for image in found} == {"acme"}
        assert Image.objects.similar_to(found[0])[:1][0].pk != found[0].pk

    def test_a_key_that_is_no_number(self) -> None:
        posters = [Poster.objects.create(title=f"t{n}") for n in range(4)]
        place = {f"poster:{poster.pk}": point(0, 0.1 * n) for n, poster in enumerate(posters)}
        for n, poster in enumerate(posters):
            add(poster, filling.photo(n, n, 200))
        filling.embed_waiting(lambda product, _: place[product])
        assert [poster.title for poster in Poster.objects.similar_to(HERE)[:3]] == ["t0", "t1", "t2"]

    def test_max_distance(self) -> None:
        far = Product.objects.similar_to(HERE)[9].distance
        assert Product.objects.similar_to(HERE, max_distance=far + 1e-6).count() == 10
        assert len(Product.objects.similar_to(HERE, max_distance=far + 1e-6)[:20]) == 10
        with pytest.raises(FilterError, match="max_distance"):
            list(Product.objects.similar_to(HERE).filter(distance__lt=0.1))

    def test_what_does_not_go_with_it_says_why(self) -> None:
        rows = Product.objects.similar_to(HERE)
        for refused in (
            lambda: rows.order_by("price"),
            rows.reverse,
            lambda: rows.values("category").distinct(),
            lambda: rows.distinct("category"),
            lambda: rows.union(Product.objects.all()),
            lambda: Product.objects.all().union(rows),
            lambda: rows.update(price=0),
            rows.delete,
            lambda: rows.similar_to(HERE),
            lambda: Product.objects.all()[:5].similar_to(HERE),
        ):
            with pytest.raises(UsageError):
                refused()
        assert Product.objects.count() == 61

    def test_nothing_is_asked_before_it_is_evaluated(self) -> None:
        with CaptureQueriesContext(connection) as queries:
            rows = Product.objects.similar_to("a text that no worker will ever embed").filter(price__lt=3)[:3]
        assert len(queries) == 0
        assert rows.query.is_sliced
