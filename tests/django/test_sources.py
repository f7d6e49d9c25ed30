"""A row's images are where the row is: whatever changed its tenant, and whoever deletes it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.apps import apps
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.state import ProjectState
from django.test import TestCase

from imgsearch.django import AttachImgsearch, add, change, image_search, refilter, remove
from imgsearch.django.management.commands import imgsearch as command
from imgsearch.django.models import Image, images_of
from imgsearch.errors import UsageError
from tests.django import filling
from tests.django.filling import photo, point, shop
from tests.django.shop.models import Garment, Product, Shot


def saved(**fields: Any) -> Product:
    return Product.objects.create(store=shop("north"), photo=ContentFile(photo(200, 0, 0), name="p.jpg"), **fields)


def there() -> list[tuple[str, str, int]]:
    return sorted(Image.objects.values_list("tenant_id", "product_id", "position"))


def checked(model: str = "shop.Product") -> str:
    try:
        call_command("imgsearch_backfill", model, check=True, stdout=io.StringIO())
    except CommandError as error:
        return str(error)
    return ""


class Moved(TestCase):
    """Ways to change a tenant × ways to go on."""

    def setUp(self) -> None:
        self.row = saved(name="Samba")
        add(self.row, photo(0, 0, 200), position=1)
        self.key = str(self.row.pk)
        shop("south")

    def moved_by_update(self) -> Product:
        Product._base_manager.filter(pk=self.row.pk).update(store=shop("south"))
        return Product.objects.get(pk=self.row.pk)

    def in_south(self) -> None:
        assert there() == [("south", self.key, 0), ("south", self.key, 1)]

    def test_save(self) -> None:
        self.row.store = shop("south")
        self.row.save()
        self.in_south()
        with connection.cursor() as cursor:
            cursor.execute("SELECT tenant_id, title FROM imgsearch.product")
            assert cursor.fetchall() == [("south", "Samba")]
        self.row.delete()
        assert there() == []

    def test_save_with_the_storage_down(self) -> None:
        Path(self.row.photo.path).unlink()
        self.row.store = shop("south")
        self.row.save()
        self.in_south()
        assert not Image.objects.filter(sha256=None).exists()

    def test_update_of_our_queryset_is_followed(self) -> None:
        with self.assertNumQueries(1):
            Product.objects.filter(pk=self.row.pk).update(added=None)
        Product.objects.filter(pk=self.row.pk).update(store_id=shop("south").pk)
        self.in_south()
        row = Product.objects.get(pk=self.row.pk)
        row.store = shop("north")
        Product.objects.bulk_update([row], ["store"])
        assert {tenant for tenant, _, _ in there()} == {"north"}

    def test_update_and_then_delete(self) -> None:
        self.moved_by_update().delete()
        assert there() == []

    def test_update_and_then_any_way_to_write(self) -> None:
        self.moved_by_update().save()
        self.in_south()
        for way in (
            lambda row: refilter(row),
            lambda row: refilter(Product.objects.filter(pk=row.pk)),
            lambda row: change(row, price=3),
            lambda row: add(row, photo(0, 0, 200), position=1),
            lambda row: call_command("imgsearch_backfill", "shop.Product", stdout=io.StringIO()),
        ):
            Product._base_manager.filter(pk=self.row.pk).update(store=shop("north"))
            Product.objects.get(pk=self.row.pk).save()
            assert {tenant for tenant, _, _ in there()} == {"north"}
            way(self.moved_by_update())
            self.in_south()

    def test_update_and_then_remove(self) -> None:
        assert len(remove(self.moved_by_update())) == 2
        assert there() == []

    def test_a_tenant_set_in_memory_alone_moves_nothing(self) -> None:
        self.row.store = shop("south")
        self.row.save(update_fields=["price"])
        assert {tenant for tenant, _, _ in there()} == {"north"}

    def test_a_row_without_a_tenant_is_in_none(self) -> None:
        self.row.store = None
        with self.assertLogs("imgsearch.django", "ERROR"):
            from imgsearch.django import signals

            with pytest.raises(Exception, match="no tenant"):
                signals.catch_up(self.row, "default")
        assert there() == []

    def test_check_says_what_is_out_of_step_and_backfill_mends_it(self) -> None:
        assert checked() == ""
        self.moved_by_update()
        assert "1 rows whose images stand in another tenant" in checked()
        assert {tenant for tenant, _, _ in there()} == {"north"}, "to check changes nothing"
        call_command("imgsearch_backfill", "shop.Product", stdout=io.StringIO())
        self.in_south()
        Product._base_manager.filter(pk=self.row.pk).update(category="boots")
        assert "1 rows whose images are filtered by old values" in checked()
        call_command("imgsearch_backfill", "shop.Product", stdout=io.StringIO())
        assert checked() == ""
        Product.objects.filter(pk=self.row.pk)._raw_delete("default")
        assert "1 images of rows that are gone" in checked()
        call_command("imgsearch_backfill", stdout=io.StringIO())
        assert there() == []

    def test_the_doctor_names_it(self) -> None:
        self.moved_by_update()
        with patch("subprocess.run") as ran:
            ran.return_value.returncode = 0
            assert command.run(["doctor"]) == 1
            self.row.delete()
            assert command.run(["doctor"]) == 0

    def test_a_table_that_is_attached_later_has_no_image_twice(self) -> None:
        state = ProjectState.from_apps(apps)
        attach = AttachImgsearch("product", image="photo", base="https://cdn.example.com", prefix="p:")
        with patch("imgsearch.django.operations.is_ours", return_value=True), connection.schema_editor() as editor:
            attach.database_forwards("shop", editor, state, state)
        assert there() == [("default", f"p:{self.key}", 0)]
        with connection.cursor() as cursor:
            cursor.execute("SELECT imgsearch.detach('shop_product')")


class OfAnother(TestCase):
    """Pictures in a table of their own follow the tenant of their product."""

    def test_an_owner_that_changes_its_tenant(self) -> None:
        garment = Garment.objects.create(name="shirt")
        shots = [
            Shot.objects.create(garment=garment, file=ContentFile(photo(n * 40, 0, 0), name="s.jpg")) for n in range(2)
        ]
        key, mapping = f"garment:{garment.pk}", Garment._imgsearch
        Garment._imgsearch = replace(mapping, tenant="name")
        try:
            Path(shots[0].file.path).unlink()
            garment.save()
            assert there() == [("shirt", key, 0), ("shirt", key, 1)]
            Garment.objects.update(name="coat")
            assert "2 rows whose images stand" in checked("shop.Shot")
            call_command("imgsearch_backfill", stdout=io.StringIO())
            assert there() == [("coat", key, 0), ("coat", key, 1)]
            Garment.objects.update(name="hat")
            Garment.objects.get().delete()
            assert there() == []
        finally:
            Garment._imgsearch = mapping


class Refused(TestCase):
    def test_what_is_no_queryset(self) -> None:
        with pytest.raises(UsageError, match="is no queryset"):
            image_search([1, 2])

    def test_two_attached_tables_with_the_same_keys(self) -> None:
        with connection.cursor() as cursor:
            for schema in ("a", "b"):
                cursor.execute(f"CREATE SCHEMA {schema}")
                cursor.execute(f"CREATE TABLE {schema}.product (id integer PRIMARY KEY, photo text)")
            attach = "SELECT imgsearch.attach(%s, key => 'id', image => 'photo', base => 'https://cdn.example.com')"
            cursor.execute(attach, ["a.product"])
            with pytest.raises(Exception, match="could meet those of"):
                cursor.execute(attach, ["b.product"])

    def test_the_same_model_in_two_schemas(self) -> None:
        """Same key, same prefix, same tenant: the second is refused, and the first stays as it is."""
        first = saved(name="first")
        uri = images_of(first).get().uri
        with connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA b; CREATE TABLE b.shop_product (LIKE public.shop_product INCLUDING ALL)")
            cursor.execute("SET LOCAL search_path = b, public")
        with self.assertLogs("imgsearch.django", "ERROR") as log:
            second = Product(pk=first.pk, store=first.store, photo=ContentFile(photo(0, 200, 0), name="b.jpg"))
            second.save(force_insert=True)
        assert "name the tenant" in str(log.output)
        assert images_of(first).get().uri == uri
        with connection.cursor() as cursor:
            cursor.execute("SELECT error FROM imgsearch.failures")
            assert "of schema public already" in str(cursor.fetchall())
        second.delete()
        assert images_of(first).get().uri == uri


class Counting(FileSystemStorage):
    """Overwrites, counts what is opened, and refuses where it is told to."""

    opened = 0
    down = False

    def __init__(self) -> None:
        super().__init__(allow_overwrite=True)

    def _open(self, name: str, mode: str = "rb") -> Any:
        type(self).opened += "w" not in mode
        if self.down:
            raise OSError(5, "the storage is down", name)
        return super()._open(name, mode)


class SameName(TestCase):
    def setUp(self) -> None:
        field = Product._meta.get_field("photo")
        before, field.storage = field.storage, Counting()
        self.addCleanup(setattr, field, "storage", before)
        self.addCleanup(setattr, Counting, "down", False)
        self.row = saved()
        filling.embed_waiting(lambda *_: point(0, 0))
        self.red = images_of(self.row).get().sha256
        Counting.opened = 0

    def test_another_picture_under_the_same_name_is_another_picture(self) -> None:
        blue = ContentFile(photo(0, 0, 200), name="p.jpg")
        fresh = Product.objects.get(pk=self.row.pk)
        for n, write in enumerate(
            (
                lambda row, file: (setattr(row, "photo", file), row.save()),
                lambda row, file: row.photo.save("p.jpg", file),
                lambda row, file: (row.photo.save("p.jpg", file, save=False), row.save()),
                lambda row, file: (setattr(row, "photo", file), row.save(update_fields=["photo"])),
            )
        ):
            for row in (self.row, fresh, Product.objects.only("price").get(pk=self.row.pk)):
                file = ContentFile(photo(n * 20, 0, 200), name="p.jpg") if n else blue
                before = images_of(self.row).get().sha256
                write(row, ContentFile(photo(255, 255, 0), name="p.jpg"))
                assert images_of(self.row).get().sha256 != before
                write(row, file)
            assert fresh.photo.name == self.row.photo.name

    def test_a_price_opens_no_file_and_loses_no_vector(self) -> None:
        Counting.down = True
        rows = Product.objects.filter(pk=self.row.pk)
        for load in (
            lambda: rows.get(),
            lambda: rows.only("price").get(),
            lambda: rows.defer("photo").get(),
            lambda: self.row,
            lambda: self.row.refresh_from_db() or self.row,
        ):
            for fields in (None, ["price"]):
                row = load()
                row.price = row.price + 1
                row.save(update_fields=fields)
        assert Counting.opened == 0
        image = images_of(self.row).get()
        assert (image.sha256, image.state, image.price) == (self.red, "ready", float(self.row.price))
