"""imgsearch.flask beside Flask-SQLAlchemy-Lite, and one extension object that serves two apps of one process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask_sqlalchemy_lite import SQLAlchemy
from psycopg.sql import SQL, Identifier

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.flask import ImageSearch
from imgsearch.servers import database_url
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.conftest import with_settings
from tests.doors.scenario import Item
from tests.own_server import named, with_database

PHOTO = Item(1).picture()
images = ImageSearch()
sqlalchemy = SQLAlchemy()


@pytest.fixture
def other(servers: embedded.Servers, template: str, settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a second shop: a database and a store of its own."""
    name = Identifier(named("other_flask_shop"))
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(
            SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(name, Identifier(named(template)))
        )
    url = with_database(servers.database_url, "other_flask_shop")
    yield with_settings(settings, DATABASE_URL=url, STORAGE_URL=(tmp_path / "other").as_uri())
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def app(name: str, settings: Settings, *, host: bool) -> Flask:
    made = Flask(name)
    made.config.update(settings.environment())
    if host:
        url = database_url(settings).replace("postgresql://", "postgresql+psycopg://", 1)
        made.config["SQLALCHEMY_ENGINES"] = {"default": url}
        sqlalchemy.init_app(made)
    images.init_app(made)
    return made


def products(settings: Settings) -> list[str]:
    with db.connect(settings) as connection:
        return [row[0] for row in connection.execute("SELECT product_id FROM imgsearch.image ORDER BY product_id")]


def test_everything_happens_in_the_hosts_session(settings: Settings, space: Space) -> None:
    shop = app("shop", settings, host=True)
    with shop.app_context():
        assert images.connection is sqlalchemy.session
        images.add(PHOTO, product_id="kept back")
        assert images.search([1.0] * space.dimension).complete
        sqlalchemy.session.rollback()
        images.add(PHOTO, product_id="sold")
        sqlalchemy.session.commit()
        images.add(PHOTO, product_id="forgotten")  # not committed: the context ends without it
    assert products(settings) == ["sold"]


def test_two_apps_keep_apart_what_is_theirs(settings: Settings, other: Settings) -> None:
    apps: dict[str, Any] = {"one": app("one", settings, host=True), "two": app("two", other, host=False)}
    with apps["one"].app_context():
        images.add(PHOTO, product_id="one")
        with apps["two"].app_context():  # in the middle of the first app's transaction
            images.add(PHOTO, product_id="two")
            address = images.put(Item(2).picture())
        sqlalchemy.session.commit()
        assert not images.store.exists(address)
    assert (products(settings), products(other)) == (["one"], ["two"])
    for made in apps.values():
        made.extensions["imgsearch"].close()


def test_a_host_that_wants_the_api_alone_loads_no_page() -> None:
    code = (
        "import sys; from flask import Flask; from imgsearch.flask import ImageSearch; app = Flask('shop');"
        "ImageSearch(app, page=False);"
        "print(sorted(m for m in sys.modules if m.split('.')[:2] == ['imgsearch', 'page']),"
        "sorted({r.endpoint.split('.')[0] for r in app.url_map.iter_rules()}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] ['imgsearch', 'static']"
