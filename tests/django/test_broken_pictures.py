"""The shop's write goes through whatever a picture is: it stands in the failures until a save mends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
from django.conf import settings as project_settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.core.management import call_command
from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase

from imgsearch.db.psycopg_connection import driver
from imgsearch.django.models import Failure, Image, Job, images_of
from imgsearch.storage.store import MAX_BYTES
from tests.django import filling
from tests.django.filling import photo, point, shop
from tests.django.shop.models import Garment, Product, Shot


class RefusingStorage(FileSystemStorage):
    """A bucket whose key has expired: it takes files and gives none back."""

    def _open(self, name: str, mode: str = "rb") -> Any:
        raise PermissionError(13, "Access denied", name)


def saved(content: bytes | None = None, **fields: Any) -> Product:
    file = ContentFile(photo(9, 9, 9) if content is None else content, name="shoe.jpg")
    return Product.objects.create(store=shop(), photo=file, **fields)


def failure() -> Failure:
    return Failure.objects.get()


class Broken(TestCase):
    """Inside the transaction of a request."""

    def mended(self, product: Product) -> None:
        """A later good save mends it: the picture waits, and is found."""
        again = Product.objects.get(pk=product.pk)
        again.save()
        [image] = images_of(product)
        assert image.state == "pending"
        assert not Failure.objects.exists()
        assert filling.embed_waiting(lambda *_: point(0, 0)) == 1
        assert Product.objects.similar_to(point(0, 0)).get() == product

    def test_a_file_that_is_no_picture(self) -> None:
        made = saved(b"no picture at all")
        assert Product.objects.get(pk=made.pk)
        found = failure()
        assert (found.tenant_id, found.product_id, found.error_code) == ("acme", str(made.pk), "not_a_picture")
        assert "save the row again" in found.error
        assert "imgsearch_backfill shop.Product" in found.error
        Path(made.photo.path).write_bytes(photo(1, 2, 3))
        self.mended(made)

    def test_a_file_that_is_missing_while_only_the_price_changes(self) -> None:
        Product.objects.bulk_create([Product(store=shop(), name="old", photo="gone.jpg")])
        old = Product.objects.get(name="old")
        old.price = 3
        old.save()
        assert Product.objects.get(name="old").price == 3
        assert failure().error_code == "missing"
        assert "gone.jpg" in failure().error
        folder = Path(project_settings.MEDIA_ROOT)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "gone.jpg").write_bytes(photo(1, 2, 3))
        self.mended(old)

    def test_a_storage_that_refuses(self) -> None:
        storage = Product._meta.get_field("photo").storage
        Product._meta.get_field("photo").storage = RefusingStorage()
        try:
            made = saved()
        finally:
            Product._meta.get_field("photo").storage = storage
        assert failure().error_code == "unreadable"
        assert "Access denied" in failure().error
        self.mended(made)

    def test_a_file_that_is_too_large(self) -> None:
        made = saved()
        with Path(made.photo.path).open("ab") as file:
            file.truncate(MAX_BYTES + 100)
        made.photo.name = made.photo.name  # the same file
        Image.objects.all().delete()
        made.save()
        assert failure().error_code == "too_many_bytes"
        Path(made.photo.path).write_bytes(photo(3, 2, 1))
        self.mended(made)

    def test_a_worse_photo_takes_the_place_of_a_good_one(self) -> None:
        made = saved()
        filling.embed_waiting(lambda *_: point(0, 0))
        made.photo = ContentFile(b"", name="empty.jpg")
        made.save()
        assert failure().error_code == "empty"
        assert not Product.objects.similar_to(point(0, 0)).exists(), "what the shop no longer shows is not found"
        made.photo = ContentFile(photo(4, 4, 4), name="good.jpg")
        made.save()
        self.mended(made)

    def test_a_picture_that_was_tried_again_by_hand_says_the_same(self) -> None:
        saved(b"no picture")
        with connection.cursor() as cursor:
            cursor.execute("SELECT imgsearch.requeue()")
        assert Job.objects.get().state == "pending"

    def test_our_own_database_objects_may_be_gone(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE imgsearch.image RENAME TO picture")
        with self.assertLogs("imgsearch.django", "ERROR"):
            made = saved(name="kept")
            made.delete()
        assert not Product.objects.filter(name="kept").exists()
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE imgsearch.picture RENAME TO image")

    def test_values_that_searches_cannot_hold(self) -> None:
        made = saved(price=-1, name="n" * 5000)
        [image] = images_of(made)
        assert (image.price, image.state) == (None, "pending")
        made.price = 2
        made.save()
        assert images_of(made).get().price == 2

    def test_a_delete_that_saves_its_siblings(self) -> None:
        garment = Garment.objects.create(name="shirt")
        shots = [Shot.objects.create(garment=garment, display_order=n, file=_file(n)) for n in range(3)]
        Path(shots[1].file.path).unlink()
        Image.objects.filter(product_id=f"garment:{garment.pk}", position=1).delete()
        shots[0].delete()
        assert Shot.objects.count() == 2
        assert failure().error_code == "missing"
        assert sorted(Image.objects.values_list("position", flat=True)) == [0, 1]


class WithoutTransaction(TransactionTestCase):
    """In autocommit: the row was committed before the picture was looked at."""

    def tearDown(self) -> None:
        Image.objects.all().delete()

    def test_the_row_stays_and_the_failure_with_it(self) -> None:
        made = saved(b"no picture")
        with psycopg.connect(driver(connection).info.dsn) as other:
            [(code, product)] = other.execute("SELECT error_code, product_id FROM imgsearch.failures").fetchall()
        assert (code, product) == ("not_a_picture", str(made.pk))
        made.delete()
        assert not Image.objects.exists()

    def test_an_outer_transaction_goes_on(self) -> None:
        with transaction.atomic():
            saved(b"no picture", name="one")
            with transaction.atomic():
                saved(b"no picture either", name="two")
                transaction.set_rollback(True)
            saved(name="three")
        assert sorted(Product.objects.values_list("name", flat=True)) == ["one", "three"]
        assert Failure.objects.count() == 1
        Product.objects.all().delete()

    def test_the_backfill_mends_and_says_what_it_could_not(self) -> None:
        bad, good = saved(b"no picture"), saved(b"nor this")
        Path(good.photo.path).write_bytes(photo(1, 1, 1))
        call_command("imgsearch_backfill", "shop.Product", verbosity=0)
        assert [one.product_id for one in Failure.objects.all()] == [str(bad.pk)]
        Product.objects.all().delete()

    def test_a_conflict_is_the_callers_to_try_again(self) -> None:
        with (
            patch("imgsearch.django.uploads.put", side_effect=_conflict),
            pytest.raises(Exception, match="serialize"),
            transaction.atomic(),
        ):
            saved(name="again")
        assert not Product.objects.exists()


def _conflict(*_: Any, **__: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'could not serialize' USING ERRCODE = '40001'; END $$")


def _file(n: int) -> ContentFile:
    return ContentFile(photo(n * 40, 0, 0), name=f"shot{n}.jpg")
