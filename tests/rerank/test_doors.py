"""A second look over HTTP, on the command line and in Flask: the same order, the same words where there is none."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgsearch.dev.testing import embed
from imgsearch.flask import ImageSearch
from imgsearch.ingest import upload
from imgsearch.query import Crop, ImageId
from imgsearch.retrieval import search
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.storage import open_store
from tests.answering import answering
from tests.crowd import crowd
from tests.http.conftest import *  # noqa: F403
from tests.http.conftest import problem, with_key
from tests.rerank.looking import looking
from tests.rerank.posters import as_file, poster, seen_from_the_side
from tests.terminal import Run

Connection = psycopg.Connection[Any]
STEP = {"step": "k_reciprocal", "pool": 30}


@pytest.fixture
def pictures(connection: Connection, space: Space) -> Space:
    crowd(connection, space, 400)
    return space


def first_of(connection: Connection, tenant: str) -> int:
    row = connection.execute("SELECT min(image_id) FROM imgsearch.image WHERE tenant_id = %s", (tenant,)).fetchone()
    return int(row[0])  # type: ignore[index]


def test_pages_over_http(
    settings: Settings, connection: Connection, pictures: Space, anyone: FlaskClient, client: FlaskClient, key_of: Any
) -> None:
    image = first_of(connection, "acme")
    asked = {"image_id": image, "tenant": "acme", "k": 12, "rerank": [STEP]}
    with looking(settings, pictures):
        here = search(connection, ImageId(image), tenant="acme", k=48, rerank=STEP)
        pages = [anyone.post("/v1/search", json=asked).get_json()]
        for _ in range(3):
            pages.append(anyone.post("/v1/search", json=asked | {"after": pages[-1]["after"]}).get_json())
        assert [row["image_id"] for page in pages for row in page["rows"]] == [hit.image_id for hit in here]
        said = pages[0]["reranked"]
        assert (said["code"], said["pool"], said["steps"][0]["step"]) == (None, 30, "k_reciprocal")
        assert said["steps"][0]["moved"] > 0
        # With a key of a tenant the ids are other ones, also within cursors, and another's cursor leads nowhere.
        mine = with_key(key_of("acme"))
        shown = client.post("/v1/search", json={"text": "x", "look_weight": 0, "k": 1}, headers=mine)
        assert shown.status_code == 200
        listed = client.get("/v1/products?k=1", headers=mine).get_json()["products"][0]
        own = {"product_id": listed["product_id"], "k": 5, "rerank": [STEP]}
        page = client.post("/v1/search", json=own, headers=mine).get_json()
        assert page["reranked"]["code"] is None
        rest = client.post("/v1/search", json=own | {"after": page["after"]}, headers=mine).get_json()
        rows = [row["product_id"] for row in page["rows"] + rest["rows"]]
        assert len(set(rows)) == 10
        theirs = client.post("/v1/search", json=own | {"after": page["after"]}, headers=with_key(key_of("bolt")))
        assert theirs.status_code in {400, 404}
    stands = anyone.post("/v1/search", json=asked | {"rerank": [{"step": "custom", "name": "fresh"}]}).get_json()
    assert stands["reranked"]["code"] in {"time_over", "not_set"}
    assert len(stands["rows"]) == 12
    assert anyone.post("/v1/search", json={"image_id": image}).get_json()["reranked"] is None


def test_what_is_no_step_is_refused_over_http(connection: Connection, pictures: Space, anyone: FlaskClient) -> None:
    asked = {"image_id": first_of(connection, "acme")}
    for bad in ([], [{}], [{"step": "magic"}], ["expand"], [STEP] * 5, [{"step": "expand", "code": "os:system"}]):
        problem(
            anyone.post("/v1/search", json=asked | {"rerank": bad}),
            400,
            "unknown_field" if "code" in str(bad) else "bad_request",
        )
    for bad in ([{"step": "expand", "k1": 3}], [{"step": "spatial", "pool": 400}], [{"step": "custom"}]):
        problem(anyone.post("/v1/search", json=asked | {"rerank": bad}), 400, "filter_error")


def test_the_same_object_at_each_door(
    settings: Settings,
    connection: Connection,
    space: Space,
    anyone: FlaskClient,
    open_app: Flask,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = open_store(settings.storage_url)
    for n in range(8):
        data = as_file(poster(n))
        added = upload.add(connection, data, product_id=f"p{n}", tenant="acme", store=store)
        store.put_thumbnail(
            connection.execute("SELECT sha256 FROM imgsearch.image WHERE image_id = %s", (added.image_id,)).fetchone()[
                0
            ],
            _webp(n),
        )  # type: ignore[index]
    embed(connection)
    photo = as_file(seen_from_the_side(poster(6))[0])
    (tmp_path / "photo.jpg").write_bytes(photo)
    monkeypatch.setenv("IMGSEARCH_RERANK_TIMEOUT", "60")
    with answering(settings, space), looking(settings, space):
        state = open_app.extensions["imgsearch"]
        object.__setattr__(state.settings, "rerank_timeout", 60)
        form = {"picture": (io.BytesIO(photo), "photo.jpg"), "request": json.dumps({"rerank": [{"step": "spatial"}]})}
        page = anyone.post("/v1/search/upload", data=form).get_json()
        assert page["reranked"]["code"] is None, page["reranked"]
        assert page["rows"][0]["product_id"] == "p6"
        assert page["rows"][0]["look"]["spatial"]["inliers"] > 20

        ran = run(
            "search",
            "--picture",
            tmp_path / "photo.jpg",
            "--rerank",
            "spatial:min_inliers=12",
            "--draw",
            tmp_path / "drawn",
            "--json",
        )
        assert ran.code == 0, ran.err
        assert ran.document["rows"][0]["product_id"] == "p6"
        assert ran.document["reranked"]["steps"][0]["moved"] >= 0
        [drawn] = (tmp_path / "drawn").iterdir()
        assert drawn.read_bytes()[:4] == b"\x89PNG"
        ran = run("search", "--picture", tmp_path / "photo.jpg", "--rerank", "spatial", "--rerank", "expand:alpha=2.5")
        assert "Ranked anew: spatial moved" in ran.out
        assert run("search", "--picture", tmp_path / "photo.jpg", "--rerank", "spatial:pool").code == 2
        assert run("search", "--picture", tmp_path / "photo.jpg", "--rerank", "magic").code == 2

        half = search(connection, Crop(photo, (0.0, 0.0, 0.6, 1.0)), rerank="spatial", rerank_timeout=60)
        assert half[0].product_id == "p6", "of a region the steps see that region alone"
        pairs = half[0].look["spatial"]["pairs"]  # type: ignore[index]
        assert max(there for _, _, there, _ in pairs) < 0.75
        with open_app.test_request_context():
            hits = ImageSearch(open_app).search(photo, rerank="spatial") if "images" in open_app.extensions else half
        assert hits[0].product_id == "p6"


def _webp(number: int) -> bytes:
    out = io.BytesIO()
    picture = poster(number)
    picture.thumbnail((320, 320))
    picture.save(out, "WEBP")
    return out.getvalue()
