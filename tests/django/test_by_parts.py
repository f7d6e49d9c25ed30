"""`similar_to(…, regions=w)`: rows by the best part of their pictures, under any filter, with the part that matched."""

from __future__ import annotations

import math
import pickle
import random
from typing import Any

import numpy as np
import pytest
from django.core.exceptions import FieldError
from django.db import connection
from django.db.models import Count
from django.test import TestCase
from django.test.utils import CaptureQueriesContext

from imgsearch.db.psycopg_connection import driver
from imgsearch.django import add, models
from imgsearch.errors import FilterError
from imgsearch.query import ImageId
from imgsearch.retrieval import search
from tests import parts
from tests.django import filling
from tests.django.filling import photo
from tests.django.shop.models import Product
from tests.parts import Part

MANY = 60
CLOSE = 2e-3


class ByParts(TestCase):
    """60 products of two tenants with one or two pictures, each of none to three parts."""

    databases = frozenset({"default", "replica"})

    @classmethod
    def setUpTestData(cls) -> None:
        space, chance, rng = filling.space(), random.Random(4), np.random.default_rng(4)
        cls.whole: dict[int, list[float]] = {}
        vectors: dict[tuple[str, int], list[float]] = {}
        cls.owner: dict[int, Product] = {}
        for n in range(MANY):
            made = filling.product(
                filling.shop(("acme", "bolt")[n % 2]), name=f"n{n}", price=n, category=("shoes", "bags")[n % 3 % 2]
            )
            for position in range(1 + n % 2):
                vectors[str(made.pk), position] = rng.normal(size=48).tolist()
                image = add(made, photo(n * 4, 255 - n, position), position=position).image_id
                cls.whole[image], cls.owner[image] = vectors[str(made.pk), position], made
        filling.embed_waiting(lambda product, position: vectors[product, position])
        cls.parts = {
            image: [
                Part(vector=rng.normal(size=48).tolist(), box=(0.25, 0.125 * place, 0.5, 0.5), label=f"{image}.{place}")
                for place in range(chance.randrange(4))
            ]
            for image in cls.whole
        }
        tenants = {image: owner.store.slug for image, owner in cls.owner.items()}
        lent: Any = driver(connection)
        parts.store(lent, space, {(tenants[image], image): several for image, several in cls.parts.items()})

    def ranked(self, query: list[float], weight: float, **kept: Any) -> list[tuple[float, int, int]]:
        """Return (distance, image, product) of what is to be found, nearest first: plain numpy."""
        best: dict[int, tuple[float, int, int]] = {}
        for image, whole in self.whole.items():
            one = self.owner[image]
            if all(getattr(one, name) == value for name, value in kept.items()):
                away = parts.near(query, whole, self.parts[image], weight)
                best[one.pk] = min(best.get(one.pk, (9.0, 0, 0)), (away, image, one.pk))
        return sorted(best.values())

    def a_part(self, seed: int) -> list[float]:
        chance = random.Random(seed)
        return list(chance.choice([part for several in self.parts.values() for part in several]).vector)

    def test_rows_are_those_of_the_nearest_parts_and_say_which(self) -> None:
        for seed, weight in enumerate((1, 0.5, 0.2, 1)):
            query = self.a_part(seed)
            wanted = self.ranked(query, weight, category="bags")
            for cut in (slice(0, 7), slice(5, 12), slice(0, 500)):
                rows = Product.objects.filter(category="bags").similar_to(query, regions=weight)[cut]
                with CaptureQueriesContext(connection) as queries:
                    page = list(rows)
                assert len(queries) == 1
                assert [row.distance for row in page] == pytest.approx([d for d, _, _ in wanted[cut]], abs=CLOSE)
                for row in page:
                    assert self.owner[row.image_id].pk == row.pk
                    self.says_which(row, query)
        assert Product.objects.similar_to(self.a_part(1), regions=1)[0].label, "asked by a part of its own"

    def says_which(self, row: Any, query: list[float]) -> None:
        away = {part.label: parts.apart(query, part.vector) for part in self.parts[row.image_id]}
        if row.box is None:
            assert row.label is None
            assert min(away.values(), default=9) > parts.apart(query, self.whole[row.image_id]) - CLOSE
        else:
            assert away[row.label] == pytest.approx(min(away.values()), abs=CLOSE)
            [box] = [part.box for part in self.parts[row.image_id] if part.label == row.label]
            assert row.box == pytest.approx(box)

    def test_it_answers_what_search_answers(self) -> None:
        query = self.a_part(9)
        hits = search(driver(connection), query, tenant="acme", regions=0.7, k=20, max_price=40)
        rows = Product.objects.filter(store__slug="acme", price__lte=40).similar_to(query, regions=0.7)[:20]
        assert [(str(row.pk), row.image_id, row.label) for row in rows] == [
            (hit.product_id, hit.image_id, hit.label) for hit in hits
        ]
        assert [row.distance for row in rows] == pytest.approx([hit.distance for hit in hits])
        assert [tuple(row.box) if row.box else None for row in rows] == [hit.box for hit in hits]
        pictures = models.Image.objects.filter(tenant_id="acme").similar_to(query, regions=1)[:5]
        wanted = search(driver(connection), query, tenant="acme", regions=1, k=5, per="image")
        assert [(row.image_id, row.label) for row in pictures] == [(hit.image_id, hit.label) for hit in wanted]

    def test_what_follows_a_ranked_queryset_still_does(self) -> None:
        query = self.a_part(2)
        rows = Product.objects.similar_to(query, regions=1)
        wanted = self.ranked(query, 1)
        assert rows.count() == len(wanted) == MANY
        assert rows.filter(price__lt=5).exists()
        assert not rows.filter(price__lt=-5).exists()
        best = rows.nearest(10)
        assert [row.pk for row in best.order_by("-pk")] == sorted((pk for _, _, pk in wanted[:10]), reverse=True)
        assert best.count() == 10
        assert {row.label for row in best.exclude(category="none")} == {row.label for row in best}
        within = Product.objects.similar_to(query, regions=1, max_distance=0.6)
        assert within.count() == sum(away <= 0.6 for away, _, _ in wanted)
        counted = {row["category"]: row["n"] for row in rows.values("category").annotate(n=Count("pk"))}
        assert sum(counted.values()) == MANY
        assert list(rows.values_list("box", flat=True)[:3]) == [row.box for row in rows[:3]]
        kept: Any = pickle.loads(pickle.dumps(rows.query))  # noqa: S301  # our own
        again = Product.objects.all()
        again.query = kept
        assert [row.pk for row in again[:5]] == [row.pk for row in rows[:5]]
        assert "imgsearch_walk" in rows[:5].explain()
        picture = ImageId(next(iter(self.whole)))
        assert Product.objects.similar_to(picture, regions=1)[0].image_id == picture.image_id

    def test_without_a_weight_nothing_knows_of_parts(self) -> None:
        query = self.a_part(3)
        asked = [Product.objects.similar_to(query, **more)[:5] for more in ({}, {"regions": None}, {"regions": 0})]
        [said] = {str(rows.query) for rows in asked}
        assert "region" not in said
        assert "part_of" not in said
        assert not hasattr(asked[0][0], "box")
        with pytest.raises(FieldError):
            asked[0].query.clone().resolve_ref("box")

    def test_what_is_no_weight_is_refused(self) -> None:
        for wrong in (-0.1, 1.01, math.nan, math.inf, "much", [1]):
            with pytest.raises(FilterError, match="from 0"):
                Product.objects.similar_to([1.0] * 48, regions=wrong)
