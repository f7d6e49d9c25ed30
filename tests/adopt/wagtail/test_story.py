"""A day in Wagtail's admin: after each way in which it writes, images and rows are the same.

First with the table attached; then, detached again, by the model's field and its signals.
"""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest
from django.conf import settings

pytest.importorskip("wagtail", reason="Wagtail is not installed here: make adopt")
if settings.configured:  # by the tests of another project
    pytest.skip("Django has one project per process: make adopt", allow_module_level=True)

from tests.adopt.conftest import step
from tests.adopt.looking import drawn, eventually_ready, photo, sql
from tests.adopt.wagtail.admin import Admin
from tests.adopt.wagtail.ways import UNSEEN, UNSEEN_OF_PATHS, rows, ways
from tests.processes import WorkerProcess

IMAGES = """
    SELECT i.tenant_id, i.product_id, i.category, p.title FROM imgsearch.image i
    LEFT JOIN imgsearch.product p USING (tenant_id, product_id)"""


@pytest.fixture(scope="module")
def admin(site: Path) -> Admin:
    return Admin()


def behind(tenant: str) -> bool:
    """Return whether images and Wagtail's rows are not the same."""
    return sorted(sql(IMAGES)) != rows(tenant)


def in_step(way: str, tenant: str = "collection_id") -> None:
    assert sorted(sql(IMAGES)) == rows(tenant), way
    assert sql("SELECT * FROM imgsearch.violations") == [], way
    assert sql("SELECT * FROM imgsearch.failures") == [], way


def doctor() -> int:
    """Return what the doctor of `manage.py` ends with, where the doctor of the database has nothing to say."""
    from imgsearch.django.management.commands import imgsearch

    with patch("subprocess.run") as ran:
        ran.return_value.returncode = 0
        return imgsearch.run(["doctor"])


def test_attached_every_way_is_followed_at_once(admin: Admin) -> None:
    from django.core.management import call_command

    with step("attach by migration"):
        call_command("migrate", "finding", verbosity=0)
    for way in ways(admin):
        in_step(way)
        assert sql("SELECT * FROM imgsearch.drift('wagtailimages_image')") == [], way


def test_attached_by_the_path_every_way_is_followed_at_once(admin: Admin) -> None:
    from django.apps import apps
    from django.db import connection
    from django.db.migrations.state import ProjectState
    from finding.attaching import attach

    operation, state = attach(), ProjectState.from_apps(apps)
    operation.mapping["tenant"] = "(SELECT path FROM wagtailcore_collection c WHERE c.id = collection_id)"
    with connection.schema_editor() as editor:
        operation.database_backwards("finding", editor, state, state)
        operation.database_forwards("finding", editor, state, state)
    for way in ways(admin):
        in_step(way, "collection__path")
        assert sql("SELECT * FROM imgsearch.drift('wagtailimages_image')") == [], way
    with connection.schema_editor() as editor:
        operation.database_backwards("finding", editor, state, state)
        attach().database_forwards("finding", editor, state, state)


def test_a_collection_is_a_tenant(admin: Admin, working: WorkerProcess) -> None:
    from django.db import connection
    from finding.search import images

    from imgsearch import search

    south = admin.collection("South", admin.root)
    cat, dog = admin.add("Cat", admin.root, 9, 9, 90), admin.add("Dog", south, 9, 9, 91)
    eventually_ready()
    hits = search(connection, drawn(9, 9, 90), tenant=str(south.pk))
    assert [hit.product_id for hit in hits] == [str(dog.pk)]
    rows = images(admin.user).similar_to(photo(9, 9, 90))
    assert [image.pk for image in rows] == [cat.pk, dog.pk]
    assert [image.pk for image in rows.filter(collection=south)] == [dog.pk]


def test_a_replaced_file_is_found_by_what_it_shows_now(admin: Admin, working: WorkerProcess) -> None:
    from finding.search import images

    cat = admin.image("Cat")
    admin.edit(cat, file=photo(90, 9, 9))
    eventually_ready()
    best = images(admin.user).similar_to(photo(90, 9, 9)).first()
    assert (best.pk, round(best.distance, 3)) == (cat.pk, 0)
    assert images(admin.user).filter(pk=cat.pk).similar_to(photo(9, 9, 90)).first().distance > 0.001


def test_the_page_in_the_admin(admin: Admin, working: WorkerProcess) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    newest = admin.client.get("/admin/looks/")
    by_words = admin.client.get("/admin/looks/", {"words": "a cat"})
    by_photo = admin.client.post("/admin/looks/", {"photo": photo(90, 9, 9)})
    assert [image.title for image in newest.context["page"]] == ["Dog", "Cat"]
    assert {image.title for image in by_words.context["page"]} == {"Dog", "Cat"}
    assert [image.title for image in by_photo.context["page"]] == ["Cat", "Dog"]
    assert "Looks like" in admin.client.get("/admin/").content.decode()
    broken = admin.client.post("/admin/looks/", {"photo": SimpleUploadedFile("a.jpg", b"no picture")})
    assert broken.status_code == 422


@pytest.mark.parametrize(("tenant", "unseen"), [("collection_id", UNSEEN), ("collection__path", UNSEEN_OF_PATHS)])
def test_by_its_field_all_but_update_is_followed(
    admin: Admin, working: WorkerProcess, tenant: str, unseen: set[str]
) -> None:
    """What update() did is named by the check and the doctor, and mended by the backfill."""
    from django.core.management import CommandError, call_command

    call_command("migrate", "finding", "zero", verbosity=0)
    by_field(tenant)
    call_command("imgsearch_backfill", "wagtailimages.Image", verbosity=0)
    in_step("backfill", tenant)
    late = set()
    for way in ways(admin):
        if behind(tenant):
            late.add(way)
            with pytest.raises(CommandError, match=r"wagtailimages\.Image: \d"):
                call_command("imgsearch_backfill", check=True)
            assert doctor() == 1, way
            call_command("imgsearch_backfill", "wagtailimages.Image", verbosity=0)
        in_step(way, tenant)
        call_command("imgsearch_backfill", check=True)
        assert doctor() == 0, way
    assert late == unseen
    eventually_ready()


def by_field(tenant: str) -> None:
    """Decorate the model; the guide has the collection's id."""
    from wagtail.images import get_image_model

    from imgsearch.django import searchable

    if tenant == "collection_id":
        searchable(photo="file", title="title", tenant="collection_id", category="collection__name")(get_image_model())
    else:
        searchable(photo="file", title="title", tenant=tenant, category="collection__name")(get_image_model())
