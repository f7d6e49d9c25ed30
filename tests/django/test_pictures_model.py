"""Pictures in a model of their own: they rank their product, variants' pictures what they are variants of."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.test import TestCase, TransactionTestCase

from imgsearch.django import refilter, searchable
from imgsearch.django.models import Image, Job, images_of
from imgsearch.django.queryset import ImageSearchQuerySet
from imgsearch.errors import UnknownImage, UsageError
from tests.django import filling
from tests.django.filling import photo, point
from tests.django.shop.models import Garment, Record, Shot


def shot(garment: Garment, n: int, order: int = 0, **fields: Any) -> Shot:
    file = ContentFile(photo(n * 20, 9, 9), name=f"shot{n}.jpg")
    return Shot.objects.create(garment=garment, display_order=order, file=file, **fields)


def uris(garment: Garment) -> dict[int, str]:
    return dict(images_of(garment).values_list("position", "uri"))


def uri(of: Shot) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.uri FROM imgsearch.picture_source s JOIN imgsearch.image i USING (tenant_id, image_id)"
            " WHERE s.source = %s",
            [f"shop.shot:{of.pk}"],
        )
        return str(cursor.fetchone()[0])


class OfAnother(TestCase):
    def setUp(self) -> None:
        self.shirt = Garment.objects.create(name="shirt")
        self.red = Garment.objects.create(name="red shirt", parent=self.shirt)
        self.blue = Garment.objects.create(name="blue shirt", parent=self.shirt)

    def order(self, *shots: Shot) -> None:
        assert uris(self.shirt) == {n: uri(one) for n, one in enumerate(shots)}

    def test_the_order_is_the_shops_and_need_not_be_unique(self) -> None:
        first, second, third = (shot(self.shirt, n) for n in range(3))
        self.order(first, second, third)
        Job.objects.all().delete()
        second.display_order = 5
        second.save()
        self.order(first, third, second)
        second.cover = True
        second.save()
        self.order(second, first, third)
        assert not Job.objects.exists(), "to sort pictures embeds none again"
        first.delete()
        self.order(second, third)

    def test_pictures_of_variants_rank_the_parent(self) -> None:
        own, red, blue = shot(self.shirt, 0), shot(self.red, 1), shot(self.blue, 2)
        self.order(own, red, blue)
        hat = Garment.objects.create(name="hat")
        shot(hat, 9)
        filling.embed_waiting(
            lambda product, position: point(0.3 * position, 1 if product == f"garment:{hat.pk}" else 0)
        )
        found = Garment.objects.filter(parent=None).similar_to(point(0.6, 0))
        assert [(row.name, row.position) for row in found] == [("shirt", 2), ("hat", 0)]
        assert found[0].image_uri == uri(blue)

    def test_a_variant_is_asked_by_its_own_picture_and_else_by_its_parents(self) -> None:
        shot(self.red, 1)
        hat = Garment.objects.create(name="hat")
        shot(hat, 9)
        filling.embed_waiting(lambda product, _: point(0, 1 if product == f"garment:{hat.pk}" else 0))
        for asked in (self.red, self.blue, self.shirt):
            assert [row.name for row in Garment.objects.filter(parent=None).similar_to(asked)] == ["hat"]
        alone = Garment.objects.create(name="alone")
        with pytest.raises(UnknownImage):
            list(Garment.objects.similar_to(alone))

    def test_a_picture_row_is_a_question_and_its_product_no_answer(self) -> None:
        red = shot(self.red, 1)
        hat = Garment.objects.create(name="hat")
        shot(hat, 9)
        filling.embed_waiting(lambda product, _: point(0, 1 if product == f"garment:{hat.pk}" else 0))
        assert [row.name for row in Garment.objects.filter(parent=None).similar_to(red)] == ["hat"]

    def test_variants_are_found_by_the_pictures_of_their_parent(self) -> None:
        shot(self.shirt, 1)
        hat = Garment.objects.create(name="hat")
        small = Garment.objects.create(name="small hat", parent=hat)
        shot(hat, 9)
        filling.embed_waiting(lambda product, _: point(0, 1 if product == f"garment:{hat.pk}" else 0))
        variants = Garment.objects.filter(parent__isnull=False).similar_to(point(0, 1))
        assert variants[0] == small
        assert {row.name for row in variants} == {"small hat", "red shirt", "blue shirt"}
        assert variants.count() == 3
        assert [row.name for row in variants.filter(name__startswith="blue")] == ["blue shirt"]

    def test_values_are_the_products_and_follow_a_record_of_another_table(self) -> None:
        shot(self.red, 1)
        record = Record.objects.create(garment=self.red, price=30)
        assert set(Image.objects.values_list("price", "in_stock")) == {(None, False)}
        assert refilter(record.garment) == 1
        assert set(Image.objects.values_list("price", "in_stock")) == {(30, True)}
        Record.objects.create(garment=self.blue, price=20)
        self.blue.save()
        assert set(Image.objects.values_list("price", flat=True)) == {20}, "the parent of what was saved"
        Record.objects.all().delete()
        assert refilter(Garment.objects.all()) == 1
        assert refilter(Garment.objects.all()) == 0
        assert set(Image.objects.values_list("price", "in_stock")) == {(None, False)}
        with pytest.raises(UsageError, match="queryset"):
            refilter([self.red])

    def test_what_moves_takes_its_pictures_along(self) -> None:
        red, other = shot(self.red, 1), Garment.objects.create(name="other")
        self.red.parent = other
        self.red.save()
        assert (uris(self.shirt), uris(other)) == ({}, {0: uri(red)})
        red.garment = self.shirt
        red.save()
        assert (uris(self.shirt), uris(other)) == ({0: uri(red)}, {})
        red.file = ""
        red.save()
        assert not Image.objects.exists()

    def test_what_goes_takes_them_too(self) -> None:
        shot(self.red, 1), shot(self.shirt, 2)
        self.red.delete()
        assert list(uris(self.shirt)) == [0]
        self.shirt.delete()
        assert not Image.objects.exists()

    def test_rows_that_were_there_before(self) -> None:
        made = shot(self.red, 1), shot(self.shirt, 2)
        Image.objects.all().delete()
        call_command("imgsearch_backfill", "shop.Shot", verbosity=0)
        self.order(*made)

    def test_what_makes_no_sense_says_so(self) -> None:
        with pytest.raises(UsageError, match="needs the photo"):
            searchable(of="garment")
        with pytest.raises(UsageError, match="price: searches filter on what the product says"):
            searchable(of="garment", photo="file", price="price")
        with pytest.raises(UsageError, match="go with"):
            searchable(photo="file", position="display_order")
        with pytest.raises(UsageError, match="rank Garment"):
            ImageSearchQuerySet(Shot).similar_to(point(0, 0))


class AtOnce(TransactionTestCase):
    def tearDown(self) -> None:
        Image.objects.all().delete()

    def test_two_uploads_to_one_product_at_once(self) -> None:
        shirt = Garment.objects.create(name="shirt")
        started, errors = threading.Barrier(4), []

        def upload(n: int) -> None:
            try:
                with transaction.atomic():
                    started.wait(20)
                    shot(shirt, n)
            except Exception as error:  # noqa: BLE001
                errors.append(error)
            finally:
                connections.close_all()

        threads = [threading.Thread(target=upload, args=(n,)) for n in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert not errors
        assert list(uris(shirt)) == [0, 1, 2, 3]
        Garment.objects.all().delete()
