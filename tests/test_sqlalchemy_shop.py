"""A SQLAlchemy shop as shops are: variants, a table of pictures and a tree of categories, all in `public`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ForeignKey, Numeric, delete, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from imgsearch import Image, nearest, pictures_of, resolve
from imgsearch.dev import testing
from imgsearch.errors import FilterError
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.shop import embed
from tests.terminal import Run

db = SQLAlchemy()


class Product(db.Model):  # type: ignore[name-defined,misc]
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    images: Mapped[list[ProductImage]] = relationship(cascade="all, delete-orphan", passive_deletes=True)
    variants: Mapped[list[Variant]] = relationship(cascade="all, delete-orphan", passive_deletes=True)
    pictures: Mapped[list[Image]] = pictures_of(lambda: Product.id)  # images is a name of the shop's own


class ProductImage(db.Model):  # type: ignore[name-defined,misc]
    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"), index=True)
    image: Mapped[str]  # a column of this name is no picture of ours
    position: Mapped[int] = mapped_column(default=0)


class Variant(db.Model):  # type: ignore[name-defined,misc]
    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"), index=True)
    price: Mapped[float] = mapped_column(Numeric(10, 2))
    stock: Mapped[int] = mapped_column(default=1)


class Category(db.Model):  # type: ignore[name-defined,misc]
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("category.id"))


class ProductCategory(db.Model):  # type: ignore[name-defined,misc]
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"), primary_key=True)
    category_id: Mapped[int] = mapped_column(ForeignKey("category.id"), primary_key=True)


OF = "FROM variant v WHERE v.product_id = product.id"
CATEGORIES = """ARRAY(WITH RECURSIVE up AS (
    SELECT c.* FROM category c JOIN product_category pc ON pc.category_id = c.id WHERE pc.product_id = product.id
    UNION SELECT c.* FROM category c JOIN up ON c.id = up.parent_id) SELECT up.name FROM up ORDER BY 1)"""
BELOW = """WITH RECURSIVE down AS (
    SELECT id FROM changed UNION SELECT c.id FROM category c JOIN down ON c.parent_id = down.id)
    SELECT pc.product_id FROM product_category pc JOIN down ON down.id = pc.category_id"""
ATTACH = (
    *("attach", "product", "--image", "image", "--pictures", "product_image", "--picture-of", "product_id"),
    *("--ordinal", "position", "--base", "https://cdn.example.com", "--title", "title"),
    *("--price", f"(SELECT min(v.price) {OF})", "--in-stock", f"EXISTS (SELECT 1 {OF} AND v.stock > 0)"),
    *("--categories", CATEGORIES, "--follow", "variant=product_id", "--follow", "product_category=product_id"),
    *("--follow", f"category={BELOW}"),
)


@pytest.fixture
def shop(settings: Settings, connection: psycopg.Connection[Any], space: Space, run: Run) -> Iterator[Session]:
    """Twenty products with two pictures and two variants, there before they were attached; product n is at n."""
    app = Flask("shop")
    address = settings.database_url.replace("postgresql://", "postgresql+psycopg://", 1)
    app.config["SQLALCHEMY_DATABASE_URI"] = address
    db.init_app(app)
    with app.test_request_context():
        db.create_all()
        db.session.add_all([Category(id=1, name="wear"), Category(id=2, name="shoes", parent_id=1)])
        db.session.flush()
        db.session.add_all(product(n) for n in range(20))
        db.session.flush()
        db.session.add_all(ProductCategory(product_id=n, category_id=2) for n in range(0, 20, 2))
        db.session.commit()
        ran = run(*ATTACH)
        assert ran.code == 0, ran.err
        embed_all(connection, space)
        yield db.session  # type: ignore[misc]
        db.session.remove()
        db.engine.dispose()


def product(n: int) -> Product:
    pictures = [ProductImage(image=f"{n}/{k}.jpg", position=0) for k in range(2)]  # two in one place
    return Product(id=n, title=f"shoe {n}", images=pictures, variants=[Variant(price=n + k) for k in range(2)])


def embed_all(connection: psycopg.Connection[Any], space: Space) -> None:
    rows = connection.execute("SELECT tenant_id, image_id, product_id::int, position FROM imgsearch.image").fetchall()
    with connection.cursor() as cursor:
        embed(cursor, space, [(t, image, bytes(32), direction(n + place / 10)) for t, image, n, place in rows])
        cursor.execute("UPDATE imgsearch.image SET sha256 = %s", (bytes(32),))


def direction(n: float) -> list[float]:
    return [1.0, n / 20, *[0.0] * 46]


def filters(connection: psycopg.Connection[Any], n: int) -> Any:
    assert connection.execute("SELECT * FROM imgsearch.drift('product')").fetchall() == []
    assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []
    values = "price, in_stock, categories"
    found = f"SELECT {values}, count(*) FROM imgsearch.image WHERE product_id = %s GROUP BY {values}"  # noqa: S608
    [*row] = connection.execute(found, (str(n),))
    return row[0] if row else None


def test_everything_that_happens_in_the_shop_is_followed(shop: Session, connection: psycopg.Connection[Any]) -> None:
    assert filters(connection, 4) == (4, True, ["shoes", "wear"], 2)
    shop.execute(update(Variant).values(price=Variant.price + 100))
    shop.commit()
    assert filters(connection, 4) == (104, True, ["shoes", "wear"], 2)
    four = shop.get_one(Product, 4)
    for variant in four.variants:
        variant.stock = 0
    four.variants.append(Variant(price=1, stock=0))
    shop.commit()
    assert filters(connection, 4) == (1, False, ["shoes", "wear"], 2)
    shop.execute(update(Category).where(Category.id == 1).values(name="clothes"))
    shop.commit()
    assert filters(connection, 4) == (1, False, ["clothes", "shoes"], 2)
    shop.execute(delete(ProductCategory).where(ProductCategory.product_id == 4))
    shop.commit()
    assert filters(connection, 4) == (1, False, None, 2)
    four.images.append(ProductImage(image="4/new.jpg"))
    shop.commit()
    assert filters(connection, 4)[3] == 3
    del four.images[0]
    shop.commit()
    assert filters(connection, 4)[3] == 2
    shop.delete(four)
    shop.add(product(40))
    shop.commit()
    assert filters(connection, 4) is None
    assert filters(connection, 40) == (40, True, None, 2)


def test_a_row_per_product_beside_any_join(shop: Session) -> None:
    """A joined table with a column named image, and one that gives a product several rows."""
    asked = select(Product, ProductImage.image).join(Product.pictures).join(Product.images).join(Product.variants)
    rows = shop.execute(nearest(asked.where(Variant.price < 10), direction(19), per=Product, limit=3)).all()
    assert [row.Product.id for row in rows] == [9, 8, 7]
    assert all(row.image.startswith(f"{row.Product.id}/") for row in rows)
    shoes = select(Product).join(Product.pictures).where(Image.category == "shoes")
    assert shop.execute(nearest(shoes, direction(3), per=Product)).all() == []


def test_the_guides_own_words(shop: Session, connection: psycopg.Connection[Any]) -> None:
    testing.embed(connection, texts={"red shoe": "6"})
    asked = select(Product).join(Product.pictures).join(Product.variants).where(Variant.price < 50)
    best = nearest(asked, resolve(db.session, "red shoe"), per=Product, limit=240)
    rows = db.session.execute(best).all()
    page = db.paginate(best, per_page=24)
    assert [row.Product.id for row in rows[:1]] == [6]
    assert len(rows) == 20
    assert [one.id for one in page.items] == [row.Product.id for row in rows]


def test_the_legacy_query_says_how(shop: Session) -> None:
    with pytest.raises(FilterError, match=r"select\(Product, Image\)"):
        nearest(shop.query(Product), direction(3))  # type: ignore[arg-type]


def test_pages_of_the_nearest(shop: Session) -> None:
    """db.paginate() puts its own LIMIT in the place of nearest()'s: pages of the best `limit`, and of no more."""
    best = nearest(select(Product).join(Product.pictures), direction(0), per=Product, limit=12)
    pages = [db.paginate(best, page=n, per_page=5) for n in (1, 2, 3)]
    assert [[one.id for one in page.items] for page in pages] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]
    assert {page.total for page in pages} == {12}
    assert shop.scalar(select(func.count()).select_from(best.subquery())) == 12
