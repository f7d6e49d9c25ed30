"""A Django project on a database of the embedded server, made by Django's own migrations.

Configured when these tests are collected, because their modules import models; the database comes with the fixture.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import psycopg
import pytest
from django.conf import settings as project_settings
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from imgsearch.dev import embedded
from tests.own_server import named

DATABASE = named("django_shop")
POSTGRES = {"ENGINE": "django.db.backends.postgresql", "NAME": DATABASE}

project_settings.configure(
    SECRET_KEY="tests",
    ALLOWED_HOSTS=["*"],
    DATABASES={
        "default": dict(POSTGRES),
        "replica": {**POSTGRES, "TEST": {"MIRROR": "default"}},
        "empty": {**POSTGRES, "NAME": named("django_empty")},
        "other": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    },
    DATABASE_ROUTERS=["tests.django.routers.Reading"],
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "imgsearch.django",
        "tests.django.shop",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    ROOT_URLCONF="tests.django.urls",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    IMGSEARCH={"QUERY_TIMEOUT": 20, "DATABASE": "default"},
)
django.setup()


@pytest.fixture(scope="session")
def project(servers: embedded.Servers) -> Iterator[Path]:
    """A migrated database with a space in it, and folders for the pictures; answers the folder."""
    from django.core.management import call_command
    from django.db import connections

    from tests.django import filling

    folder = Path(tempfile.mkdtemp(prefix="imgs-dj-"))
    folder.chmod(0o755)
    found = conninfo_to_dict(servers.database_url)
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {} STRATEGY file_copy").format(Identifier(DATABASE)))
    for alias in ("default", "replica", "empty"):
        connections.settings[alias] |= {"USER": found["user"], "HOST": found["host"], "PORT": found.get("port") or ""}
    project_settings.MEDIA_ROOT = str(folder / "media")
    project_settings.IMGSEARCH["STORAGE_URL"] = (folder / "pictures").as_uri()
    call_command("migrate", run_syncdb=True, verbosity=0)
    filling.space()
    yield folder
    connections.close_all()
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(DATABASE)))
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _in_a_project(project: Any) -> None:
    """Every test here has the project."""
