"""Saving an instance adds its picture in the same transaction; what is rolled back or deleted leaves nothing."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project_settings
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase

from imgsearch.django import add, change, refilter, remove, site
from imgsearch.django.models import Failure, Image, Job, images_of
from imgsearch.errors import QueryError, UsageError
from tests.django import filling
from tests.django.filling import photo, point, shop
from tests.django.shop.models import Poster, Product


def upload(*colour: int) -> ContentFile:
    return ContentFile(photo(*colour), name="shoe.jpg")


def pictures(product: Any) -> Any:
    return images_of(product)


def called(product: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT title, words FROM imgsearch.product")
        return cursor.fetchall()


class Saved(TestCase):
    def test_saving_adds_the_picture_with_its_filters(self) -> None:
        with self.captureOnCommitCallbacks() as notices:
            made = Product.objects.create(store=shop(), price="39.90", brand="Quill", photo=upload(200, 0, 0))
        [image] = pictures(made)
        assert (image.tenant_id, image.category, image.price, image.in_stock) == ("acme", "shoes", 39.9, True)
        assert image.attributes == {"brand": "Quill"}
        assert image.state == "pending"
        assert len(notices) == 1
        assert site.store().get(image.uri) == photo(200, 0, 0)

    def test_a_price_change_reads_no_file_and_queues_nothing(self) -> None:
        made = Product.objects.create(store=shop(), photo=upload(200, 0, 0))
        filling.embed_waiting(lambda *_: point(0, 0))
        Path(made.photo.path).unlink()
        again = Product.objects.get(pk=made.pk)
        again.price, again.available = 12, False
        with self.captureOnCommitCallbacks() as notices:
            again.save()
        [image] = pictures(made)
        assert (image.price, image.in_stock, image.state) == (12.0, False, "ready")
        assert notices == []

    def test_what_the_model_does_not_say_stays_as_it_was_changed_by_hand(self) -> None:
        poster = Poster.objects.create(title="by hand")
        add(poster, photo(9, 9, 9))
        change(poster, price=7, attributes={"colour": "red"})
        assert refilter(poster) == 0
        made = Product.objects.create(store=shop(), brand="Quill", photo=upload(200, 0, 0))
        change(made, attributes={"colour": "red"})
        made.brand = ""
        made.save()
        assert pictures(made).get().attributes == {"brand": "", "colour": "red"}

    def test_pictures_change_places(self) -> None:
        poster = Poster.objects.create(title="three")
        for place in range(3):
            add(poster, photo(9 + 40 * place, 9, 9), position=place)
        before = [image.image_id for image in pictures(poster).order_by("position")]
        change(poster, order=[2])
        assert [image.image_id for image in pictures(poster).order_by("position")] == [before[2], *before[:2]]

    def test_words_follow_what_is_saved(self) -> None:
        made = Product.objects.create(store=shop(), name="Samba", brand="Adidas", photo=upload(200, 0, 0))
        assert called(made) == [("Samba", "Adidas shoes")]
        made.name = "Gazelle"
        made.save()
        assert called(made) == [("Gazelle", "Adidas shoes")]
        made.delete()
        assert called(made) == []

    def test_another_photo_replaces_the_picture(self) -> None:
        made = Product.objects.create(store=shop(), photo=upload(200, 0, 0))
        [before] = pictures(made)
        filling.embed_waiting(lambda *_: point(0, 0))
        made.photo = upload(0, 200, 0)
        made.save()
        [after] = pictures(made)
        assert after.pk == before.pk
        assert after.uri != before.uri
        assert after.state == "pending"
        made.photo = ""
        made.save()
        assert not pictures(made).exists()

    def test_deleting_takes_the_pictures_along(self) -> None:
        made = Product.objects.create(store=shop(), photo=upload(200, 0, 0))
        add(made, photo(0, 0, 200), position=1)
        assert pictures(made).count() == 2
        Product.objects.filter(pk=made.pk).delete()
        assert Image.objects.count() == Job.objects.count() == 0

    def test_pictures_can_be_added_and_removed_by_hand(self) -> None:
        poster = Poster.objects.create(title="by hand")
        for place in range(3):
            add(poster, SimpleUploadedFile("p.jpg", photo(place * 50, 0, 0)), position=place)
        assert [image.tenant_id for image in pictures(poster)] == ["default"] * 3
        assert len(remove(poster, position=1)) == 1
        assert len(remove(poster)) == 2
        with pytest.raises(UsageError, match="save it first"):
            add(Product(), photo(1, 1, 1))

    def test_rows_that_were_there_before_are_caught_up(self) -> None:
        Product.objects.bulk_create(Product(store=shop(), name=f"n{n}", price=n) for n in range(4))
        folder = Path(project_settings.MEDIA_ROOT)
        folder.mkdir(parents=True, exist_ok=True)
        for n, content in enumerate((photo(1, 2, 3), photo(3, 2, 1), b"no picture")):
            (folder / f"old{n}.jpg").write_bytes(content)
            Product.objects.filter(name=f"n{n}").update(photo=f"old{n}.jpg")
        for wanted in ("2 images added, 1 refused", "0 images added, 1 refused"):
            said, complained = io.StringIO(), io.StringIO()
            call_command("imgsearch_backfill", "shop.Product", stdout=said, stderr=complained)
            assert wanted in said.getvalue()
            assert complained.getvalue().count("\n") == 1
        assert Image.objects.count() == 3
        assert "backfill shop.Product" in Failure.objects.get().error
        with pytest.raises(CommandError, match="names no picture"):
            call_command("imgsearch_backfill", "shop.Store")

    def test_only_what_can_be_asked_is_asked(self) -> None:
        for odd in (object(), 3, Product()):
            with pytest.raises(QueryError):
                Product.objects.similar_to(odd)


class RolledBack(TransactionTestCase):
    def tearDown(self) -> None:
        Image.objects.all().delete()

    def test_a_rolled_back_save_leaves_nothing(self) -> None:
        store = shop()
        with transaction.atomic():
            Product.objects.create(store=store, photo=upload(9, 9, 200))
            assert Image.objects.count() == 1
            transaction.set_rollback(True)
        assert Image.objects.count() == Job.objects.count() == Product.objects.count() == 0

    def test_a_savepoint_is_enough(self) -> None:
        store = shop()
        with transaction.atomic():
            kept = Product.objects.create(store=store, photo=upload(9, 9, 200))
            with transaction.atomic():
                Product.objects.create(store=store, photo=upload(9, 99, 200))
                transaction.set_rollback(True)
        assert [image.product_id for image in Image.objects.all()] == [str(kept.pk)]
        kept.delete()
