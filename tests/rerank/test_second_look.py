"""A second look by vectors: the order it comes to, its pages, its walls, and what happens where nobody looks."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import psycopg
import pytest
from imgsearch_workers.looking.neighbours import expanded, k_reciprocal

from imgsearch import db
from imgsearch.errors import FilterError
from imgsearch.query import ImageId
from imgsearch.retrieval import Hits, search
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.answering import seen
from tests.crowd import crowd
from tests.processes import WorkerProcess, eventually
from tests.rerank.looking import looking

Connection = psycopg.Connection[Any]
STEP = {"step": "k_reciprocal", "pool": 40}


def vectors_of(connection: Connection, images: list[int]) -> dict[int, np.ndarray]:
    rows = connection.execute(
        "SELECT image_id, embedding::text FROM imgsearch.vectors WHERE image_id = ANY (%s)", (images,)
    ).fetchall()
    found = {image: np.array(json.loads(text)) for image, text in rows}
    return {image: vector / np.linalg.norm(vector) for image, vector in found.items()}


def an_image(connection: Connection, tenant: str = "acme") -> int:
    row = connection.execute("SELECT min(image_id) FROM imgsearch.image WHERE tenant_id = %s", (tenant,)).fetchone()
    return int(row[0])  # type: ignore[index]


def ids(hits: Hits) -> list[int]:
    return [hit.image_id for hit in hits]


@pytest.fixture
def pictures(connection: Connection, space: Space) -> Space:
    crowd(connection, space, 600)
    return space


def test_the_order_is_that_of_the_formula(settings: Settings, connection: Connection, pictures: Space) -> None:
    asked = an_image(connection)
    before = ids(search(connection, ImageId(asked), tenant="acme", k=40))
    vectors = vectors_of(connection, [asked, *before])
    stacked = np.array([vectors[one] for one in before])
    with looking(settings, pictures):
        for step, distances in (
            ("k_reciprocal", k_reciprocal(vectors[asked], stacked)),
            ("expand", 1 - stacked @ expanded(vectors[asked], stacked)),
        ):
            hits = search(connection, ImageId(asked), tenant="acme", k=40, rerank={"step": step, "pool": 40})
            assert ids(hits) == [before[one] for one in np.argsort(distances, kind="stable")]
            assert hits.reranked is not None
            [done] = hits.reranked.steps
            moved = sum(one != other for one, other in zip(ids(hits), before, strict=True))
            assert (done.step, done.code, done.looked, done.moved) == (step, None, 40, moved)
            assert moved > 5
            assert 0 < done.took_ms < hits.reranked.took_ms
            assert (hits.reranked.code, hits.reranked.pool) == (None, 40)


@pytest.mark.parametrize("k", [7, 13, 40])
def test_pages_repeat_and_lose_nothing(settings: Settings, connection: Connection, pictures: Space, k: int) -> None:
    asked = ImageId(an_image(connection))
    plain = ids(search(connection, asked, tenant="acme", k=100))
    with looking(settings, pictures):
        pages = [search(connection, asked, tenant="acme", k=k, rerank=STEP)]
        while len(pages) * k < 80:
            pages.append(search(connection, asked, tenant="acme", k=k, rerank=STEP, after=pages[-1].after))
        whole = search(connection, asked, tenant="acme", k=80, rerank=STEP)
        skipped = search(connection, asked, tenant="acme", k=k, skip=5, rerank=STEP)
    shown = [image for page in pages for image in ids(page)]
    assert shown[:80] == ids(whole)
    assert sorted(shown[:40]) == sorted(plain[:40]) != shown[:40]
    assert shown[40:] == plain[40 : len(shown)]
    assert ids(skipped) == ids(whole)[5 : 5 + k]
    assert [page.reranked.code for page in pages if page.reranked][-1] in {"behind", None}


def test_a_page_stands_while_others_write(settings: Settings, connection: Connection, pictures: Space) -> None:
    """What went or no longer matches is not shown, what came pushes nothing out."""
    asked = ImageId(an_image(connection))
    with looking(settings, pictures):
        whole = ids(search(connection, asked, tenant="acme", k=60, in_stock=True, rerank=STEP))
        first = search(connection, asked, tenant="acme", k=10, in_stock=True, rerank=STEP)
        connection.execute("DELETE FROM imgsearch.image WHERE image_id = %s", (whole[12],))
        connection.execute("UPDATE imgsearch.image SET in_stock = false WHERE image_id = %s", (whole[15],))
        crowd(connection, pictures, 80, first=5000)
        second = search(connection, asked, tenant="acme", k=20, in_stock=True, rerank=STEP, after=first.after)
    assert ids(first) == whole[:10]
    assert ids(second) == [one for one in whole[10:32] if one not in {whole[12], whole[15]}]


def test_filters_and_cuts_hold(settings: Settings, connection: Connection, pictures: Space) -> None:
    asked = ImageId(an_image(connection))
    wanted: dict[str, Any] = {"tenant": "acme", "category": "shoes", "max_price": 60, "max_distance": 0.9}
    plain = search(connection, asked, k=100, **wanted)
    with looking(settings, pictures):
        hits = search(connection, asked, k=100, rerank=STEP, **wanted)
        images = search(connection, asked, k=50, per="image", rerank=STEP, **wanted)
    assert sorted(ids(hits)) == sorted(ids(plain))
    assert {hit.category for hit in hits} == {"shoes"}
    assert max(hit.distance for hit in hits) <= 0.9
    assert (hits.matches, hits.more) == (plain.matches, plain.more)
    assert {hit.pictures for hit in images} == {None}


def test_pinned_rows_stay_first(settings: Settings, connection: Connection, pictures: Space) -> None:
    asked = ImageId(an_image(connection))
    far = search(connection, asked, tenant="acme", k=200)[-1].product_id
    connection.execute(
        "INSERT INTO imgsearch.merchandise (tenant_id, product_id, place) VALUES ('acme', %s, 1)", (far,)
    )
    with looking(settings, pictures):
        hits = search(connection, asked, tenant="acme", k=50, rerank=STEP)
        one = search(connection, asked, tenant="acme", k=1, rerank=STEP)
        rest = search(connection, asked, tenant="acme", k=49, rerank=STEP, after=one.after)
    assert hits[0].product_id == far == one[0].product_id
    assert [*ids(one), *ids(rest)][1:40] == ids(hits)[1:40]


def test_a_tenant_reads_only_its_own(settings: Settings, connection: Connection, pictures: Space) -> None:
    """Also where somebody writes a request by hand: of another's pictures its worker learns nothing."""
    theirs = [
        one[0] for one in connection.execute("SELECT image_id FROM imgsearch.image WHERE tenant_id = 'bolt' LIMIT 5")
    ]
    asked = {
        "space": pictures.space_id,
        "steps": [{"step": "k_reciprocal", "pool": 5, "given": {"k1": 2, "k2": 1, "weight": 0.3}}],
        "question": {"image_id": theirs[0], "vector": str([1.0] * pictures.dimension)},
        "images": theirs,
        "pool": {"rows": [{"distance": 0.1}] * 5},
        "belongs_to": "x",
    }
    with looking(settings, pictures), db.connect(settings) as mine:
        mine.execute("SELECT set_config('imgsearch.tenant', 'acme', false)")
        mine.execute("SET ROLE imgsearch_reader")
        ticket = mine.execute("SELECT imgsearch_internal.enqueue_look(%s, NULL, 5)", (json.dumps(asked),)).fetchone()[0]  # type: ignore[index]
        mine.commit()
        look_up = "SELECT answer FROM imgsearch.second_look WHERE ticket = %s AND answered_at IS NOT NULL"
        answer = eventually(lambda: connection.execute(look_up, (ticket,)).fetchone())[0]
        assert answer["steps"][0]["code"] == "nothing_to_go_by"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            mine.execute("SELECT question FROM imgsearch.second_look")
        mine.rollback()
        mine.execute("SELECT set_config('imgsearch.tenant', 'bolt', false)")
        assert mine.execute("SELECT count(*) FROM imgsearch.second_look").fetchone() == (0,)


def test_nobody_looks(settings: Settings, connection: Connection, pictures: Space) -> None:
    asked = ImageId(an_image(connection))
    plain = search(connection, asked, tenant="acme", k=15)
    hits = search(connection, asked, tenant="acme", k=15, rerank=STEP)
    assert (list(hits), hits.after) == (list(plain), plain.after)
    assert hits.reranked is not None
    assert (hits.reranked.code, hits.reranked.steps) == ("no_worker", ())
    seen(connection, pictures)  # it lives, but does not answer
    hits = search(connection, asked, tenant="acme", k=15, rerank=STEP, rerank_timeout=0.3)
    assert list(hits) == list(plain)
    assert hits.reranked is not None
    assert hits.reranked.code == "time_over"
    assert hits.reranked.took_ms < 3000
    following = search(connection, asked, tenant="acme", k=15, rerank=STEP, after=hits.after)
    assert ids(following) == ids(search(connection, asked, tenant="acme", k=30))[15:]


def test_a_database_that_cannot_be_asked_costs_the_look_alone(
    settings: Settings, connection: Connection, pictures: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ImageId(an_image(connection))
    plain = list(search(connection, asked, tenant="acme", k=15))
    monkeypatch.setenv("IMGSEARCH_PRIMARY_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    hits = search(connection, asked, tenant="acme", k=15, rerank=STEP)
    assert hits.reranked is not None
    assert (list(hits), hits.reranked.code) == (plain, "not_asked")


def test_a_cursor_of_another_question_or_of_yesterday_is_refused(
    settings: Settings, connection: Connection, pictures: Space
) -> None:
    asked = ImageId(an_image(connection))
    with looking(settings, pictures):
        hits = search(connection, asked, tenant="acme", k=5, rerank=STEP)
    for other in ({"rerank": "expand"}, {"rerank": STEP, "in_stock": True}):
        with pytest.raises(FilterError, match="another question"):
            search(connection, asked, tenant="acme", k=5, after=hits.after, **other)  # type: ignore[arg-type]
    with pytest.raises(FilterError):
        search(connection, asked, tenant="acme", k=5, after=hits.after)
    connection.execute("DELETE FROM imgsearch.second_look")
    with pytest.raises(FilterError, match="no longer kept"):
        search(connection, asked, tenant="acme", k=5, after=hits.after, rerank=STEP)


@pytest.mark.parametrize(
    ("rerank", "said"),
    [
        ("magic", "no step 'magic'"),
        ([], "1 to 4 steps"),
        (["expand"] * 5, "1 to 4 steps"),
        ({"step": "spatial", "pool": 101}, "pool is 101"),
        ({"step": "k_reciprocal", "k1": 0}, "k1 is 0"),
        ({"step": "k_reciprocal", "weight": float("nan")}, "weight is nan"),
        ({"step": "k_reciprocal", "k1": 2.5}, "whole number"),
        ({"step": "expand", "sigma": 1}, "takes no 'sigma'"),
        ({"step": "custom"}, "the name of a step"),
        ({"step": "custom", "name": "os:system"}, "the name of a step"),
        ({"step": "custom", "name": "fresh", "parameters": {"a": "x" * 5000}}, "bytes of JSON"),
    ],
)
def test_what_is_no_step_is_refused(connection: Connection, space: Space, rerank: Any, said: str) -> None:
    with pytest.raises(FilterError, match=said):
        search(connection, [1.0] * space.dimension, rerank=rerank)


def test_the_page_is_checked_as_ever(connection: Connection, space: Space) -> None:
    for k, skip in ((0, 0), (1001, 0), (10, -1), (600, 600)):
        with pytest.raises(FilterError):
            search(connection, [1.0] * space.dimension, k=k, skip=skip, rerank="expand")


def test_in_a_transaction_with_a_whole_worker(
    settings: Settings, connection: Connection, pictures: Space, environment: dict[str, str], tmp_path: Any
) -> None:
    asked = ImageId(an_image(connection))
    with WorkerProcess(settings, environment, tmp_path / "worker.log", "queries"), db.connect(settings) as mine:
        hits = search(mine, asked, tenant="acme", k=10, rerank=["expand", STEP], rerank_timeout=30)
        assert hits.reranked is not None
        assert [(one.step, one.code) for one in hits.reranked.steps] == [("expand", None), ("k_reciprocal", None)]
        assert mine.info.transaction_status.name == "INTRANS"


def test_sql_has_images_ranked_anew(settings: Settings, connection: Connection, pictures: Space) -> None:
    asked = an_image(connection)
    before = ids(search(connection, ImageId(asked), tenant="acme", k=30))
    call = "CALL imgsearch.rerank(%s, %s, image_id => %s, timeout_seconds => %s)"
    images, steps = connection.execute(call, (before, '[{"step": "k_reciprocal"}]', asked, 0.2)).fetchone()  # type: ignore[misc]
    assert (images, steps) == (before, None), "nobody looks: they stand as they were"
    with looking(settings, pictures):
        here = search(connection, ImageId(asked), tenant="acme", k=30, rerank={"step": "k_reciprocal", "pool": 30})
        images, [step] = connection.execute(call, (before, '[{"step": "k_reciprocal"}]', asked, 20)).fetchone()  # type: ignore[misc]
        assert images == ids(here) != before
        assert (step["step"], step["looked"]) == ("k_reciprocal", 30)
        narrow = search(connection, ImageId(asked), tenant="acme", k=30, rerank={"step": "k_reciprocal", "pool": 8})
        few = '[{"step": "k_reciprocal", "pool": 8}]'
        images, [step] = connection.execute(call, (before, few, asked, 20)).fetchone()  # type: ignore[misc]
        assert (images, step["looked"]) == (ids(narrow), 8), "the parameters of the page are those of SQL"
        for bad in ('[{"step": "magic"}]', '[{"step": "expand", "sigma": 1}]', "[{}]", '[{"step": "custom"}]', "[1]"):
            images, [step] = connection.execute(call, (before, bad, asked, 20)).fetchone()  # type: ignore[misc]
            assert (images, step["code"]) == (before, "not_set" if "custom" in bad else "failed"), bad
        assert connection.execute(call, (before, '["expand"]', asked, 20)).fetchone()[0] != before  # type: ignore[index]
        write = "SELECT imgsearch_internal.enqueue_look(%s, NULL, 5)"
        step = {"step": "expand", "pool": 9, "given": {}}
        whole = {"space": 1, "steps": [step], "question": {}, "images": before, "pool": {"rows": []}, "belongs_to": ""}
        for nonsense in (
            {"steps": 7},
            {"space": 4711},
            {"question": [1]},
            {"pool": {"rows": 3}},
            {"steps": [{"step": "expand"}]},
            {"question": {"vector": "[x]"}},
            {"steps": [step | {"given": {"nearest": "many"}}], "question": {"vector": "[1,2]"}},
        ):
            [(ticket,)] = connection.execute(write, (json.dumps(whole | nonsense),)).fetchall()
            look_up = (
                "SELECT answer -> 'steps' -> 0 ->> 'code' FROM imgsearch.second_look "
                "WHERE ticket = %s AND answer IS NOT NULL"
            )
            [code] = eventually(lambda: connection.execute(look_up, (ticket,)).fetchone())  # noqa: B023
            assert code in {"failed", "nothing_to_go_by"}, nonsense
    for wrong in ("{}", "[]", "[1,2,3,4,5]"):
        with pytest.raises(psycopg.Error, match="1 to 4 steps"):
            connection.execute(call, (before, wrong, asked, 1))
    for pool in ("1", "101", '"9"', "2.5", "null", "[2]"):
        with pytest.raises(psycopg.Error, match="pool is") as refused:
            connection.execute(call, (before, f'[{{"step": "spatial", "pool": {pool}}}]', asked, 1))
        assert refused.value.sqlstate == "IM008"
    with pytest.raises(psycopg.Error, match="too large"):
        connection.execute(write, (json.dumps(whole | {"steps": [step] * 5}),))
