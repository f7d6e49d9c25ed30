"""A shop on Flask-SQLAlchemy, with a table of pictures and one of categories, and Flask-Admin over them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

from flask import Flask, jsonify, request
from flask_admin import Admin
from flask_admin.actions import action
from flask_admin.contrib.sqla import ModelView
from flask_admin.form import ImageUploadField
from flask_admin.model.form import InlineFormAdmin
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from imgsearch import Image, nearest, pictures_of, resolve
from imgsearch.errors import ImgsearchError
from imgsearch.flask import ImageSearch


class Base(DeclarativeBase):
    """The shop's own tables."""


db = SQLAlchemy(model_class=Base)
images = ImageSearch()


class Category(db.Model):  # type: ignore[name-defined, misc]
    """What products are filed under."""

    __tablename__ = "category"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

    def __str__(self) -> str:
        return self.name


class Product(db.Model):  # type: ignore[name-defined, misc]
    """One product, with pictures in a table of their own."""

    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[Decimal]
    category_id: Mapped[int | None] = mapped_column(ForeignKey("category.id"))
    category: Mapped[Category | None] = relationship()
    pictures: Mapped[list[Picture]] = relationship(
        back_populates="product", cascade="all, delete-orphan", passive_deletes=True
    )
    images: Mapped[list[Image]] = pictures_of(lambda: Product.id)


class Picture(db.Model):  # type: ignore[name-defined, misc]
    """A picture: `file` is a path below MEDIA."""

    __tablename__ = "picture"
    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"), index=True)
    file: Mapped[str | None]
    place: Mapped[int] = mapped_column(default=0)
    product: Mapped[Product] = relationship(back_populates="pictures")


ATTACHED = {
    "key": "id",
    "image": "file",
    "pictures": "picture",
    "picture_of": "product_id",
    "ordinal": "place",
    "title": "name",
    "price": "price",
    "category": "(SELECT c.name FROM category c WHERE c.id = product.category_id)",
    "follow": {"category": "SELECT p.id FROM product p JOIN changed ON changed.id = p.category_id"},
}


def own_name(picture: Any, upload: Any) -> str:
    """Name an upload; by its own name it would overwrite another file, and no row would change."""
    return f"{uuid4()}{Path(upload.filename).suffix}"


class Pictures(InlineFormAdmin):
    """A product's pictures, on the form of the product."""

    def __init__(self, media: str) -> None:
        self.form_extra_fields = {"file": ImageUploadField(base_path=media, namegen=own_name)}
        super().__init__(Picture)


class Products(ModelView):
    """Products; `images` is imgsearch's own to write."""

    form_excluded_columns = ("images",)
    column_list = ("name", "price", "category")
    column_editable_list = ("name", "price")

    def __init__(self, media: str, **options: Any) -> None:
        self.inline_models = (Pictures(media),)
        super().__init__(Product, db, **options)

    @action("delete", "Delete", "Delete these?")
    def action_delete(self, ids: list[str]) -> None:
        super().action_delete([int(key) for key in ids])  # psycopg compares no number with a text


def create_app(url: str, media: str) -> Flask:
    """Make the app."""
    app = Flask("shop")
    app.config.update(SQLALCHEMY_DATABASE_URI=url, SECRET_KEY="only for this test")
    db.init_app(app)
    images.init_app(app)
    admin = Admin(app)
    admin.add_view(Products(media))
    admin.add_view(type("Fast", (Products,), {"fast_mass_delete": True})(media, endpoint="fast"))
    admin.add_view(ModelView(Category, db))
    app.add_url_rule("/search", view_func=search, methods=["POST"])
    app.register_error_handler(ImgsearchError, lambda error: (str(error), error.http_status))
    return app


def search() -> Any:
    """Rank products by a photo."""
    products = select(Product, Image).join(Product.images)
    query = resolve(db.session, request.files["photo"].read())
    return jsonify([row.Product.name for row in db.session.execute(nearest(products, query, per=Product))])
