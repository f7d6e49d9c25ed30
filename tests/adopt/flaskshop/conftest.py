"""A copy of flask-shop on a database of the embedded server: seeded, its tables attached, a real worker."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgsearch import attach, db, schema
from imgsearch.dev import embedded
from imgsearch.settings import Settings, load_settings
from tests.adopt import project
from tests.adopt.conftest import step
from tests.processes import WorkerProcess

TITLE = "(SELECT c.title FROM product_category c WHERE c.id = product_product.category_id)"
IN_STOCK = """EXISTS (SELECT 1 FROM product_variant v
              WHERE v.product_id = product_product.id AND v.quantity > v.quantity_allocated)"""
ATTACHED = {
    "key": "id",
    "image": "image",
    "pictures": "product_image",
    "picture_of": "product_id",
    "title": "title",
    "price": "basic_price",
    "category": TITLE,
    "in_stock": IN_STOCK,
    "follow": {
        "product_category": "SELECT p.id FROM product_product p JOIN changed ON changed.id = p.category_id",
        "product_variant": "product_id",
    },
}


@pytest.fixture(scope="session")
def shop_settings(servers: embedded.Servers) -> Iterator[Settings]:
    with project.database(servers, "flask_shop") as folder:
        shutil.copytree(Path(os.environ["FLASK_SHOP_SOURCE"]) / "flaskshop", folder / "shop/flaskshop")
        sys.path.insert(0, str(folder / "shop"))
        os.environ |= {
            "DB_URI": os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1),
            "IMGSEARCH_FETCH_FOLDERS": str(folder / "shop/flaskshop/static"),
            "IMGSEARCH_STORAGE_URL": (folder / "pictures").as_uri(),
        }
        settings = load_settings()
        schema.upgrade(settings)
        with contextlib.chdir(folder):  # it writes its log where it is
            yield settings


@pytest.fixture(scope="session")
def static(shop_settings: Settings) -> Path:
    [folder] = shop_settings.fetch_folders
    return Path(folder)


@pytest.fixture(scope="session")
def client(shop_settings: Settings, static: Path) -> Iterator[Any]:
    from flaskshop.app import create_app
    from flaskshop.extensions import db as shop_db
    from flaskshop.random_data import create_admin, create_products_by_schema, create_roles
    from flaskshop.settings import Config

    options = {"WTF_CSRF_ENABLED": False, "DEBUG_TB_ENABLED": False, "BCRYPT_LOG_ROUNDS": 4}
    app = create_app(type("OfTests", (Config,), options))
    with step("flask-shop's own tables and seed"), app.app_context():
        shop_db.create_all()
        create_products_by_schema(placeholder_dir=Path("placeholders"), how_many=3, create_images=True)
        assert [*create_roles(), *create_admin()]
    with step("attach"), db.connect(shop_settings, autocommit=True) as connection:
        connection.execute("CREATE INDEX ON product_image (product_id)")
        attach(connection, "product_product", base=static.as_uri(), **ATTACHED)  # type: ignore[arg-type]
    environment, log = {**os.environ, **shop_settings.environment()}, shop_settings.home / "worker.log"
    with WorkerProcess(shop_settings, environment, log):
        client = app.test_client()
        entered = client.post("/account/login", data={"username": "admin", "password": "admin"})
        assert entered.status_code == 302, entered.text[-2000:]
        yield client
