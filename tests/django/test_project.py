"""A project around it: checks, the command, settings, async views, several databases."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import settings as project_settings
from django.core import checks
from django.core.management import call_command
from django.db import connection, connections
from django.test import AsyncClient, TestCase, override_settings
from django.test.utils import CaptureQueriesContext

from imgsearch.db.psycopg_connection import driver
from imgsearch.dev.testing import FAKE, FakeEncoder
from imgsearch.django import Searchable, add, site
from imgsearch.django.management.commands import imgsearch as command
from imgsearch.errors import NoSpace, UsageError
from imgsearch.query import cache
from tests.django import filling
from tests.django.filling import photo, point
from tests.django.routers import Reading
from tests.django.shop.models import Poster, Product


def found(**options: Any) -> list[str]:
    with override_settings(IMGSEARCH={**project_settings.IMGSEARCH, **options}):
        return [m.id for m in checks.run_checks(databases=["default", "other"]) if m.id.startswith("imgsearch")]


class Checks(TestCase):
    databases = frozenset({"default", "other"})

    def test_a_good_project_is_silent(self) -> None:
        filling.space()
        assert found() == []
        assert found(MODEL=FAKE) == []

    def test_settings_and_databases_that_make_no_sense(self) -> None:
        assert found(NOSUCH="1") == ["imgsearch.E001"]
        assert found(DATABASE="nowhere") == ["imgsearch.E001"]
        assert found(DATABASE="other") == ["imgsearch.E002"]
        with override_settings(IMGSEARCH="demo"):
            assert [m.id for m in checks.run_checks() if m.id.startswith("imgsearch")] == ["imgsearch.E001"]

    def test_a_database_that_is_not_ready(self) -> None:
        space = filling.space()
        assert found(MODEL="another") == ["imgsearch.W006"]
        with connection.cursor() as cursor:
            cursor.execute(f"DROP INDEX imgsearch.embedding_{space.space_id}_hnsw")
            assert found() == ["imgsearch.W007"]
            cursor.execute("UPDATE imgsearch.space SET state = 'standby'")
            assert found() == ["imgsearch.W005"]
            cursor.execute("UPDATE imgsearch.schema_version SET digest = 'of another day' WHERE step = 'functions'")
            assert found() == ["imgsearch.W004"]

    def test_models_whose_pictures_would_meet(self) -> None:
        poster = Poster._imgsearch
        Poster._imgsearch = Searchable()
        try:
            assert found() == ["imgsearch.E010"]
        finally:
            Poster._imgsearch = poster

    def test_only_the_databases_that_are_asked_for_are_looked_at(self) -> None:
        with CaptureQueriesContext(connection) as queries:
            assert [m.id for m in checks.run_checks() if m.id.startswith("imgsearch")] == []
        assert len(queries) == 0


class Several(TestCase):
    databases = frozenset({"default", "other", "replica"})

    def test_a_database_without_postgres_says_so(self) -> None:
        with pytest.raises(UsageError, match="sqlite"):
            list(Product.objects.using("other").similar_to(point(0, 0))[:3])

    def test_reading_and_embedding_may_go_to_different_databases(self) -> None:
        """A router sends reads to a replica; the question is asked at the primary, and only once evaluated."""
        filling.space()
        Reading.alias = "replica"
        try:
            rows = Product.objects.similar_to(point(0, 0))[:3]
            assert rows.db == "replica"
            with CaptureQueriesContext(connections["replica"]) as queries:
                assert list(rows) == []
            assert "imgsearch_nearest" in queries[0]["sql"]
        finally:
            Reading.alias = None

    def test_a_space_that_is_missing_says_so(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE imgsearch.space SET state = 'standby'")
        with pytest.raises(NoSpace):
            list(Product.objects.similar_to("red shoe")[:3])


class Async(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        space = filling.space()
        cls.products = [filling.product(filling.shop(), name=f"n{n}", price=20 * n) for n in range(6)]
        for n, product in enumerate(cls.products):
            add(product, photo(n, 0, 0))
        filling.embed_waiting(lambda product, _: point(0.1 * (int(product) - cls.products[0].pk), 0))
        lent = driver(connection)
        cache.ask(lent, cache.of_text("near the first"))
        [asked] = cache.claim(lent, space.space_id, 1)
        vector = [1.0] + [0.0] * (FakeEncoder.dimension - 1)
        cache.answer(lent, space.space_id, asked, vector)

    async def test_an_async_view_ranks_with_async_for(self) -> None:
        response = await AsyncClient().get("/found", {"q": "near the first"})
        assert response.json() == {"ids": [product.pk for product in self.products[:3]], "of": 3}

    async def test_async_methods(self) -> None:
        rows = Product.objects.similar_to("near the first")
        assert (await rows.afirst()).name == "n0"
        assert await rows.aexists()
        assert [row.name async for row in rows.aiterator()] == [product.name for product in self.products]


def test_the_command_works_on_this_projects_database(capfd: pytest.CaptureFixture[str]) -> None:
    call_command("imgsearch", "db", "check")
    assert "Schema: OK" in capfd.readouterr().out
    assert command.run(["status", "--json"]) == 0
    assert '"ready"' in capfd.readouterr().out
    assert command.run(["search"]) == 2
    call_command("imgsearch", "space", "list", "--json")
    assert capfd.readouterr().out.strip().startswith("[")
    assert command.run(["space", "activate", "nine", "--force"]) == 4


@pytest.mark.parametrize("staying", sorted(command.STAYING))
def test_a_command_that_stays_becomes_the_process(staying: str) -> None:
    """Then whoever ends manage.py ends the worker, and no orphan goes on."""
    with patch("os.execve", side_effect=SystemExit(0)) as became, pytest.raises(SystemExit):
        command.Command().run_from_argv(["manage.py", "imgsearch", staying, "--one"])
    [(program, line, environment)] = [call.args for call in became.call_args_list]
    assert (program, line[0], line[-2:]) == (sys.executable, sys.executable, [staying, "--one"])
    assert environment["IMGSEARCH_DATABASE_URL"] == site.database_url("default")


def test_a_worker_that_is_ended_leaves_no_orphan(project: Path) -> None:
    code = (
        "import sys\nfrom imgsearch.django.management.commands import imgsearch as c\n"
        "c.command = lambda a: [sys.executable, '-c', '"
        "import os, time; print(os.getpid(), flush=True); time.sleep(60)']\n"
        "c.site.environment = dict\nc.Command().run_from_argv(['manage.py', 'imgsearch', 'worker'])"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as manage:
        assert manage.stdout is not None
        worker = int(manage.stdout.readline())
        manage.terminate()
        assert manage.wait(timeout=60) != 0
    assert worker == manage.pid
    assert not Path(f"/proc/{worker}").exists()


def test_the_command_can_reach_the_database_by_its_url() -> None:
    address = site.database_url("default")
    done = subprocess.run(
        [sys.executable, "-c", "import psycopg, sys; print(psycopg.connect(sys.argv[1]).info.dbname)", address],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == connections["default"].settings_dict["NAME"]


def test_settings_of_the_project_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGSEARCH_QUERY_TIMEOUT", "3")
    monkeypatch.setenv("IMGSEARCH_BATCH", "7")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "shop.settings")
    with override_settings(IMGSEARCH_LEASE_SECONDS=9):
        assert site.settings().query_timeout == 20
        assert site.settings().batch == 7
        assert site.settings().lease_seconds == 9
        assert site.environment()["IMGSEARCH_DATABASE_URL"] == site.database_url("default")
        assert "DJANGO_SETTINGS_MODULE" not in site.environment(), "Celery would set the project up in the worker"
