"""What docs/guide-django.md promises beside its steps."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.test import RequestFactory, TestCase

from imgsearch.dev.testing import embed
from imgsearch.django import refilter
from imgsearch.django.models import Image
from imgsearch.django.refusals import Refusals
from imgsearch.errors import PictureError
from tests.django.filling import photo, shop
from tests.django.shop.models import Garment, Product, Record, Shot
from tests.test_readme import ROOT, blocks

BEFORE = """
from django.contrib import admin
from django.core.paginator import Paginator
from django.db import models as real
from django.db.models.signals import post_save
from django.dispatch import receiver
from imgsearch.dev.testing import embed
from imgsearch.django import refilter, searchable
from imgsearch.django.operations import AttachImgsearch
class models:
    class Model(real.Model):
        photo = real.FileField()
        class Meta:
            abstract, app_label = True, "guide"
def render(request, template, shown):
    return shown
"""
PACKAGE = """
class Product(real.Model):
    parent = real.ForeignKey("self", real.CASCADE, null=True)
    price, available = real.IntegerField(), real.BooleanField()
    class Meta:
        app_label = "package"
class ProductImage(real.Model):
    product = real.ForeignKey(Product, real.CASCADE)
    original, display_order = real.FileField(), real.IntegerField()
    class Meta:
        app_label = "package"
"""


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

    def test_every_block_runs(self) -> None:
        """In order, in one namespace; the models that the guide writes are of an app that has no tables."""
        product = Product.objects.create(store=shop(), name="samba", photo=ContentFile(photo(9, 0, 0), name="p.jpg"))
        embed(connection, texts=["adidas samba 44"])
        known: dict[str, Any] = {"product": product, "StockRecord": Record}
        exec(BEFORE, known)  # noqa: S102 - our own guide is what is tested
        theirs = type(admin.site.get_model_admin(Product))
        admin.site.unregister(Product)
        try:
            for block in blocks("py", (ROOT / "docs/guide-django.md").read_text()):
                if "of a package" in block:
                    exec(PACKAGE + block, dict(known))  # noqa: S102
                else:
                    exec(block, known)  # noqa: S102
                if "class Product(" in block:
                    known["Product"] = Product  # the same with a table
                elif "def search(" in block:
                    page = known["search"](RequestFactory().get("/", {"q": "adidas samba 44"}))["page"]
                    assert [one.pk for one in page] == [product.pk]
                    refused = Refusals(known["search"])
                    bad = SimpleUploadedFile("x.jpg", b"a text that is no picture")
                    request = RequestFactory().post("/", {"photo": bad})
                    with pytest.raises(PictureError) as raised:
                        known["search"](request)
                    answer = refused.process_exception(request, raised.value)
                    assert answer is not None
                    assert 400 <= answer.status_code < 500
        finally:
            post_save.disconnect(known.get("priced"), sender=Record)
            admin.site.unregister(Product)
            admin.site.register(Product, theirs)
        assert "imgsearch.django" in known["INSTALLED_APPS"]
        assert "imgsearch.django.refusals.Refusals" in known["MIDDLEWARE"]
        assert known["rows"] == {int(hit.product_id): product for hit in known["hits"]}
        assert known["ProductAdmin"].list_display == ("name", "price")
