"""Django's migrations make what `imgsearch db upgrade` makes, and the models say what is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.apps import apps
from django.conf import settings as project_settings
from django.core.management import call_command
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings
from psycopg.sql import SQL, Identifier

from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.schema import source
from imgsearch.settings import Settings, load_settings
from tests.conftest import behind
from tests.own_server import named, with_database
from tests.schema.catalogue import catalogue

EMPTY = Identifier(named("django_empty"))


@pytest.fixture
def empty(servers: embedded.Servers) -> Iterator[Settings]:
    """An empty database, which this project takes for imgsearch's."""
    address = with_database(servers.database_url, "django_empty")
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {}").format(EMPTY))
        with override_settings(IMGSEARCH={**project_settings.IMGSEARCH, "DATABASE": "empty"}):
            yield load_settings({"DATABASE_URL": address}, environ={})
        connections["empty"].close()
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(EMPTY))


def test_django_makes_what_an_upgrade_makes(empty: Settings) -> None:
    call_command("migrate", "imgsearch", database="empty", verbosity=0)
    with db.connect(empty, autocommit=True) as connection:
        schema.check(connection)
        by_django = catalogue(connection)
    connections["empty"].close()
    assert schema.remove(empty) is None
    assert schema.upgrade(empty) == schema.head()
    with db.connect(empty, autocommit=True) as connection:
        by_alembic = catalogue(connection)
    for name, rows in by_alembic.items():
        assert by_django[name] == rows, name
        assert rows


def test_every_table_step_has_its_migration_for_django_and_alembic() -> None:
    root = Path(__file__).parents[2]
    wanted = [step.name for step in source.steps()]
    django = sorted(path.stem for path in root.joinpath("imgsearch/django/migrations").glob("0*.py"))
    alembic = sorted(path.stem for path in root.joinpath("imgsearch/migrations/versions").glob("*.py"))
    assert django == wanted
    assert alembic == [f"imgsearch_{name[:4]}" for name in wanted]


def test_migrate_follows_functions_that_changed_and_removes_all(empty: Settings) -> None:
    assert schema.upgrade(empty) == schema.head()
    behind(empty)
    call_command("migrate", "imgsearch", database="empty", verbosity=0)
    with db.connect(empty, autocommit=True) as connection:
        schema.check(connection)
        behind(empty)
        call_command("migrate", database="empty", verbosity=0)
        schema.check(connection)
        call_command("migrate", "imgsearch", "zero", database="empty", verbosity=0)
        assert schema.current(connection) is None


def test_other_databases_are_left_alone(empty: Settings) -> None:
    with override_settings(IMGSEARCH={**project_settings.IMGSEARCH, "DATABASE": "default"}):
        call_command("migrate", "imgsearch", database="empty", verbosity=0)
        with db.connect(empty, autocommit=True) as connection:
            assert not connection.execute("SELECT to_regnamespace('imgsearch') IS NOT NULL").fetchone()[0]  # type: ignore[index]
        call_command("migrate", "imgsearch", database="other", verbosity=0)
        assert "imgsearch" in {app for app, _ in MigrationRecorder(connections["other"]).applied_migrations()}


def test_no_migration_is_missing() -> None:
    call_command("makemigrations", "imgsearch", check=True, dry_run=True, verbosity=0)


KINDS = {
    "TextField": {"text"},
    "Texts": {"text[]"},
    "BigAutoField": {"bigint"},
    "AutoField": {"integer"},
    "BigIntegerField": {"bigint"},
    "IntegerField": {"integer"},
    "FloatField": {"double precision"},
    "BooleanField": {"boolean"},
    "JSONField": {"jsonb"},
    "BinaryField": {"bytea"},
    "DateTimeField": {"timestamp with time zone"},
    "DurationField": {"interval"},
    "OneToOneField": {"bigint"},
}


def test_the_models_say_what_is_there() -> None:
    for model in apps.get_app_config("imgsearch").get_models():
        table = model._meta.db_table.replace('"', "")
        with connections["default"].cursor() as cursor:
            cursor.execute(
                "SELECT a.attname, format_type(a.atttypid, NULL), a.attnotnull FROM pg_attribute a"
                " WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped",
                [table],
            )
            columns = {name: (kind, required) for name, kind, required in cursor.fetchall()}
        for field in model._meta.concrete_fields:
            kind, required = columns[field.column]
            assert kind in KINDS[type(field).__name__], (table, field.column)
            if table in {"imgsearch.image", "imgsearch.job", "imgsearch.space"} and not field.primary_key:
                assert required != field.null, (table, field.column)
        assert model.objects.count() >= 0
        list(model.objects.all()[:3])
