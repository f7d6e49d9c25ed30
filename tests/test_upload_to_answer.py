"""From a picture to an answer, through a real worker process: add → claim → embed → deliver → search."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from PIL import Image

from imgsearch.errors import NoSpace, PictureError, QueryError, QueryTimeout, UnknownImage, VectorError
from imgsearch.ingest import upload
from imgsearch.query import ImageId, resolve
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.storage import Store, open_store
from tests.processes import WorkerProcess, eventually

Connection = psycopg.Connection[Any]


def jpeg(colour: tuple[int, int, int], size: int = 320) -> bytes:
    """Return a picture: the left half of one colour, the right half of its complement."""
    image = Image.new("RGB", (size, size), colour)
    image.paste((255 - colour[0], 255 - colour[1], 255 - colour[2]), (size // 2, 0, size, size))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


@pytest.fixture
def store(settings: Settings) -> Store:
    return open_store(settings.storage_url)


def ready(connection: Connection) -> int:
    row = connection.execute("SELECT ready FROM imgsearch.status").fetchone()
    return int(row[0]) if row else 0


def test_a_picture_is_searchable_soon_after_it_is_added(
    connection: Connection, store: Store, worker: WorkerProcess
) -> None:
    colours = {"red": (250, 10, 10), "green": (10, 250, 10), "blue": (10, 10, 250)}
    for name, colour in colours.items():
        found = upload.add(connection, jpeg(colour), product_id=name, tenant="acme", price=9.5, store=store)
        assert found.outcome == "added"
    eventually(lambda: ready(connection) == 3, what="three pictures ready")
    assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []

    for name, colour in colours.items():
        resolved = resolve(connection, jpeg(colour, size=200))
        assert resolved.source == "worker"
        rows = connection.execute(
            "SELECT product_id, distance FROM imgsearch.search(%s::halfvec, k => 3)", (resolved.vector,)
        ).fetchall()
        assert len(rows) == 3
        assert rows[0][0] == name
        assert rows[0][1] < 0.01


def test_a_file_without_its_last_bytes_is_searched_and_marked_until_it_is_replaced(
    connection: Connection, store: Store, worker: WorkerProcess
) -> None:
    whole = jpeg((250, 10, 10))
    upload.add(connection, whole[:-2], product_id="cut", tenant="acme", store=store)
    eventually(lambda: ready(connection) == 1, what="the cut picture ready")
    upload.add(connection, whole[:-2], product_id="same", tenant="acme", store=store)  # its vector is known by then
    upload.add(connection, whole, product_id="whole", tenant="acme", store=store)
    eventually(lambda: ready(connection) == 3, what="all ready")
    marks = "SELECT product_id, incomplete FROM imgsearch.images ORDER BY product_id"
    assert connection.execute(marks).fetchall() == [("cut", True), ("same", True), ("whole", False)]
    upload.add(connection, whole, product_id="cut", tenant="acme", store=store)
    eventually(lambda: ready(connection) == 3, what="the replaced picture ready")
    assert connection.execute(marks).fetchall() == [("cut", False), ("same", True), ("whole", False)]


def test_a_new_text_is_embedded_in_one_go_from_sql_and_remembered(
    connection: Connection, worker: WorkerProcess
) -> None:
    with pytest.raises(psycopg.Error, match="no embedding is cached for the text") as refused:
        connection.execute("SELECT imgsearch.vec('Red, canvas shoe!')")
    assert "CALL imgsearch.embed('Red, canvas shoe!')" in (refused.value.diag.message_hint or "")
    connection.execute("CALL imgsearch.embed('Red, canvas shoe!')")
    first = connection.execute("SELECT imgsearch.vec('red canvas SHOE')::text").fetchone()
    resolved = resolve(connection, "red   canvas shoe")
    assert first == (resolved.vector,)
    assert resolved.source == "database"
    assert resolve(connection, "red canvas shoe").source == "memory"
    kept = connection.execute("SELECT query, picture FROM imgsearch.query_vector").fetchall()
    assert kept == [(None, None)], "what people asked is not kept"


def test_asking_does_not_disturb_the_callers_transaction(settings: Settings, worker: WorkerProcess) -> None:
    from imgsearch import db

    with db.connect(settings) as caller:
        caller.execute("CREATE TABLE mine (n integer)")
        with pytest.raises(QueryError):
            resolve(caller, "   ")
        with pytest.raises(UnknownImage):
            resolve(caller, ImageId(999))
        assert resolve(caller, "something new").source == "worker"
        caller.execute("INSERT INTO mine VALUES (1)")
        caller.rollback()
        assert caller.execute("SELECT to_regclass('mine')").fetchone() == (None,)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("", QueryError),
        ("?!", QueryError),
        ("x" * 10_000, QueryError),
        (b"not a picture", PictureError),
        (Path("/nowhere/at/all.jpg"), QueryError),
        ([1.0, 2.0], VectorError),
        ([0.0] * 48, VectorError),
        ([float("nan")] * 48, VectorError),
        ([1e9] + [0.0] * 47, VectorError),
        (ImageId(12345), UnknownImage),
    ],
)
def test_an_unusable_query_says_so(connection: Connection, space: Space, query: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        resolve(connection, query, timeout=0.1)


def test_without_a_worker_a_new_text_times_out_and_without_a_space_there_is_nothing_to_ask(
    connection: Connection,
) -> None:
    with pytest.raises(NoSpace, match="imgsearch worker"):
        resolve(connection, "anything")


def test_a_query_nobody_answers_times_out(connection: Connection, space: Space) -> None:
    began = time.monotonic()
    with pytest.raises(QueryTimeout, match="imgsearch worker --queue queries"):
        resolve(connection, "anything", timeout=0.3)
    assert time.monotonic() - began < 9, "the default is 10"


def test_adding_again_changes_nothing_and_new_bytes_replace(connection: Connection, store: Store) -> None:
    def add(colour: tuple[int, int, int], **more: Any) -> str:
        return upload.add(connection, jpeg(colour), product_id=1, tenant="acme", store=store, **more).outcome

    assert add((1, 2, 3), price=5) == "added"
    assert add((1, 2, 3), price=5) == "unchanged"
    assert add((1, 2, 3), price=6) == "changed"
    assert add((3, 2, 1), price=6) == "replaced"
    assert connection.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (1,)


def test_the_same_bytes_are_embedded_once_and_all_products_are_ready(
    connection: Connection, store: Store, worker: WorkerProcess
) -> None:
    picture = jpeg((200, 30, 90))
    for product in range(40):
        upload.add(connection, picture, product_id=product, tenant="acme", store=store)
    eventually(lambda: ready(connection) == 40, what="forty pictures ready")
    distinct = connection.execute("SELECT count(DISTINCT embedding::text) FROM imgsearch.embedding_1").fetchone()
    assert distinct == (1,)


def test_a_missing_object_is_tried_again_and_a_bad_picture_is_set_aside_alone(
    connection: Connection, store: Store, worker: WorkerProcess
) -> None:
    truncated = jpeg((1, 2, 3))[:900]
    good = [
        upload.add(connection, jpeg((n, 90, 9)), product_id=f"good{n}", tenant="acme", store=store) for n in range(5)
    ]
    uri = store.put(truncated)
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri, sha256) VALUES ('acme', 'bad', %s, sha256(%s)),"
        " ('acme', 'lost', 'store:aa/' || repeat('a', 64), NULL)",
        (uri, truncated),
    )
    eventually(lambda: ready(connection) == len(good), what="the neighbours ready")
    found = eventually(
        lambda: connection.execute("SELECT product_id, error_code, attempts FROM imgsearch.failures").fetchall(),
        what="the bad picture set aside",
    )
    assert found == [("bad", "truncated", 1)]
    waiting = eventually(
        lambda: connection.execute(
            "SELECT error_code FROM imgsearch.job WHERE state = 'pending' AND attempts > 0"
        ).fetchone(),
        what="the missing object waiting for another try",
    )
    assert waiting == ("missing",)


def test_a_rolled_back_upload_leaves_no_row(settings: Settings, connection: Connection, store: Store) -> None:
    from imgsearch import db

    with db.connect(settings) as caller:
        upload.add(caller, jpeg((5, 5, 5)), product_id=1, tenant="acme", store=store)
        caller.rollback()
    assert connection.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM imgsearch.job").fetchone() == (0,)


def test_a_stopped_worker_gives_back_what_it_holds(
    connection: Connection, settings: Settings, store: Store, worker: WorkerProcess
) -> None:
    for n in range(60):
        upload.add(connection, jpeg((n, 255 - n, 7)), product_id=n, tenant="acme", store=store)
    assert worker.end() == 0
    assert connection.execute(
        "SELECT count(*) FROM imgsearch.job WHERE state = 'leased' OR attempts > 0"
    ).fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM imgsearch.worker").fetchone() == (0,)
