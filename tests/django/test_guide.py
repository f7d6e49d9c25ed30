"""What docs/guide-django.md promises beside its steps."""

from __future__ import annotations

from typing import Any

from django.core.files.base import ContentFile
from django.db import connection
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.test import TestCase

from imgsearch.dev.testing import embed
from imgsearch.django import refilter
from imgsearch.django.models import Image
from tests.django.filling import photo, shop
from tests.django.shop.models import Garment, Product, Record, Shot


class Promised(TestCase):
    def test_one_line_gives_a_space_and_vectors(self) -> None:
        made = [
            Product.objects.create(store=shop(), name=f"n{n}", photo=ContentFile(photo(n * 30, 0, 0), name="p.jpg"))
            for n in range(3)
        ]
        assert embed(connection, texts={"crimson shoe": str(made[1].pk)}) == 3
        assert Product.objects.similar_to("crimson shoe").first() == made[1]

    def test_a_stock_record_that_is_saved_changes_the_images_of_its_product(self) -> None:
        @receiver(post_save, sender=Record)
        def priced(sender: Any, instance: Record, **kwargs: Any) -> None:
            refilter(instance.garment)

        try:
            shirt = Garment.objects.create(name="shirt")
            red = Garment.objects.create(name="red", parent=shirt)
            Shot.objects.create(garment=red, file=ContentFile(photo(1, 2, 3), name="s.jpg"))
            record = Record.objects.create(garment=red, price=30)
            record.price = 12
            record.save()
            assert Image.objects.get().price == 12
        finally:
            post_save.disconnect(priced, sender=Record)
