"""The shop on a database of the embedded server: its tables attached, a client, and a real worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgsearch import attach, db, schema
from imgsearch.dev import embedded
from imgsearch.settings import Settings, load_settings
from tests.adopt import project
from tests.processes import WorkerProcess


@pytest.fixture(scope="session")
def shop_settings(servers: embedded.Servers) -> Iterator[Settings]:
    with project.database(servers, "flask_admin") as folder:
        (folder / "media").mkdir()
        os.environ |= {
            "IMGSEARCH_FETCH_FOLDERS": str(folder / "media"),
            "IMGSEARCH_STORAGE_URL": (folder / "pictures").as_uri(),
        }
        settings = load_settings()
        schema.upgrade(settings)
        yield settings


@pytest.fixture(scope="session")
def media(shop_settings: Settings) -> Path:
    [folder] = shop_settings.fetch_folders
    return Path(folder)


@pytest.fixture(scope="session")
def client(shop_settings: Settings, media: Path) -> Iterator[Any]:
    from tests.adopt.flaskadmin import shop

    app = shop.create_app(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1), str(media))
    with app.app_context():
        shop.db.create_all()
    with db.connect(shop_settings, autocommit=True) as connection:
        attach(connection, "product", base=media.as_uri(), **shop.ATTACHED)  # type: ignore[arg-type]
    environment, log = {**os.environ, **shop_settings.environment()}, shop_settings.home / "worker.log"
    with WorkerProcess(shop_settings, environment, log):
        yield app.test_client()
