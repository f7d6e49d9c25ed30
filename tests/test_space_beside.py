"""A filled space is searched beside the active one, explained, asked in SQL; what belongs to one switch stays there."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import psycopg
import pytest

from imgsearch import db, search
from imgsearch.errors import FilterError, SpaceChanged, SpaceNotFull
from imgsearch.ops import lifecycle, maintenance
from imgsearch.query import ImageId, cache
from imgsearch.retrieval import by_filters, explain
from imgsearch.retrieval.recommendation import recommend
from imgsearch.settings import Settings
from imgsearch.spaces import space as spaces
from imgsearch.spaces.space import Space
from tests.loops import add_another
from tests.terminal import Run, run
from tests.test_space_doors import two

__all__ = ["run", "two"]
Connection = psycopg.Connection[Any]
HOW = "SELECT space_id, searchable FROM imgsearch.spaces ORDER BY 1"


def an_image(connection: Connection) -> ImageId:
    row = connection.execute("SELECT min(image_id) FROM imgsearch.image").fetchone()
    assert row is not None
    return ImageId(row[0])


def test_a_fill_ends_with_a_space_that_is_searched_beside_the_active_one(
    connection: Connection, settings: Settings, two: Space, run: Run
) -> None:
    image = an_image(connection)
    with pytest.raises(SpaceNotFull, match="cannot be searched yet"):
        search(connection, image, space="other")
    assert connection.execute(HOW).fetchall() == [(1, True), (2, False)]
    lifecycle.fill(settings, "other")
    assert connection.execute(HOW).fetchall() == [(1, True), (2, True)]
    assert search(connection, image, space="other", k=5, per="image")[0].image_id == image.image_id
    shown = run("space", "list").out
    assert "search" in shown
    assert [one["searchable"] for one in json.loads(run("space", "list", "--json").out)] == [True, True]


def test_what_is_added_after_the_fill_does_not_close_a_space(
    connection: Connection, settings: Settings, two: Space
) -> None:
    """An activation, an upgrade or a promoted attribute writes them all anew, while some images are on their way."""
    lifecycle.fill(settings, "other")
    connection.execute("INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('acme', 'late', 'store:l')")
    connection.execute(
        "INSERT INTO imgsearch.embedding_1 SELECT i.image_id, i.tenant_id, '\\x01', e.embedding FROM imgsearch.image i,"
        " (SELECT embedding FROM imgsearch.embedding_1 LIMIT 1) e WHERE i.product_id = 'late'"
    )
    connection.execute("SELECT imgsearch_internal.write_engines()")
    assert connection.execute(HOW).fetchall() == [(1, True), (2, True)]


def test_a_search_in_another_space_is_explained(
    connection: Connection, settings: Settings, two: Space, run: Run
) -> None:
    lifecycle.fill(settings, "other")
    image = an_image(connection)
    [first, *_] = explain(connection, image, space="other", k=5)
    assert first.startswith("5 of ")
    shown = run("search", "--image-id", str(image.image_id), "--space", "other", "--explain")
    assert shown.code == 0, shown.err
    assert "found by" in shown.out
    rows = connection.execute(
        "SELECT explanation FROM imgsearch.explain_search('red shoe', ranking => imgsearch.ranking_of(%s))",
        (json.dumps({"space": "other"}),),
    ).fetchall()
    assert "found by" in rows[0][0]


def test_sql_asks_the_worker_of_a_named_space(connection: Connection, settings: Settings, two: Space) -> None:
    with pytest.raises(psycopg.Error, match="no embedding is cached") as refused:
        connection.execute("SELECT imgsearch.vec('straw hat', 'other')")
    hint = str(refused.value.diag.message_hint)
    asleep = threading.Event()

    def work() -> None:
        with db.connect(settings, autocommit=True) as worker:
            while not asleep.wait(0.02):
                assert cache.claim(worker, 1, 9) == []
                for asked in cache.claim(worker, two.space_id, 9):
                    cache.answer(worker, two.space_id, asked, np.eye(48, dtype=np.float32)[3])

    thread = threading.Thread(target=work)
    thread.start()
    try:
        connection.execute(hint.split(";")[0].encode())
    finally:
        asleep.set()
        thread.join()
    assert connection.execute("SELECT imgsearch.vec('straw hat', 'other')::text").fetchone() is not None
    with pytest.raises(psycopg.Error, match="no worker embedded") as nobody:
        connection.execute("CALL imgsearch.embed('sun hat', 0.05, space => 'other')")
    assert "imgsearch worker --space other" in str(nobody.value.diag.message_hint)
    with pytest.raises(psycopg.Error, match="there is no space 'nine'"):
        connection.execute("CALL imgsearch.embed('sun hat', space => 'nine')")


@pytest.mark.parametrize("ranking", [{}, {"boost": {"in_stock": 0.1}}, {"per": "image"}])
def test_a_page_is_not_continued_in_another_space(connection: Connection, two: Space, ranking: dict[str, Any]) -> None:
    """A distance of the space before says nothing in this one: rows would be skipped and repeated."""
    after = search(connection, "red shoe", k=5, **ranking).after
    lifecycle.activate(connection, "other")
    with pytest.raises(FilterError, match="another question"):
        search(connection, "red shoe", k=5, after=after, **ranking)
    lifecycle.rollback(connection)
    assert len(search(connection, "red shoe", k=5, after=after, **ranking)) == 5


@pytest.mark.parametrize("strategy", ["centroid", "best"])
def test_a_recommendation_is_asked_anew_once(
    connection: Connection, settings: Settings, two: Space, monkeypatch: pytest.MonkeyPatch, strategy: Any
) -> None:
    activated = []
    resolve = by_filters.questions.resolve

    def late(*args: Any, **named: Any) -> Any:
        resolved = resolve(*args, **named)
        if not activated:
            activated.append(resolved.space_id)
            with db.connect(settings, autocommit=True) as admin:
                lifecycle.activate(admin, "other")
        return resolved

    monkeypatch.setattr(by_filters.questions, "resolve", late)
    hits = recommend(connection, ["red shoe", an_image(connection)], strategy=strategy, k=5)
    assert (len(hits), activated) == (5, [1])


def test_a_recommendation_by_vectors_that_were_kept_is_refused(connection: Connection, two: Space) -> None:
    kept = by_filters.questions.resolve(connection, "red shoe")
    lifecycle.activate(connection, "other")
    with pytest.raises(SpaceChanged):
        recommend(connection, [kept], k=5)


def test_the_first_space_of_a_large_shop_gets_its_indexes(
    connection: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imgsearch.dev.testing import FakeEncoder

    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri, attributes)"
        " SELECT 'acme', 'p' || n, 'store:' || n, jsonb_build_object('title', repeat('x', 200))"
        " FROM generate_series(1, 16000) n"
    )
    first = spaces.ensure(connection, FakeEncoder().describe())
    found = "SELECT check_name, fix FROM imgsearch.doctor_indexes ORDER BY 1"
    assert set(connection.execute(found).fetchall()) == {
        ("no HNSW", "imgsearch index build"),
        ("no index of pictures", "imgsearch index build"),
    }
    assert maintenance.build(settings)
    assert connection.execute("SELECT imgsearch_internal.index_health(%s)", (first.space_id,)).fetchone() == ("valid",)
    assert connection.execute(found).fetchall() == []
    assert not maintenance.build(settings)
    connection.execute("DROP INDEX imgsearch.image_bits_1")
    assert add_another(connection) == 2
    assert "built image_bits_1" in maintenance.reindex(settings)
