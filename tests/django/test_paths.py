"""`manage.py check` walks every name that @searchable was given: nothing is silently NULL."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import checks

from imgsearch.django import searchable
from imgsearch.django.checks import check_paths
from tests.django.shop.models import Garment, Product, Shot


def said(model: Any, **names: Any) -> list[checks.CheckMessage]:
    """Decorate a model otherwise for a moment; return what the check says."""
    before, restored = model.__dict__["_imgsearch"], model
    try:
        searchable(**names)(model)
        return [one for one in check_paths() if one.obj is model]
    finally:
        restored._imgsearch = before


@pytest.mark.parametrize(
    ("names", "code", "message", "hint"),
    [
        ({"category": "catgory"}, "E011", "no 'catgory'", "'category'"),
        ({"in_stock": "store__nothing"}, "E011", "Store has no 'nothing'", "property"),
        ({"title": "name__length"}, "E011", "TextField, no relation", "property"),
        ({"title": "get_absolute"}, "E011", "no 'get_absolute'", "property"),
        ({"title": "__str__"}, "E011", "has no ''", "property"),
        ({"title": "save"}, "E011", "a method", "@property"),
        ({"category": "tags__name"}, "E012", "Product.tags leads to many", "exact"),
        ({"category": "tags"}, "E012", "leads to many", "refilter"),
        ({"category": "objects"}, "E012", "leads to many", "property"),
        ({"words": ("name", "store__product__name")}, "E012", "Store.product leads to many", "property"),
        ({"words": ("store__product_set",)}, "E012", "Store.product_set leads to many", "property"),
        ({"photo": "price"}, "E013", "DecimalField holds no picture", "ImageField"),
        ({"photo": "tags__name"}, "E012", "leads to many", "of="),
        ({"attributes": ("brand", "store__slug", "tags__name")}, "E012", "leads to many", "property"),
        ({"attributes": ("name", "store__name")}, "E014", "called name", "attributes={"),
        ({"price": "name"}, "E015", "TextField is no number", "property"),
        ({"in_stock": "price"}, "E015", "neither true nor false", "self.price > 0"),
        ({"in_stock": "name"}, "E015", "neither true nor false", "boolean"),
        ({"tenant": "store"}, "E015", "a relation", "store__slug"),
        ({"tenant": "pk_text"}, "E011", "no 'pk_text'", "property"),
        ({"fallback": "name"}, "E015", "no foreign key", "by whose pictures"),
        ({"fallback": "store_id"}, "E015", "no foreign key", "by whose pictures"),
        ({"tenant": "store_id__slug"}, "E011", "store_id is the key alone", "store__slug"),
        ({"categories": "tags__nam"}, "E011", "no 'nam'", "'name'"),
        ({"categories": "store__product__name"}, "E012", "Store.product leads to many", "product_set"),
    ],
)
def test_what_leads_nowhere_is_an_error(names: dict[str, Any], code: str, message: str, hint: str) -> None:
    found = said(Product, **names)
    assert f"imgsearch.{code}" in [one.id for one in found], found
    one = next(one for one in found if one.id == f"imgsearch.{code}")
    assert message in one.msg
    assert hint in (one.hint or "")


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ({"of": "garment", "photo": "file", "position": "sort"}, "E011"),
        ({"of": "file", "photo": "file"}, "E015"),
        ({"of": "garment_id", "photo": "file"}, "E015"),
        ({"of": "garment__shots", "photo": "file"}, "E012"),
        ({"of": "garment", "photo": "file", "main": "display_order"}, "E015"),
    ],
)
def test_models_of_pictures_too(names: dict[str, Any], code: str) -> None:
    assert [one.id for one in said(Shot, **names)] == [f"imgsearch.{code}"]


def test_a_product_has_its_pictures_from_one_place() -> None:
    before = Garment._imgsearch
    try:
        searchable(photo="name")(Garment)
        assert "imgsearch.E016" in [one.id for one in check_paths()]
    finally:
        Garment._imgsearch = before


@pytest.mark.parametrize(
    "names",
    [
        {"category": "store__slug", "price": "price", "in_stock": "available", "photo": "photo"},
        {"photo": "name", "title": "store__pk", "attributes": ("added__year", "photo__name", "store_id")},
        {"title": "pk"},
        {"tenant": "store_id"},
        {"tenant": "store__pk", "price": "store_id"},
    ],
)
def test_what_leads_somewhere_is_none(names: dict[str, Any]) -> None:
    assert said(Product, **names) == []


def test_properties_are_values() -> None:
    assert said(Garment, price="lowest", in_stock="available", title="parent__name") == []
    assert said(Garment, category="parent__lowest") == []


def test_the_last_part_of_a_path_names_an_attribute() -> None:
    before = Product._imgsearch
    try:
        searchable(attributes=("store__slug", "brand"))(Product)
        assert Product._imgsearch.attributes == {"slug": "store__slug", "brand": "brand"}
    finally:
        Product._imgsearch = before


@pytest.mark.parametrize("path", ["tags", "tags__name", "store__product_set__name", "brand"])
def test_categories_may_be_many(path: str) -> None:
    assert said(Product, categories=path) == []
