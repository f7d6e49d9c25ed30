"""What becomes of a question while its asker waits: it is answered, whatever happens beside it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from bench.soak import pictures
from imgsearch import db
from imgsearch.db import sql
from imgsearch.dev.testing import FakeEncoder
from imgsearch.ingest import upload
from imgsearch.query import Resolved, resolve
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.storage import open_store
from tests.answering import answering
from tests.processes import eventually

Connection = psycopg.Connection[Any]
LONG = 20.0  # seconds that a lost question would wait


def asked_beside(settings: Settings, query: str | bytes) -> Resolved:
    with db.connect(settings) as mine:
        return resolve(mine, query, timeout=LONG)


@pytest.mark.parametrize(
    "change", ["DELETE FROM imgsearch.image", "UPDATE imgsearch.image SET sha256 = sha256(sha256)"]
)
def test_a_picture_is_answered_though_its_image_goes_meanwhile(
    settings: Settings, connection: Connection, space: Space, change: str
) -> None:
    """The question goes with the image of the same bytes; whoever waits for it asks again."""
    photo = pictures.draw(1)
    upload.add(connection, photo, product_id="p1", tenant="acme", store=open_store(settings.storage_url))
    tickets = "SELECT ticket FROM imgsearch.query_vector WHERE kind = 'picture'"
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(asked_beside, settings, photo)
        assert eventually(lambda: connection.execute(tickets).fetchone(), LONG)
        [before] = connection.execute(tickets).fetchall()
        connection.execute(change.encode())
        with answering(settings, space):
            assert asking.result().source == "worker"
    assert connection.execute(tickets).fetchall() != [before], "it was forgotten meanwhile"


def test_words_that_the_database_spells_otherwise_are_answered(
    settings: Settings, connection: Connection, space: Space
) -> None:
    """A letter whose small form is newer than Python's Unicode, say: the database's key is the one that counts."""
    connection.execute(
        "CREATE OR REPLACE FUNCTION imgsearch_internal.canonical(query text) RETURNS text LANGUAGE sql IMMUTABLE "
        "PARALLEL SAFE AS $$ SELECT replace(lower(query), '\u00df', 'ss') $$"
    )
    with answering(settings, space) as asked:
        found = asked_beside(settings, "Gro\u00df")
        assert [one.query for one in asked] == ["gross"]
        assert resolve(connection, "gro\u00df").source == "memory"
    assert [float(number) for number in found.vector[1:-1].split(",")] == pytest.approx(
        list(FakeEncoder().embed_texts(["gross"])[0]), abs=1e-3
    )


def test_a_tenant_that_asks_much_loses_only_its_own_answers(connection: Connection, space: Space) -> None:
    connection.execute(
        """INSERT INTO imgsearch.query_vector (tenant_id, space_id, kind, key, error_code, answered_at)
        SELECT tenant, %s, 'text', sha256(n::text::bytea), 'x', now() - n * interval '1 s'
        FROM (VALUES ('bot', 50), ('club', 30), ('shop', 15)) t (tenant, many), generate_series(1, many) n""",
        (space.space_id,),
    )
    sql.run(connection, "query_cache", "bound", {"most": 20})
    left = (
        "SELECT tenant_id, count(*), min(answered_at) > now() - interval '1 min' FROM imgsearch.query_vector GROUP BY 1"
    )
    assert connection.execute(left + " ORDER BY 1").fetchall() == [
        ("bot", 20, True),
        ("club", 20, True),
        ("shop", 15, True),
    ]
