"""Models as other packages have them: composite keys, their own querysets, tables of another app that are attached."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as project_settings
from django.core import checks
from django.core.files.base import ContentFile
from django.db import connection
from django.db.migrations.state import ProjectState
from django.db.models import Count
from django.test import TestCase, TransactionTestCase, override_settings

from imgsearch import search
from imgsearch.django import AttachImgsearch, DetachImgsearch, image_search, refilter, searchable
from imgsearch.django.mapping import mapping_for
from imgsearch.django.models import Image, images_of
from imgsearch.errors import UsageError
from tests.django import filling
from tests.django.filling import photo, point
from tests.django.shop.models import Garment, Print, Product, Record, Shot, Stall, Tag


def run(operation: Any, *, app_label: str = "host", back: bool = False) -> None:
    """Run one operation as a migration of another app would."""
    state = ProjectState.from_apps(apps)
    with connection.schema_editor() as editor:
        (operation.database_backwards if back else operation.database_forwards)(app_label, editor, state, state)


class Keys(TestCase):
    def test_a_decomposed_key_finds_its_images(self) -> None:
        store = filling.shop()
        filling.space()
        for code in ("Cafe\u0301", "plain"):
            Stall.objects.create(market=store, code=code, price=5, photo=ContentFile(photo(9, 0, 0), name="s.jpg"))
        stall = Stall.objects.get(code="Cafe\u0301")
        assert images_of(stall).get().product_id == f"stall:{store.pk}/Caf\xe9"
        filling.embed_waiting(lambda product, _: point(0.2 * product.endswith("plain"), 0))
        rows = image_search(Stall.objects.cheap())
        assert list(rows.similar_to(point(0, 0))[:1]) == [stall]
        assert list(rows.filter(code="Cafe\u0301").similar_to(point(0, 0))) == [stall]
        hits = search(connection, point(0, 0), k=1, product_ids=[f"stall:{store.pk}/Cafe\u0301"])
        assert list(rows.in_order_of(hits)) == [stall]
        stall.delete()
        assert Image.objects.filter(product_id__endswith="Caf\xe9").count() == 0

    def test_a_key_in_two_forms_is_refused(self) -> None:
        with self.assertLogs("imgsearch.django", "ERROR") as logs:
            Stall.objects.create(
                market=filling.shop(), code="\xe9 e\u0301", price=5, photo=ContentFile(photo(9, 0, 0), name="s.jpg")
            )
        assert "some letters composed" in logs.output[0]
        assert Image.objects.count() == 0

    def test_rows_of_a_decomposed_tenant_are_found(self) -> None:
        filling.space()
        product = filling.product(filling.shop("cafe\u0301"))
        product.photo.save("a.jpg", ContentFile(photo(9, 0, 0)))
        filling.embed_waiting(lambda *_: point(0, 0))
        hits = search(connection, point(0, 0), k=1, tenant="cafe\u0301")
        assert [hit.tenant_id for hit in hits] == ["caf\xe9"]
        assert list(Product.objects.in_order_of(hits)) == [product]
        assert list(Product.objects.filter(store__slug="cafe\u0301").similar_to(point(0, 0))) == [product]

    def test_a_key_of_two_columns(self) -> None:
        filling.space()
        store = filling.shop()
        made = [
            Stall.objects.create(market=store, code=code, price=n, photo=ContentFile(photo(n * 30, 0, 0), name="s.jpg"))
            for n, code in enumerate(("a/b", "a%2Fb", "plain", "with space"))
        ]
        assert images_of(made[0]).get().product_id == f"stall:{store.pk}/a%2Fb"
        places = {one: n for n, one in enumerate(images_of(row).get().product_id for row in made)}
        filling.embed_waiting(lambda product, _: point(0.2 * places[product], 0))
        rows = image_search(Stall.objects.cheap())
        assert [row.code for row in rows.similar_to(point(0, 0))[:3]] == ["a/b", "a%2Fb", "plain"]
        assert {row.code for row in rows.similar_to(made[1])[:2]} == {"a/b", "plain"}
        assert rows.filter(price__gt=1).similar_to(point(0, 0)).count() == 2
        assert rows.similar_to(point(0, 0)).last() == made[3]
        hits = search(connection, point(0, 0), k=4)
        assert [hit.product_id for hit in hits] == [images_of(row).get().product_id for row in made]
        assert list(rows.in_order_of(hits)) == [row for row in made if row.price < 10]
        assert list(rows.filter(price__gt=1).in_order_of(reversed(hits))) == [made[3], made[2]]
        strange = [replace(hits[0], product_id=f"stall:{one}") for one in ("1", "x/y", "1/2/3")]
        assert list(rows.in_order_of(strange)) == [], "no keys of these"
        made[2].price = 50
        made[2].save()
        assert images_of(made[2]).get().price == 50
        made[0].delete()
        assert Image.objects.count() == 3


class Querysets(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        filling.space()
        cls.tag = Tag.objects.create(name="red")
        for n in range(4):
            made = filling.product(filling.shop(), name=f"n{n}")
            made.photo = ContentFile(photo(n * 30, 0, 0), name="s.jpg")
            made.save()
            made.tags.set([cls.tag] if n % 2 else [])
        places = {str(row.pk): n for n, row in enumerate(Product.objects.order_by("pk"))}
        filling.embed_waiting(lambda product, _: point(0.2 * places[product], 0))

    def test_a_queryset_of_somebody_elses(self) -> None:
        for rows in (self.tag.product_set, self.tag.product_set.all()):
            assert [row.name for row in image_search(rows).similar_to(point(0, 0))] == ["n1", "n3"]
        stalls = image_search(Stall.objects.all())
        assert type(stalls).__name__ == "PicturedRows"
        assert not stalls.cheap().similar_to(point(0, 0)).exists()
        again = pickle.loads(pickle.dumps(image_search(Product.objects.all()).similar_to(point(0, 0))[:2]))  # noqa: S301
        assert [row.name for row in again] == ["n0", "n1"]
        assert pickle.loads(pickle.dumps(stalls.filter(price=3))).count() == 0  # noqa: S301
        counted = image_search(self.tag.product_set).similar_to(point(0, 0)).values("category").annotate(n=Count("pk"))
        assert [row["n"] for row in counted] == [2]

    def test_a_model_of_another_package_is_made_searchable_when_apps_are_ready(self) -> None:
        assert mapping_for(Tag).photo is None
        try:
            searchable(photo="name", prefix="tag:")(Tag)
            Tag.objects.create(name="https://example.com/a.jpg")
            assert Image.objects.filter(product_id__startswith="tag:").get().uri == "https://example.com/a.jpg"
        finally:
            del Tag._imgsearch


class OfAnotherApp(TransactionTestCase):
    """A migration of an app "host" attaches tables of the app "shop"."""

    prints = AttachImgsearch("print", app_label="shop", image="address", price="price", prefix="print:")
    garments = AttachImgsearch(
        "garment",
        app_label="shop",
        pictures="shot",
        picture_of="garment",
        image="file",
        ordinal="display_order",
        main="cover",
        owner="parent",
        title="name",
        price="(SELECT min(r.price) FROM shop_record r WHERE r.garment_id = shop_garment.id)",
        follow={"shop_record": None},
        base="https://cdn.example.com/media",
        prefix="attached:",
    )

    def tearDown(self) -> None:
        for operation in (self.prints, self.garments):
            run(operation, back=True)
        Image.objects.all().delete()

    def test_its_table_is_attached_and_a_column_that_is_mapped_can_be_altered(self) -> None:
        run(self.prints)
        Print.objects.bulk_create([Print(name="a", address="https://example.com/a.jpg", price=3)])
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE shop_print ALTER COLUMN price TYPE bigint")
        Print.objects.update(price=4)
        assert Image.objects.get().price == 4
        run(DetachImgsearch("print", app_label="shop", keep=True))
        Print.objects.update(price=5)
        assert Image.objects.get().price == 4, "kept as it was"
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE shop_print ALTER COLUMN price TYPE integer")
        run(self.prints)
        assert Image.objects.get().price == 5
        run(DetachImgsearch("print", app_label="shop"))
        assert not Image.objects.exists()

    def test_pictures_of_variants_and_prices_of_another_table(self) -> None:
        shirt = Garment.objects.create(name="shirt")
        red = Garment.objects.create(name="red", parent=shirt)
        run(self.garments)
        Shot.objects.bulk_create([Shot(garment=red, file="r.jpg"), Shot(garment=shirt, file="s.jpg", cover=True)])
        attached = Image.objects.filter(product_id__startswith="attached:").order_by("position")
        assert [(one.uri[-5:], one.product_id[9:]) for one in attached] == [
            ("s.jpg", str(shirt.pk)),
            ("r.jpg", str(shirt.pk)),
        ]
        Record.objects.create(garment=shirt, price=8)
        assert set(attached.values_list("price", flat=True)) == {None}
        assert refilter(shirt) == 2
        assert set(attached.values_list("price", flat=True)) == {8}
        assert refilter(Garment.objects.all()) == 0
        Garment.objects.all().delete()

    def test_what_the_migration_does_not_know_says_what_to_write(self) -> None:
        with pytest.raises(UsageError, match=r'dependencies = \[\("host", "0001_initial"\)'):
            run(AttachImgsearch("print", image="address"))
        with pytest.raises(UsageError, match="app_label"):
            run(DetachImgsearch("nothing", app_label="shop"))

    def test_local_files_that_workers_may_not_read_are_told_at_once(self) -> None:
        media = Path(project_settings.MEDIA_ROOT)
        local = AttachImgsearch("print", app_label="shop", image="address", base=media.as_uri(), prefix="print:")
        with pytest.warns(RuntimeWarning, match="IMGSEARCH_FETCH_FOLDERS"):
            run(local)
        assert "imgsearch.W008" in [one.id for one in checks.run_checks(databases=["default"])]
        with override_settings(IMGSEARCH={**project_settings.IMGSEARCH, "FETCH_FOLDERS": str(media.parent)}):
            assert "imgsearch.W008" not in [one.id for one in checks.run_checks(databases=["default"])]
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                run(local)
