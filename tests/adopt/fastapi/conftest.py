"""examples/fastapi_shop on a database of the embedded server: its table attached, a real worker, a client."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from imgsearch import attach, db, schema
from imgsearch.dev import embedded
from imgsearch.settings import Settings, load_settings
from tests.adopt import project
from tests.processes import WorkerProcess


@pytest.fixture(scope="session")
def shop_settings(servers: embedded.Servers) -> Iterator[Settings]:
    with project.database(servers, "fastapi_shop") as folder:
        media = folder / "media"
        media.mkdir()
        os.environ |= {
            "MEDIA": str(media),
            "IMGSEARCH_FETCH_FOLDERS": str(media),
            "IMGSEARCH_STORAGE_URL": (folder / "pictures").as_uri(),
        }
        settings = load_settings()
        schema.upgrade(settings)
        yield settings


@pytest.fixture(scope="session")
def shop(shop_settings: Settings) -> Any:
    """The module of the shop, its table made and attached."""
    sys.path.insert(0, str(project.EXAMPLES / "fastapi_shop"))
    import shop
    from sqlalchemy import create_engine

    shop.Base.metadata.create_all(create_engine(shop.URL.set(drivername="postgresql+psycopg")))
    with db.connect(shop_settings, autocommit=True) as connection:
        base = shop.MEDIA.as_uri()
        attach(connection, "product", key="id", image="photo", base=base, title="name", price="price")
    return shop


@pytest.fixture(scope="session")
def client(shop: Any, shop_settings: Settings) -> Iterator[Any]:
    """A client of the running app, and a worker beside it."""
    from fastapi.testclient import TestClient

    environment, log = {**os.environ, **shop_settings.environment()}, shop_settings.home / "worker.log"
    with WorkerProcess(shop_settings, environment, log), TestClient(shop.app, follow_redirects=False) as client:
        yield client
