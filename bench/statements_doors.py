"""One shop behind three doors: the same question, asked and explained."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Protocol

from imgsearch.dev.demo import catalogue
from imgsearch.settings import Settings

WORDS = "red canvas shoe"
PHOTO = catalogue.draw(catalogue.items(1)[0])
BELOW = 50
PAGE = 24


class Door(Protocol):
    """A framework that asks."""

    name: str
    asked: tuple[str, ...]

    def __init__(self, settings: Settings) -> None: ...
    def ask(self, asked: str) -> int: ...
    def explain(self, asked: str) -> tuple[float, float]: ...
    def close(self) -> None: ...


def times(plan: Any) -> tuple[float, float]:
    """Return planning and execution in ms."""
    [found] = json.loads(plan) if isinstance(plan, str) else plan
    return found["Planning Time"], found["Execution Time"]


class Django:
    """A queryset, filtered, ranked, sliced."""

    name = "Django"
    asked = ("words", "photo", "row", "page")

    def __init__(self, settings: Settings) -> None:
        import django
        from django.conf import settings as project
        from psycopg.conninfo import conninfo_to_dict

        found = conninfo_to_dict(settings.database_url)
        where = {"NAME": found["dbname"], "USER": found["user"], "HOST": found["host"], "PORT": found.get("port", "")}
        project.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", **where}},
            INSTALLED_APPS=["django.contrib.contenttypes", "imgsearch.django"],
            IMGSEARCH={"STORAGE_URL": settings.storage_url},
            USE_TZ=True,
        )
        django.setup()
        from django.db import models

        from imgsearch.django import ImageSearchQuerySet

        class Product(models.Model):  # type: ignore[misc]
            price = models.FloatField()
            objects = ImageSearchQuerySet.as_manager()

            class Meta:
                app_label, db_table, managed = "bench", "product", False

        self.product = Product

    def _ranked(self, asked: str) -> Any:
        query = self.product(pk=7, price=1) if asked == "row" else PHOTO if asked == "photo" else WORDS
        return self.product.objects.filter(price__lt=BELOW).similar_to(query)

    def ask(self, asked: str) -> int:
        from django.core.paginator import Paginator

        if asked == "page":
            return len(Paginator(self._ranked(asked), PAGE).page(1).object_list)
        return len(self._ranked(asked)[:PAGE])

    def explain(self, asked: str) -> tuple[float, float]:
        return times(self._ranked(asked)[:PAGE].explain(analyze=True, format="json"))

    def close(self) -> None:
        from django.db import connections

        connections.close_all()


def _select() -> tuple[Any, Any]:
    from sqlalchemy import Float, Integer, Text, cast, column, select, table

    from imgsearch import Image

    product = table("product", column("id", Integer), column("price", Float))
    joined = select(product, Image).join_from(product, Image, Image.product_id == cast(product.c.id, Text))
    return joined.where(Image.tenant_id == "default", product.c.price < BELOW), product


def _query(session: Any, asked: str) -> Any:
    from sqlalchemy import select

    from imgsearch import Image, ImageId, resolve

    if asked == "row":
        return ImageId(session.scalar(select(Image.image_id).where(Image.product_id == "7")))
    return resolve(session, PHOTO if asked == "photo" else WORDS)


def _page(session: Any, asked: str) -> int:
    from imgsearch import nearest

    statement, product = _select()
    return len(session.execute(nearest(statement, _query(session, asked), per=product.c.id, limit=PAGE)).all())


def _plan(session: Any, asked: str) -> tuple[float, float]:
    from sqlalchemy import event

    from imgsearch import nearest

    statement, product = _select()
    ranked = nearest(statement, _query(session, asked), per=product.c.id, limit=PAGE)

    def explaining(_: Any, __: Any, text: str, parameters: Any, *___: Any) -> tuple[str, Any]:
        return "EXPLAIN (ANALYZE, FORMAT JSON) " + text, parameters

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", explaining, retval=True)
    try:
        return times(connection.execute(ranked).cursor.fetchone()[0])
    finally:
        event.remove(connection, "before_cursor_execute", explaining)


class Alchemy:
    """`nearest()` over the shop's SELECT, in a session."""

    name = "SQLAlchemy"
    asked = ("words", "photo", "row")

    def __init__(self, settings: Settings) -> None:
        from imgsearch import db

        self.engine = db.engine(settings)

    def _in_session(self, work: Any, asked: str) -> Any:
        from sqlalchemy.orm import Session

        with Session(self.engine) as session:
            return work(session, asked)

    def ask(self, asked: str) -> int:
        return int(self._in_session(_page, asked))

    def explain(self, asked: str) -> tuple[float, float]:
        found: tuple[float, float] = self._in_session(_plan, asked)
        return found

    def close(self) -> None:
        self.engine.dispose()


class Asyncio(Alchemy):
    """The same in an AsyncSession."""

    name = "asyncio"

    def __init__(self, settings: Settings) -> None:
        import psycopg
        from sqlalchemy.ext.asyncio import create_async_engine

        self.loop = asyncio.new_event_loop()
        self.asynchronous = create_async_engine(
            "postgresql+psycopg_async://",
            async_creator=lambda: psycopg.AsyncConnection.connect(settings.database_url),
        )

    def _in_session(self, work: Any, asked: str) -> Any:
        from sqlalchemy.ext.asyncio import AsyncSession

        async def run() -> Any:
            async with AsyncSession(self.asynchronous) as session:
                return await session.run_sync(work, asked)

        return self.loop.run_until_complete(run())

    def close(self) -> None:
        self.loop.run_until_complete(self.asynchronous.dispose())
        self.loop.close()
