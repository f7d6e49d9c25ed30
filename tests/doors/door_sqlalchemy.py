"""SQLAlchemy: add() in a session, nearest() over the caller's own SELECT."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, delete, select, update
from sqlalchemy.orm import Session

from imgsearch import Image, db, nearest, resolve
from imgsearch import add as add_picture
from imgsearch.storage import open_store
from tests.doors.counted import statements
from tests.doors.scenario import Answer, Item, Place, Question


def add(place: Place, items: list[Item]) -> None:
    store = open_store(place.settings.storage_url)
    with Session(db.engine(place.settings)) as session:
        for i in items:
            values = {"product_id": i.product_id, "tenant": i.tenant_id, "category": i.category, "price": i.price}
            add_picture(session, i.picture(), store=store, **values)
        session.commit()


def matching(filters: dict[str, Any]) -> Select[Any]:
    """Return the caller's own SELECT."""
    statement = select(Image)
    if "tenant" in filters:
        statement = statement.where(Image.tenant_id == filters["tenant"])
    if "category" in filters:
        statement = statement.where(Image.category == filters["category"])
    if "max_price" in filters:
        statement = statement.where(Image.price <= filters["max_price"])
    return statement


def ask(place: Place, question: Question) -> Answer:
    with Session(db.engine(place.settings)) as session:
        query = resolve(session, question.query)
        with statements() as seen:
            rows = session.execute(nearest(matching(question.filters), query, limit=10)).all()
    return Answer([(row.Image.image_id, row.distance) for row in rows], None, len(seen))


def reprice(place: Place, item: Item, price: float) -> None:
    with Session(db.engine(place.settings)) as session:
        session.execute(update(Image).where(*_is(item)).values(price=price))
        session.commit()


def remove(place: Place, item: Item) -> None:
    with Session(db.engine(place.settings)) as session:
        session.execute(delete(Image).where(*_is(item)))
        session.commit()


def _is(item: Item) -> tuple[Any, Any]:
    return Image.tenant_id == item.tenant_id, Image.product_id == item.product_id
