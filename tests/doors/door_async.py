"""SQLAlchemy with asynchronous sessions: the same functions through run_sync, the same SELECT."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from imgsearch import Image, nearest, resolve
from imgsearch import add as add_picture
from imgsearch import remove as remove_picture
from imgsearch.storage import open_store
from tests.doors.counted import statements
from tests.doors.door_sqlalchemy import matching
from tests.doors.scenario import Answer, Item, Place, Question


def _run(place: Place, work: Callable[[AsyncSession], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        url = place.settings.database_url
        engine = create_async_engine(
            "postgresql+psycopg_async://", async_creator=lambda: psycopg.AsyncConnection.connect(url)
        )
        async with AsyncSession(engine) as session:
            found = await work(session)
            await session.commit()
        await engine.dispose()
        return found

    return asyncio.run(run())


def add(place: Place, items: list[Item]) -> None:
    store = open_store(place.settings.storage_url)

    async def work(session: AsyncSession) -> None:
        for i in items:
            values = {"product_id": i.product_id, "tenant": i.tenant_id, "category": i.category, "price": i.price}
            await session.run_sync(add_picture, i.picture(), store=store, **values)

    _run(place, work)


def ask(place: Place, question: Question) -> Answer:
    async def work(session: AsyncSession) -> Answer:
        query = await session.run_sync(resolve, question.query)
        with statements() as seen:
            rows = (await session.execute(nearest(matching(question.filters), query, limit=10))).all()
        return Answer([(row.Image.image_id, row.distance) for row in rows], None, len(seen))

    return _run(place, work)  # type: ignore[no-any-return]


def reprice(place: Place, item: Item, price: float) -> None:
    async def work(session: AsyncSession) -> None:
        found = await session.scalars(matching({"tenant": item.tenant_id}).where(Image.product_id == item.product_id))
        found.one().price = price

    _run(place, work)


def remove(place: Place, item: Item) -> None:
    _run(
        place,
        lambda session: session.run_sync(remove_picture, tenant=item.tenant_id, product_id=item.product_id),
    )
