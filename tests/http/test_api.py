"""The JSON API answers what the search answers, takes pictures, and says in a typed way what is wrong."""

from __future__ import annotations

import io
import json
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from imgsearch.dev.testing import FAKE
from imgsearch.flask import create_app
from imgsearch.http.metrics import COUNTERS, HISTOGRAMS
from imgsearch.ops.metrics import exposition
from imgsearch.query import resolve
from imgsearch.retrieval import search
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.conftest import with_settings
from tests.http.conftest import Teach, problem
from tests.processes import WorkerProcess, eventually

Connection = psycopg.Connection[Any]


def jpeg(colour: tuple[int, int, int], size: int = 96) -> bytes:
    image = Image.new("RGB", (size, size), colour)
    image.paste((255 - colour[0], 255 - colour[1], 255 - colour[2]), (size // 2, 0, size, size))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def form(pictures: list[bytes], request: dict[str, Any]) -> dict[str, Any]:
    return {
        "picture": [(io.BytesIO(one), f"{n}.jpg") for n, one in enumerate(pictures)],
        "request": json.dumps(request),
    }


def test_a_search_by_words_and_filters_answers_what_python_answers(
    anyone: FlaskClient, connection: Connection, shop: list[int]
) -> None:
    filters = {
        "tenant": "acme",
        "category": ["shoes"],
        "max_price": 100,
        "in_stock": True,
        "attributes": {"colour": "red"},
    }
    found = anyone.post("/v1/search", json={"text": "red shoe", "k": 5, **filters}).get_json()
    hits = search(connection, "red shoe", k=5, **filters)  # type: ignore[arg-type]
    assert [row["image_id"] for row in found["rows"]] == [hit.image_id for hit in hits]
    assert [row["distance"] for row in found["rows"]] == [hit.distance for hit in hits]
    assert found["rows"]
    first = found["rows"][0]
    assert (first["tenant_id"], first["category"], first["in_stock"], first["attributes"]["colour"]) == (
        "acme",
        "shoes",
        True,
        "red",
    )
    assert first["title"].startswith("Thing")
    assert first["thumbnail"].startswith("/thumbnail/")
    assert (found["strategy"], found["complete"], found["more"]) == (hits.strategy, hits.complete, hits.more)
    assert set(found["took_ms"]) == {"resolve", "sql", "facets"}


def test_pages_follow_one_another(anyone: FlaskClient, shop: list[int]) -> None:
    seen: list[int] = []
    after = None
    while True:
        found = anyone.post("/v1/search", json={"text": "red shoe", "k": 7, "after": after}).get_json()
        if not found["rows"]:
            assert found["after"] is None
            break
        seen += [row["image_id"] for row in found["rows"]]
        after = found["after"]
    assert len(seen) == len(set(seen)) == 30


def test_an_image_a_vector_and_several_examples_are_queries_too(
    anyone: FlaskClient, connection: Connection, shop: list[int], teach: Teach
) -> None:
    by_image = anyone.post("/v1/search", json={"image_id": shop[4], "k": 3}).get_json()
    assert by_image["rows"][0]["image_id"] == shop[4]
    by_vector = anyone.post("/v1/search", json={"vector": teach("red shoe"), "k": 30}).get_json()
    by_text = anyone.post("/v1/search", json={"text": "red shoe", "k": 30}).get_json()
    assert [r["image_id"] for r in by_vector["rows"]] == [r["image_id"] for r in by_text["rows"]]
    mixed = anyone.post(
        "/v1/search", json={"text": "red shoe", "more_like": [shop[20]], "less_like": [shop[10]], "k": 30}
    ).get_json()
    places = [row["image_id"] for row in mixed["rows"]]
    assert shop[20] in places
    assert shop[10] not in places
    assert len(places) == 29
    assert mixed["resolved"]["kind"] == "vector"


def test_pictures_go_in_become_searchable_and_go_out(
    anyone: FlaskClient, connection: Connection, worker: WorkerProcess
) -> None:
    colours = {"red": (250, 10, 10), "green": (10, 250, 10), "blue": (10, 10, 250)}
    listed = [{"product_id": name, "category": "paint", "price": 9.5, "tenant": "acme"} for name in colours]
    taken = anyone.post("/v1/images/upload", data=form([jpeg(c) for c in colours.values()], {"images": listed}))
    assert taken.status_code == 202
    added = taken.get_json()["images"]
    assert [one["outcome"] for one in added] == ["added"] * 3

    def states() -> list[str]:
        return [anyone.get(one["url"]).get_json()["state"] for one in added]

    eventually(lambda: states() == ["ready"] * 3, what="three pictures ready")
    again = anyone.post("/v1/images/upload", data=form([jpeg(colours["red"])], {"images": listed[:1]}))
    assert again.get_json()["images"][0] == {**added[0], "outcome": "unchanged", "waits": False}

    asked = {"picture": (io.BytesIO(jpeg(colours["green"], 64)), "q.jpg"), "request": json.dumps({"k": 2})}
    found = anyone.post("/v1/search/upload", data=asked).get_json()
    assert found["rows"][0]["product_id"] == "green"
    parts = found["resolved"].pop("boxes")
    assert all(len(part) == 4 for part in parts)
    found["resolved"].pop("boxes", None)  # where a worker proposed parts of it
    assert found["resolved"] == {"kind": "picture", "source": "worker", "truncated": None}

    shown = anyone.get(found["rows"][0]["thumbnail"])
    assert (shown.status_code, shown.content_type) == (200, "image/webp")
    assert shown.headers["Cache-Control"].startswith("private, max-age=")
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert Image.open(io.BytesIO(shown.get_data())).format == "WEBP"

    vector = anyone.post(
        "/v1/embed/upload", data={"picture": (io.BytesIO(jpeg(colours["green"], 64)), "q.jpg")}
    ).get_json()
    assert len(vector["vector"]) == vector["dimension"] == 48
    assert vector["model"] == FAKE
    text = anyone.post("/v1/embed", json={"text": "a new text"}).get_json()
    assert text["source"] == "worker"
    assert resolve(connection, "a new text").source in {"memory", "database"}

    gone = anyone.delete(added[1]["url"])
    assert (gone.status_code, gone.get_data()) == (204, b"")
    problem(anyone.get(added[1]["url"]), 404, "unknown_image")
    problem(anyone.delete(added[1]["url"]), 404, "unknown_image")
    assert connection.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (2,)


def test_one_bad_picture_among_many_is_named_and_none_is_added(anyone: FlaskClient, connection: Connection) -> None:
    data = form(
        [jpeg((1, 2, 3)), b"<svg onload=alert(1)>", b""], {"images": [{"product_id": str(n)} for n in range(3)]}
    )
    found = problem(anyone.post("/v1/images/upload", data=data), 422, "bad_pictures")
    assert [(one["index"], one["code"]) for one in found["errors"]] == [(1, "format_refused"), (2, "empty")]
    assert connection.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (0,)


def test_an_address_is_taken_and_fetched_later(anyone: FlaskClient, connection: Connection) -> None:
    listed = [{"product_id": "1", "url": "https://shop.example/1.jpg", "attributes": {"colour": "red"}}]
    [added] = anyone.post("/v1/images", json={"images": listed}).get_json()["images"]
    assert anyone.get(added["url"]).get_json()["state"] == "pending"
    row = connection.execute("SELECT uri, tenant_id FROM imgsearch.image").fetchone()
    assert row == ("https://shop.example/1.jpg", "default")


def test_unknown_places_and_methods_are_problems_too(anyone: FlaskClient) -> None:
    problem(anyone.get("/v1/nothing"), 404, "not_found")
    problem(anyone.get("/v1/images/x"), 404, "unknown_image")
    problem(anyone.get("/v1/images/99999999999999999999999"), 404, "unknown_image")
    answer = anyone.get("/v1/search")
    problem(answer, 405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]


def test_before_any_worker_and_without_a_database_it_says_so(settings: Settings, anyone: FlaskClient) -> None:
    problem(anyone.post("/v1/search", json={"text": "red"}), 503, "no_space")
    assert anyone.get("/healthz").status_code == 200
    assert anyone.get("/readyz?need=database,schema").status_code == 200
    problem(anyone.get("/readyz?need=luck"), 400, "bad_request")
    ready = anyone.get("/readyz")
    assert (ready.status_code, ready.get_json()) == (
        503,
        {"ready": False, "database": True, "schema": True, "model": False, "query_worker": False, "store": True},
    )
    away = create_app(
        with_settings(settings, DATABASE_URL="postgresql://nobody:geheim@127.0.0.1:1/x").environment(),
        allow_anonymous=True,
    )
    found = problem(away.test_client().post("/v1/search", json={"text": "red"}), 503, "database_unreachable")
    assert "geheim" not in json.dumps(found)
    assert away.test_client().get("/healthz").status_code == 200
    assert away.test_client().get("/readyz").get_json()["database"] is False
    away.extensions["imgsearch"].close()


def test_it_is_ready_when_a_worker_is(anyone: FlaskClient, worker: WorkerProcess) -> None:
    ready = anyone.get("/readyz")
    assert ready.status_code == 200, ready.get_json()
    status = anyone.get("/v1/status").get_json()
    assert (status["images"], status["workers"], status["model"]) == (0, 2, FAKE)
    metrics = anyone.get("/metrics")
    assert metrics.content_type.startswith("text/plain")
    shown = metrics.get_data(as_text=True)
    assert "imgsearch_workers 2.0" in shown
    assert 'imgsearch_http_request_duration_seconds_count{operation="readyz",status="200"} 1.0' in shown


def test_the_queue_has_one_vocabulary(anyone: FlaskClient, connection: Connection, space: Space) -> None:
    """What a worker publishes of the queue, a web process publishes under the same names."""

    def names(text: str) -> set[str]:
        return {family.name for family in text_string_to_metric_families(text)}

    gauges = names(exposition(connection).decode()) - names(exposition().decode())
    assert {
        "imgsearch_queue_size",
        "imgsearch_space_images",
        "imgsearch_queries_waiting",
        "imgsearch_workers",
    } <= gauges
    published = names(anyone.get("/metrics").get_data(as_text=True))
    assert gauges <= published
    own = {name for name, _, _ in (*HISTOGRAMS.values(), *COUNTERS.values())}
    assert {n for n in published - gauges - own if not n.endswith("_created")} == {
        "imgsearch_store_size_bytes",
        "imgsearch_store_free_bytes",
    }


def test_an_unforeseen_error_leaves_no_trace_outside(
    open_app: Flask, space: Space, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The one seam that is broken on purpose: no real request makes an unforeseen error, or it would be foreseen."""

    def broken(*given: Any) -> None:
        raise ZeroDivisionError("the secret is swordfish")

    monkeypatch.setitem(open_app.view_functions, "imgsearch.v1_search", broken)
    answer = open_app.test_client().post("/v1/search", json={"text": "red"})
    found = problem(answer, 500, "internal")
    assert "swordfish" not in answer.get_data(as_text=True)
    number = found["instance"].rpartition(":")[2]
    assert any(number in record.message and record.exc_info for record in caplog.records)
