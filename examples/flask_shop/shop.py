"""The shop: a product table of its own, a page that searches it by words, by photo and by product, and a form to add.

Everything imgsearch is in the lines that name `images`, `attach` or `nearest`; the rest is any shop with
Flask-SQLAlchemy-Lite.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, redirect, render_template, request
from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from imgsearch import Image, ImageId, attach, nearest, picture, resolve
from imgsearch.errors import ImgsearchError
from imgsearch.flask import ImageSearch
from imgsearch.servers import database_url
from imgsearch.settings import Settings
from imgsearch.sqlalchemy.models import pictures_of

PAGE = 12

sqlalchemy = SQLAlchemy()
images = ImageSearch()


class Base(DeclarativeBase):
    """The shop's own tables."""


class Product(Base):
    """One product; `photo` is the address that the picture store answered."""

    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    category: Mapped[str]
    price: Mapped[float]
    in_stock: Mapped[bool]
    photo: Mapped[str]
    images: Mapped[list[Image]] = pictures_of(lambda: Product.id)


def create_app(settings: Settings) -> Flask:
    """Make the app, with the shop's table attached."""
    app = Flask(__name__)
    app.config.update(settings.environment())
    url = database_url(settings).replace("postgresql://", "postgresql+psycopg://", 1)
    app.config["SQLALCHEMY_ENGINES"] = {"default": url}
    sqlalchemy.init_app(app)
    images.init_app(app)
    app.add_url_rule("/", view_func=search, methods=["GET", "POST"])
    app.add_url_rule("/products", view_func=add, methods=["POST"])
    app.add_url_rule("/products/<int:product_id>/photo", view_func=photo)
    with app.app_context():
        _make_tables()
    return app


def search() -> Any:
    """Show products: nearest first when something is asked, else the newest."""
    refusal, found = "", []
    try:
        found = _found(request.values)
    except ImgsearchError as error:  # no worker yet, a file that is no picture, …: the message says what to do
        refusal = str(error)
    return render_template("shop.html", found=found, refusal=refusal, form=request.values), 422 if refusal else 200


def add() -> Any:
    """Sell one more product: its picture is embedded as soon as the row is committed."""
    try:
        create(request.form, request.files["photo"].read())
    except ImgsearchError as error:
        return render_template("shop.html", found=[], refusal=str(error), form={}), 422
    sqlalchemy.session.commit()
    return redirect("/")


def create(values: Any, data: bytes) -> None:
    """Put the photo into the store, and its address into the shop's table; a trigger of imgsearch does the rest."""
    sqlalchemy.session.add(
        Product(
            name=values["name"],
            category=values["category"],
            price=float(values["price"]),
            in_stock=bool(values.get("in_stock")),
            photo=images.put(data),
        )
    )


def photo(product_id: int) -> Response:
    """Show a product's photo."""
    data = images.store.get(sqlalchemy.get_or_abort(Product, product_id).photo)
    kind = picture.FORMATS[picture.inspect(data).format].media_types[0]
    return Response(data, mimetype=kind, headers={"X-Content-Type-Options": "nosniff"})


def _found(asked: Any) -> list[Any]:
    """Return products with their distances, of those that pass the filters."""
    query = _query(asked)
    if query is None:
        newest = select(Product).where(*_filters(asked)).order_by(Product.id.desc()).limit(PAGE)
        return [(product, None) for product in sqlalchemy.session.scalars(newest)]
    statement = select(Product, Image).join(Product.images).where(*_filters(asked))
    resolved = resolve(sqlalchemy.session, query)
    rows = sqlalchemy.session.execute(nearest(statement, resolved, limit=PAGE))
    return [(row.Product, row.distance) for row in rows]


def _query(asked: Any) -> Any:
    """Return what to be near: a photo, a product's picture, words, or nothing."""
    uploaded = request.files.get("photo")
    if uploaded and (data := uploaded.read()):
        return data
    if like := asked.get("like", type=int):
        return ImageId(sqlalchemy.get_or_abort(Product, like).images[0].image_id)
    return asked.get("words") or None


def _filters(asked: Any) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if category := asked.get("category"):
        found.append(Product.category == category)
    if (max_price := asked.get("max_price", type=float)) is not None:
        found.append(Product.price <= max_price)
    if asked.get("in_stock"):
        found.append(Product.in_stock)
    return found


def _make_tables() -> None:
    """Make the shop's table and attach it; safe to run again. A shop with migrations does both there."""
    Base.metadata.create_all(sqlalchemy.engine)
    attach(
        sqlalchemy.session,
        "product",
        key="id",
        image="photo",
        category="category",
        price="price",
        in_stock="in_stock",
        if_not_exists=True,
    )
    sqlalchemy.session.commit()
