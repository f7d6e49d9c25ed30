"""Django REST framework over a ranked queryset: pages, orders and cursors; what cannot be is a typed 400, not a 500."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.test import RequestFactory, TestCase, override_settings
from rest_framework.filters import OrderingFilter
from rest_framework.generics import ListAPIView
from rest_framework.pagination import CursorPagination, LimitOffsetPagination, PageNumberPagination
from rest_framework.serializers import CharField, FloatField, IntegerField, Serializer
from rest_framework.test import APIRequestFactory

from imgsearch.django import add
from imgsearch.django.refusals import Refusals
from imgsearch.errors import NoSpace, UsageError
from tests.django import filling
from tests.django.filling import photo, point
from tests.django.shop.models import Product

HANDLED = {"EXCEPTION_HANDLER": "imgsearch.django.refusals.exception_handler"}


class Shown(Serializer):
    name = CharField()
    distance = FloatField()
    position = IntegerField()


class Pages(PageNumberPagination):
    page_size = 2


class Offsets(LimitOffsetPagination):
    default_limit = 2


class Cursors(CursorPagination):
    page_size = 2
    ordering = "price"


class Found(ListAPIView):
    serializer_class = Shown
    authentication_classes = ()
    permission_classes = ()
    filter_backends = (OrderingFilter,)
    ordering_fields = ("price", "distance")
    chosen = 0

    def get_queryset(self) -> Any:
        rows = Product.objects.similar_to(point(0, 0))
        return rows.nearest(self.chosen) if self.chosen else rows


@override_settings(REST_FRAMEWORK=HANDLED)
class InRestFramework(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        filling.space()
        cls.products = [filling.product(filling.shop(), name=f"n{n}", price=9 - n) for n in range(5)]
        for n, product in enumerate(cls.products):
            add(product, photo(n * 30, 0, 0))
        first = cls.products[0].pk
        filling.embed_waiting(lambda product, _: point(0.1 * (int(product) - first), 0))

    def get(self, query: str = "", **options: Any) -> Any:
        return Found.as_view(**options)(APIRequestFactory().get(f"/found{query}"))

    def test_pages_are_those_of_the_ranking(self) -> None:
        second = self.get("?page=2", pagination_class=Pages).data
        assert second["count"] == 5
        assert [row["name"] for row in second["results"]] == ["n2", "n3"]
        offset = self.get("?limit=2&offset=3", pagination_class=Offsets).data
        assert [row["name"] for row in offset["results"]] == ["n3", "n4"]

    def test_another_order_is_refused_with_the_way(self) -> None:
        for answer in (self.get("?ordering=price"), self.get(pagination_class=Cursors)):
            assert answer.status_code == 400
            assert answer.data["code"] == "UsageError"
            assert "nearest(100)" in answer.data["detail"]

    def test_the_best_few_bear_any_order(self) -> None:
        ordered = self.get("?ordering=price", chosen=3)
        assert [row["name"] for row in ordered.data] == ["n2", "n1", "n0"]
        cursors = self.get(pagination_class=Cursors, chosen=3)
        assert [row["name"] for row in cursors.data["results"]] == ["n2", "n1"]
        assert cursors.data["next"]

    def test_other_errors_are_its_own(self) -> None:
        assert self.get("?page=99", pagination_class=Pages).status_code == 404


def test_the_middleware_answers_for_any_view() -> None:
    middleware = Refusals(lambda request: HttpResponse("fine"))
    request = RequestFactory().get("/")
    assert middleware(request).content == b"fine"
    refused = middleware.process_exception(request, UsageError("Not so; do this."))
    assert refused is not None
    assert (refused.status_code, refused.content) == (400, b'{"code": "UsageError", "detail": "Not so; do this."}')
    hidden = middleware.process_exception(request, NoSpace("db.internal has no space"))
    assert hidden is not None
    assert hidden.status_code == 503
    assert b"db.internal" not in hidden.content
    assert middleware.process_exception(request, ValueError()) is None
