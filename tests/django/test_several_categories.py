"""`@searchable(categories=…)`: many rows, a list, one value; `category` finds an image by each of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

from django.core.files.base import ContentFile
from django.test import TestCase

from imgsearch.django import refilter
from imgsearch.django.models import images_of
from imgsearch.ingest.words import CATEGORIES
from tests.django.filling import photo, shop
from tests.django.shop.models import Product, Tag


class SeveralCategories(TestCase):
    def mapped(self, path: str) -> Any:
        return mock.patch.object(Product, "_imgsearch", replace(Product._imgsearch, categories=path))

    def categories(self, product: Product) -> Any:
        return images_of(product).get().categories

    def test_rows_of_another_table_follow_when_that_is_said(self) -> None:
        with self.mapped("tags__name"):
            made = Product.objects.create(store=shop(), photo=ContentFile(photo(9, 9, 9), name="a.jpg"))
            assert self.categories(made) is None
            made.tags.set([Tag.objects.create(name=name) for name in ("sale", " hats ", "", "x" * 201)])
            assert refilter(made) == 1
            assert self.categories(made) == ["hats", "sale"]
            assert refilter(made) == 0
            made.tags.clear()
            made.save()
            assert self.categories(made) is None
        assert refilter(made) == 0

    def test_a_list_and_one_value(self) -> None:
        made = Product.objects.create(store=shop(), brand="Quill", photo=ContentFile(photo(9, 9, 9), name="a.jpg"))
        with self.mapped("brand"):
            assert refilter(made) == 1
            assert self.categories(made) == ["Quill"]
        many = [f"{n:03}" for n in range(150)]
        with self.mapped("listed"), mock.patch.object(Product, "listed", many, create=True):
            made.save()
            assert self.categories(made) == many[:CATEGORIES], "a row is never refused for its categories"
