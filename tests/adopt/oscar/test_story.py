"""A day in a shop on django-oscar: attached without a fork, then everything that happens to a catalogue.

One story: each test goes on where the one before it ended, and says after each step that nothing is out of step.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

pytest.importorskip("oscar", reason="django-oscar is not installed here: make adopt")
if settings.configured:  # by the tests of another project
    pytest.skip("Django has one project per process: make adopt", allow_module_level=True)

from tests.adopt.conftest import step
from tests.adopt.looking import eventually_ready, photo, sql
from tests.adopt.oscar.dashboard import saved, staff
from tests.adopt.oscar.looking import filters_of, in_step, pictures_of
from tests.processes import WorkerProcess


@pytest.fixture(scope="module")
def models(shop: Path) -> Any:
    from looks import filling

    return filling


def test_attach(models: Any) -> None:
    from django.core.management import call_command

    with step("attach by migration"):
        call_command("migrate", "looks", verbosity=0)
    in_step()
    family = models.Product.objects.filter(structure="parent", children__images__isnull=False).first()
    child = family.children.filter(images__isnull=False).first()
    assert sql("SELECT count(*) FROM imgsearch.image WHERE product_id = %s", str(child.pk)) == [(0,)]
    found = filters_of(family)
    assert found["title"] == family.title
    assert found["price"] == min(float(r.price) for c in family.children.all() for r in c.stockrecords.all())
    assert {"all", "new", "offers"} <= set(found["categories"])


def test_embed(models: Any, working: WorkerProcess) -> None:
    with step("a worker embeds them"):
        eventually_ready()
    in_step()


def test_upload(models: Any, working: WorkerProcess) -> None:
    product = models.product("A lamp that is all red")
    with step("upload two pictures of a new product, until they are found"):
        for n in range(2):  # both in place 0: Oscar does not say that places are unique
            models.ProductImage.objects.create(product=product, original=photo(250, n, n), display_order=0)
        in_step()
        eventually_ready()
    assert sorted(pictures_of(product)) == [0, 1]


def test_price_and_stock(models: Any) -> None:
    family = models.Product.objects.filter(structure="parent", children__images__isnull=False).first()
    record = models.StockRecord.objects.filter(product__parent=family).order_by("price").first()
    with step("a price changes: StockRecord.save()"):
        record.price = Decimal("0.99")
        record.save()
    assert filters_of(family)["price"] == 0.99
    in_step()
    with step("all prices change: StockRecord.objects.update()"):
        models.StockRecord.objects.update(price=Decimal("7.00"))
    in_step()
    assert sql("SELECT DISTINCT price FROM imgsearch.image WHERE price IS NOT NULL") == [(7.0,)]
    with step("sold out: allocate()"):
        for one in models.StockRecord.objects.filter(product__parent=family):
            one.allocate(one.num_in_stock)
    assert filters_of(family)["in_stock"] is False
    in_step()


def test_categories(models: Any) -> None:
    from oscar.apps.catalogue.categories import create_from_breadcrumbs

    lamp = models.Product.objects.get(title="A lamp that is all red")
    with step("put into a category"):
        models.ProductCategory.objects.create(
            product=lamp, category=create_from_breadcrumbs("All > Home > lamps > red lamps")
        )
    in_step()
    assert filters_of(lamp)["categories"] == ["all", "home", "lamps", "red-lamps"]
    home = create_from_breadcrumbs("All > Home")
    with step("a category is renamed"):
        home.slug = "house"
        home.save()
    in_step()
    assert "house" in filters_of(lamp)["categories"]
    with step("a branch of the tree moves"):
        home.move(create_from_breadcrumbs("Offers"), "first-child")
    in_step()
    assert filters_of(lamp)["categories"] == ["house", "lamps", "offers", "red-lamps"]


def test_an_ancestor_is_a_category(models: Any) -> None:
    lamp = models.Product.objects.get(title="A lamp that is all red")
    found = "SELECT DISTINCT product_id FROM imgsearch.search(imgsearch.vec_of(%s), category => 'red-lamps')"
    assert sql(found, pictures_of(lamp)[0]) == [(str(lamp.pk),)]


def test_variants(models: Any, working: WorkerProcess) -> None:
    parent = models.Product.objects.filter(structure="parent").last()
    with step("a new variant with a picture"):
        child = models.product("", structure="child", parent=parent)
        models.stock(child, 0.5)
        models.ProductImage.objects.create(product=child, original=photo(3, 250, 3), display_order=0)
    in_step()
    assert filters_of(parent)["price"] == 0.5
    other = models.Product.objects.filter(structure="parent").exclude(pk=parent.pk).first()
    with step("a variant goes to another family"):
        models.Product.objects.filter(pk=child.pk).update(parent=other)
    in_step()
    assert filters_of(other)["price"] == 0.5
    with step("a picture is deleted: Oscar numbers its siblings anew"):
        parent.images.first() and parent.images.first().delete()
    in_step()
    with step("the variant is deleted"):
        child.delete()
    in_step()
    with step("a family is deleted"):
        other.delete()
    in_step()


def test_dashboard(models: Any, working: WorkerProcess) -> None:
    client = staff()
    with step("the dashboard makes a product with two pictures"):
        made = saved(
            client,
            "/dashboard/catalogue/products/create/goods/",
            {
                "title": "Made in the dashboard",
                "upc": "1234567",
                "productcategory_set-0-category": models.ProductCategory.objects.first().category_id,
                "stockrecords-0-partner": models.Partner.objects.first().pk,
                "stockrecords-0-partner_sku": "d-1",
                "stockrecords-0-price": "12.50",
                "stockrecords-0-num_in_stock": "3",
                "images-0-original": photo(3, 3, 250),
                "images-1-original": photo(3, 60, 250),
            },
        )
    in_step()
    assert made.images.count() == 2
    assert filters_of(made)["price"] == 12.5
    with step("the dashboard changes its price, title and first picture"):
        address = f"/dashboard/catalogue/products/{made.pk}/"
        saved(
            client,
            address,
            {"title": "Changed", "stockrecords-0-price": "9.50", "images-0-original": photo(200, 200, 3)},
        )
    in_step()
    assert (filters_of(made)["title"], filters_of(made)["price"]) == ("Changed", 9.5)
    with step("the dashboard deletes a picture and the price"):
        saved(client, address, {"images-0-DELETE": "on", "stockrecords-0-DELETE": "on"})
    in_step()
    assert made.images.count() == 1
    assert filters_of(made)["price"] is None
    with step("the dashboard makes a variant of it"):
        child = saved(
            client,
            f"/dashboard/catalogue/products/{made.pk}/create-variant/",
            {
                "title": "Small",
                "upc": "1234568",
                "stockrecords-0-partner": models.Partner.objects.first().pk,
                "stockrecords-0-partner_sku": "d-2",
                "stockrecords-0-price": "4.50",
                "stockrecords-0-num_in_stock": "3",
                "images-0-original": photo(90, 3, 90),
            },
        )
    in_step()
    assert child.parent_id == made.pk
    assert filters_of(made)["price"] == 4.5
    eventually_ready()
    with step("the dashboard deletes the family"):
        answer = client.post(f"/dashboard/catalogue/products/{made.pk}/delete/")
        assert answer.status_code == 302, answer.content[-2000:]
    in_step()
    assert not models.Product.objects.filter(pk__in=[made.pk, child.pk]).exists()


def test_catalogue_view(models: Any, working: WorkerProcess) -> None:
    from django.test import Client

    client = Client()
    listed = client.get("/catalogue/")
    assert listed.status_code == 200
    with step("Oscar's catalogue, ranked by words"):
        page = client.get("/catalogue/", {"q": "red lamp"})
    assert page.status_code == 200
    distances = [row.object.distance for row in page.context["products"]]
    assert len(distances) == 20
    assert distances == sorted(distances)
    with step("its page 2"):
        second = client.get("/catalogue/", {"q": "red lamp", "page": 2})
    assert second.context["products"][0].object.distance >= distances[-1]
    with step("Oscar's catalogue, ranked by a photo"):
        page = client.post("/catalogue/", {"photo": photo(250, 0, 0)})
    assert page.context["products"][0].object.title == "A lamp that is all red"
    assert "A lamp that is all" in page.content.decode()
    lamp = page.context["products"][0].object
    with step("Oscar's catalogue, like a product"):
        page = client.get("/catalogue/", {"like": lamp.pk})
    assert lamp.pk not in [row.object.pk for row in page.context["products"]]
    parents = {row.object.structure for row in page.context["products"]}
    assert parents <= {"parent", "standalone"}


def test_live_filters(models: Any) -> None:
    """In Django the copies are optional: Oscar's own tables filter, exactly."""
    from looks.search import products

    lamp = models.Product.objects.get(title="A lamp that is all red")
    models.stock(lamp, 3.0)
    photo = lamp.images.first().original
    rows = products().filter(categories__slug="red-lamps", stockrecords__price__lt=5).similar_to(photo)
    assert [row.pk for row in rows] == [lamp.pk]
    [row] = rows[:1]
    assert row.image_id in pictures_of(lamp).values()


def test_an_upgrade_of_oscar(models: Any) -> None:
    """A migration of Oscar that changes a mapped column goes through, attached or detached meanwhile."""
    from django.apps import apps
    from django.db import connection
    from django.db.migrations.state import ProjectState
    from looks import attaching

    from imgsearch.django import DetachImgsearch

    state = ProjectState.from_apps(apps)
    before = sql("SELECT ready FROM imgsearch.status")
    with step("a migration of Oscar changes a mapped column"), connection.schema_editor() as editor:
        editor.execute("ALTER TABLE catalogue_product ALTER COLUMN title TYPE varchar(300)")
    one = models.Product.objects.exclude(images=None).first()
    models.Product.objects.filter(pk=one.pk).update(title="x" * 290)
    in_step()
    with step("detach(keep), the same again, attach"), connection.schema_editor() as editor:
        DetachImgsearch("product", app_label="catalogue", keep=True).database_forwards("looks", editor, state, state)
        editor.execute("ALTER TABLE catalogue_product ALTER COLUMN title TYPE varchar(400)")
        attaching.attach().database_forwards("looks", editor, state, state)
    in_step()
    assert sql("SELECT ready FROM imgsearch.status") == before


def test_detach(models: Any) -> None:
    from django.core.management import call_command

    with step("detach by migrating backwards"):
        call_command("migrate", "looks", "zero", verbosity=0)
    assert sql("SELECT count(*) FROM imgsearch.image") == [(0,)]
    models.ProductImage.objects.create(product=models.Product.objects.first(), original=photo(1, 2, 3), display_order=0)
    assert sql("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'imgsearch%%'") == [(0,)]
