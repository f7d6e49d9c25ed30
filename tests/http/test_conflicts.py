"""Two who change the same images at once: one of them is told to try again, never that the server broke."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
from flask import Flask

from imgsearch.settings import Settings
from tests.http.conftest import problem, with_key
from tests.processes import eventually

Connection = psycopg.Connection[Any]
WAITING = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
PRICE = "UPDATE imgsearch.image SET price = 1 WHERE image_id = %s"


def test_a_deadlock_is_a_conflict_that_may_be_tried_again(
    app: Flask, connection: Connection, settings: Settings, key_of: Callable[..., str], shop: list[int]
) -> None:
    first, second = shop[0], shop[3]  # both acme's
    for place, image in enumerate((first, second)):
        of = "UPDATE imgsearch.image SET product_id = 'two', position = %s WHERE image_id = %s"
        connection.execute(of, (place, image))
    key = with_key(key_of(scope="write"))

    def change() -> Any:
        return app.test_client().patch("/v1/products/two", json={"price": 2}, headers=key)

    change()
    with psycopg.connect(settings.database_url) as other, ThreadPoolExecutor() as pool:
        other.execute(PRICE, (second,))
        asked = pool.submit(lambda: app.test_client().patch("/v1/products/two", json={"price": 3}, headers=key))
        eventually(lambda: bool(connection.execute(WAITING).fetchone()[0]), 20, "the change waits")  # type: ignore[index]
        other.execute("SET deadlock_timeout = '60s'")
        other.execute(PRICE, (first,))  # goes on once the change has given way
        answer = asked.result(30)
        other.rollback()
    assert "again" in problem(answer, 409, "conflict")["detail"]
    assert change().status_code == 200
