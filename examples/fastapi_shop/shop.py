"""A shop with FastAPI on asyncpg, and SQLAdmin over its table: `DATABASE_URL=… MEDIA=… uvicorn shop:app`."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Form, Request, UploadFile
from fastapi.responses import JSONResponse
from sqladmin import Admin, ModelView
from sqlalchemy import make_url, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from imgsearch import Image, ProductId, nearest, picture, pictures_of, resolve
from imgsearch.db.sqlstate import translate
from imgsearch.errors import ImgsearchError

URL, MEDIA = make_url(os.environ["DATABASE_URL"]), Path(os.environ["MEDIA"])
engine = create_async_engine(URL.set(drivername="postgresql+asyncpg"))
asking = create_async_engine(URL.set(drivername="postgresql+psycopg"))  # questions alone


class Base(DeclarativeBase):
    """The shop's own tables."""


class Product(Base):
    """One product; `photo` is a path below MEDIA."""

    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[Decimal]
    photo: Mapped[str | None]
    images: Mapped[list[Image]] = pictures_of(lambda: Product.id)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()
    await asking.dispose()


async def session() -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine, expire_on_commit=False) as mine:
        yield mine


Session = Annotated[AsyncSession, Depends(session)]
app = FastAPI(lifespan=lifespan)


async def seen(query: str | bytes) -> Any:
    """Return the vector of a text or a photo; a worker makes a new one."""
    async with AsyncSession(asking) as mine:
        return await mine.run_sync(resolve, query)


@app.post("/search")
async def search(
    session: Session,
    words: Annotated[str, Form()] = "",
    photo: UploadFile | None = None,
    max_price: Annotated[float, Form()] = 1000,
) -> list[dict[str, Any]]:
    query = await seen(await photo.read() if photo else words)
    products = select(Product, Image).join(Product.images).where(Product.price <= max_price)
    rows = await session.execute(nearest(products, query, per=Product, limit=20))
    return [{"id": row.Product.id, "name": row.Product.name, "distance": row.distance} for row in rows]


@app.get("/products/{product_id}/like")
async def like(session: Session, product_id: int) -> list[int]:
    others = select(Product, Image).join(Product.images)
    rows = await session.execute(nearest(others, ProductId(str(product_id)), per=Product))
    return [row.Product.id for row in rows]


HITS = text("""
    SELECT p.id, p.name, s.match
    FROM imgsearch.search(:words, max_price => :max_price, k => 20) WITH ORDINALITY s
    JOIN product p ON p.id = s.product_id::integer ORDER BY s.ordinality""")


@app.get("/hits")
async def hits(session: Session, words: str, max_price: float = 1000) -> list[dict[str, Any]]:
    await seen(words)
    rows = await session.execute(HITS, {"words": words, "max_price": max_price})
    return [dict(row) for row in rows.mappings()]


@app.post("/products", status_code=201)
async def add(
    session: Session, photo: UploadFile, name: Annotated[str, Form()], price: Annotated[Decimal, Form()]
) -> dict[str, int]:
    data = await photo.read()
    picture.inspect(data)  # what is no picture is refused here, and nothing is written
    product = Product(name=name, price=price, photo=f"{uuid.uuid4()}.jpg")
    (MEDIA / str(product.photo)).write_bytes(data)
    session.add(product)
    await session.commit()
    return {"id": product.id}


@app.post("/sale")
async def sale(session: Session, share: Annotated[Decimal, Form()]) -> None:
    await session.execute(update(Product).values(price=Product.price * share))
    await session.commit()


@app.exception_handler(ImgsearchError)
async def refused(request: Request, error: ImgsearchError) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, error.http_status)


@app.exception_handler(DBAPIError)
async def refused_by_the_database(request: Request, error: DBAPIError) -> JSONResponse:
    typed = translate(error.orig)
    if typed is None:
        raise error
    return await refused(request, typed)


class ProductAdmin(ModelView, model=Product):
    """SQLAdmin's pages; pictures are imgsearch's own to write."""

    form_excluded_columns = ("images",)
    column_list = (Product.id, Product.name, Product.price)
    can_import = True
    column_import_list = (Product.name, Product.price, Product.photo)
    save_as = True


Admin(app, engine).add_view(ProductAdmin)
