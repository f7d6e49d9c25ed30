"""A session on another driver than psycopg 3: the server is set up wrongly, and no visitor is to blame."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

import imgsearch
from imgsearch.db.sqlstate import translate
from imgsearch.errors import SettingsError

CALLS: dict[str, Callable[[Session], object]] = {
    "add": lambda session: imgsearch.add(session, "https://shop.example/1.jpg", product_id="1"),
    "change": lambda session: imgsearch.change(session, product_id="1", price=1),
    "remove": lambda session: imgsearch.remove(session, product_id="1"),
    "resolve": lambda session: imgsearch.resolve(session, "shoe"),
    "search": lambda session: imgsearch.search(session, "shoe"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_another_driver_is_named_with_the_cure(call: Callable[[Session], object]) -> None:
    with Session(create_engine("sqlite://")) as session, pytest.raises(SettingsError) as caught:
        call(session)
    assert caught.value.http_status == 500
    assert "sqlite3" in str(caught.value)
    assert "postgresql+psycopg://" in str(caught.value)


def test_what_another_driver_raises_is_not_ours_to_explain() -> None:
    """What asyncpg raises is: tests/adopt/fastapi."""
    with create_engine("sqlite://").connect() as connection, pytest.raises(DBAPIError) as caught:
        connection.execute(text("SELECT * FROM nothing"))
    assert translate(caught.value.orig) is None
