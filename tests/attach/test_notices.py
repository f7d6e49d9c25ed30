"""attach(), detach() and enable_rls() say nothing of what is not there: people take a NOTICE for a fault."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

PICTURES = ", pictures => 'picture', picture_of => 'product_id', image => 'file'"


@pytest.mark.parametrize("arguments", [", image => 'photo'", PICTURES])
def test_attaching_detaching_and_row_level_security_say_nothing(
    connection: psycopg.Connection[Any], arguments: str
) -> None:
    connection.execute(
        "CREATE TABLE ware (id integer PRIMARY KEY, photo text);"
        "CREATE TABLE picture (product_id integer, file text); CREATE INDEX ON picture (product_id)"
    )
    notices: list[str | None] = []
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    for detach in ("'ware', keep => true", "'ware'"):
        connection.execute(f"SELECT imgsearch.attach('ware', key => 'id'{arguments})".encode())
        connection.execute(f"SELECT imgsearch.detach({detach})".encode())
    connection.execute("DROP POLICY one_tenant ON imgsearch.image")
    connection.execute("SELECT imgsearch.enable_rls()")
    assert notices == []
