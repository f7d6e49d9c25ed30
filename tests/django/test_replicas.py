"""A project whose router sends reads to a real standby: questions go to the primary, and writes as well."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.files.base import ContentFile
from django.db import connections
from django.test import override_settings
from psycopg.conninfo import conninfo_to_dict

from bench.standby import standby
from imgsearch.django import site
from imgsearch.django.models import Image
from imgsearch.errors import ReadOnlyDatabase
from imgsearch.query.memory import forget_answers
from imgsearch.settings import Settings, load_settings
from tests import own_server
from tests.answering import answering
from tests.django import filling
from tests.django.filling import photo
from tests.django.shop.models import Product

pytestmark = pytest.mark.skipif(bool(own_server.URL), reason="copies the files of the embedded server")


@pytest.fixture
def primary() -> Iterator[Settings]:
    """One product that is seen on the standby, which is where reads go."""
    forget_answers()
    filling.space()
    made = Product.objects.create(store=filling.shop(), name="red")
    made.photo = ContentFile(photo(200, 0, 0), name="s.jpg")
    made.save()
    filling.embed_waiting(lambda *_: [1.0] * 48)
    given = conninfo_to_dict(site.database_url("default"))
    url = f"postgresql://postgres@/{given['dbname']}?host={given['host']}&port={given.get('port') or 5432}"
    with standby(url) as follower:
        follower.catch_up()
        connections["replica"].close()
        known = connections.settings["replica"]
        before = dict(known)
        known |= {"HOST": follower.address["host"], "PORT": follower.address["port"]}
        with override_settings(DATABASE_ROUTERS=["tests.django.routers.ReadHere"]):
            yield load_settings({"DATABASE_URL": url}, environ={})
        connections["replica"].close()
        known |= before
    Product.objects.all().delete()
    Image.objects.all().delete()


def test_rows_are_read_from_the_standby_and_questions_asked_on_the_primary(primary: Settings) -> None:
    with answering(primary, filling.space()) as asked:
        found = Product.objects.similar_to("green hat")
        assert (found.db, [row.name for row in found]) == ("replica", ["red"])
    assert [one.query for one in asked] == ["green hat"]
    assert Product.objects.create(store=filling.shop(), name="second")._state.db == "default"


def test_a_project_that_reaches_the_schema_by_the_standby_needs_the_primary_url(primary: Settings) -> None:
    own = {"DATABASE": "replica", "QUERY_TIMEOUT": 20}
    with override_settings(IMGSEARCH=own), pytest.raises(ReadOnlyDatabase, match="IMGSEARCH_PRIMARY_URL"):
        list(Product.objects.similar_to("blue hat"))
    own["PRIMARY_URL"] = primary.database_url
    with override_settings(IMGSEARCH=own), answering(primary, filling.space()) as asked:
        assert [row.name for row in Product.objects.similar_to("blue hat")] == ["red"]
    assert [one.query for one in asked] == ["blue hat"]
