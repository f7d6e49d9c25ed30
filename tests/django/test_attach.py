"""AttachImgsearch in a Django migration: triggers follow bulk_create(), update() and plain SQL."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection
from django.db.migrations.state import ProjectState
from django.db.utils import Error
from django.test import TransactionTestCase

from imgsearch.django import AttachImgsearch
from imgsearch.django.models import Image
from imgsearch.errors import ImgsearchError
from tests.django import filling
from tests.django.filling import point
from tests.django.shop.models import Print


def migrate(operation: AttachImgsearch, *, back: bool = False) -> None:
    """Run one operation as a migration of the shop would."""
    state = ProjectState.from_apps(apps)
    with connection.schema_editor() as editor:
        (operation.database_backwards if back else operation.database_forwards)("shop", editor, state, state)


class Attached(TransactionTestCase):
    operation = AttachImgsearch("print", image="address", price="price", attributes=["name"], prefix="print:")

    def tearDown(self) -> None:
        migrate(self.operation, back=True)

    def test_every_way_of_writing_is_followed(self) -> None:
        Print.objects.create(name="old", address="https://example.com/0.jpg", price=0)
        migrate(self.operation)
        migrate(self.operation)
        Print.objects.bulk_create(
            Print(name=f"n{n}", address=f"https://example.com/{n}.jpg", price=n) for n in range(1, 6)
        )
        Print.objects.filter(price__gte=4).update(price=40)
        Print.objects.filter(name="n2").delete()
        assert sorted(Image.objects.values_list("price", flat=True)) == [0, 1, 3, 40, 40]
        ids = {f"print:{row.pk}": row.name for row in Print.objects.all()}
        assert set(Image.objects.values_list("product_id", flat=True)) == set(ids)
        Image.objects.update(sha256=b"0" * 32)
        order = {"n3": 0.0, "old": 0.1, "n1": 0.2, "n5": 0.3, "n4": 0.4}
        filling.embed_waiting(lambda product, _: point(order[ids[product]], 0))
        rows = Print.objects.exclude(name="old").similar_to(point(0, 0))[:3]
        assert [row.name for row in rows] == ["n3", "n1", "n5"]

    def test_what_cannot_be_attached_says_why_and_leaves_nothing(self) -> None:
        with pytest.raises((ImgsearchError, Error), match="nosuch"):
            migrate(AttachImgsearch("print", image="nosuch", prefix="print:"))
        Print.objects.create(name="alone", address="https://example.com/9.jpg")
        assert not Image.objects.exists()
