"""The Python of docs/guide-flask.md is a shop: its blocks run in their order, in one namespace."""

from __future__ import annotations

import io
from typing import Any

import psycopg
from alembic.migration import MigrationContext
from alembic.operations import Operations
from flask import Flask
from sqlalchemy import create_engine

from imgsearch.dev.testing import embed
from imgsearch.servers import database_url
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.test_guides import plain
from tests.test_readme import ROOT, blocks

BEFORE = """
from types import SimpleNamespace
from flask import Flask, jsonify, request
from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy import Text, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from imgsearch.flask import Identity
class Columns(DeclarativeBase):
    pass
class Base(Columns):
    __abstract__, __tablename__ = True, "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[float]
app = Flask("shop")
current_user = SimpleNamespace(is_authenticated=True, get_id=lambda: "ada", shop="default")
"""
TABLE = "CREATE TABLE product (id integer PRIMARY KEY, name text, category text, price float8, photo text)"
ROWS = "INSERT INTO product SELECT n, 'Shoe ' || n, 'shoes', n, n || '.jpg' FROM generate_series(1, 60) n"


def run(code: str, known: dict[str, Any]) -> None:
    """Run a block as a file of its own would: this one's __future__ is not its."""
    exec(compile(code, "guide-flask.md", "exec", dont_inherit=True), known)  # noqa: S102 - our own guide


def test_the_blocks_are_a_shop(connection: psycopg.Connection[Any], settings: Settings, space: Space) -> None:
    attached, modelled, searched, worded, identified, administered = blocks(
        "py", (ROOT / "docs/guide-flask.md").read_text()
    )
    assert plain(administered) in plain((ROOT / "tests/adopt/flaskadmin/shop.py").read_text()), "run by make adopt"
    url = database_url(settings).replace("postgresql://", "postgresql+psycopg://", 1)
    connection.execute(TABLE)
    with create_engine(url).begin() as migration:
        run(attached, {"op": Operations(MigrationContext.configure(migration))})
    connection.execute(ROWS)
    assert embed(connection, texts={"red shoe": "7", "adidas samba 44": "7", "adidas samba": "7"}) == 60
    known: dict[str, Any] = {}
    run(BEFORE, known)
    run(modelled, known)
    app: Flask = known["app"]
    app.config.update(settings.environment(), SQLALCHEMY_ENGINES={"default": url})
    known["db"].init_app(app)
    known["create_app"]()
    run(searched, known)
    client = app.test_client()
    rows = client.get("/search?words=red shoe").get_json()
    assert (rows[0][0], len(rows)) == ("Shoe 7", 20)
    assert client.get("/search?like=9").get_json()[0][0] == "Shoe 9"
    assert client.post("/search", data={"photo": (io.BytesIO(b"no picture"), "x.jpg")}).status_code == 422
    with app.app_context():
        seven = known["db"].session.get(known["Product"], 7)
        run(worded, known | {"bought": seven, "basket": [seven]})
    assert client.get("/imgsearch/").status_code == 401
    run(identified, known)
    second = Flask("second")
    second.config.update(settings.environment())
    known["images"].init_app(second)
    assert second.test_client().get("/imgsearch/").status_code == 200
