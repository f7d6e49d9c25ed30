"""A region of a picture over HTTP: of a file, of an address, of an image here; refused where it is none."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from imgsearch.settings import Settings
from tests.http.conftest import problem, with_key
from tests.processes import WorkerProcess
from tests.street import PARTS, PHOTO, stocked

pytestmark = pytest.mark.slow
Connection = psycopg.Connection[Any]


@pytest.fixture
def shop(settings: Settings, connection: Connection, worker: WorkerProcess) -> dict[str, int]:
    return stocked(settings, connection)


def upload(client: FlaskClient, path: str, request: dict[str, Any], **options: Any) -> Any:
    form = {"picture": (BytesIO(PHOTO), "street.png"), "request": json.dumps(request)}
    return client.post(path, data=form, **options)


def test_a_region_of_a_file_and_of_an_image_here(anyone: FlaskClient, shop: dict[str, int]) -> None:
    for name, region in PARTS.items():
        page = upload(anyone, "/v1/search/upload", {"region": region, "k": 1}).get_json()
        assert [row["product_id"] for row in page["rows"]] == [name]
        here = {"image_id": shop["street"], "region": region, "k": 1}
        assert anyone.post("/v1/search", json=here).get_json()["rows"][0]["product_id"] == name
        liked = {"like": [{"image_id": shop["street"], "region": region}], "k": 1}
        for strategy in ("centroid", "best"):
            found = anyone.post("/v1/search", json=liked | {"strategy": strategy}).get_json()
            assert found["rows"][0]["product_id"] == name
    whole = upload(anyone, "/v1/embed/upload", {}).get_json()["vector"]
    part = upload(anyone, "/v1/embed/upload", {"region": [250, 40, 100, 80]}).get_json()["vector"]
    assert whole != part


def test_what_is_no_region_is_said(anyone: FlaskClient, shop: dict[str, int]) -> None:
    for region in ([0.5, 0.5, 0.6, 0.1], [0, 0, 0, 1], [5, 5, 1, 1], [-1, 0, 1, 1], [350, 0, 100, 80]):
        problem(upload(anyone, "/v1/search/upload", {"region": region}), 400, "region_error")
        problem(anyone.post("/v1/search", json={"image_id": shop["street"], "region": region}), 400, "region_error")
        problem(upload(anyone, "/v1/embed/upload", {"region": region}), 400, "region_error")
    for region in ([1, 2, 3], [1, 2, 3, 4, 5], "0,0,1,1", [None, 0, 1, 1], {"x": 1}, [True, 0, 1, 1]):
        problem(upload(anyone, "/v1/search/upload", {"region": region}), 400, "bad_request")
    assert upload(anyone, "/v1/search/upload", {"region": float("nan")}).status_code == 400
    region = [0, 0, 0.5, 0.5]
    for nothing in ({"text": "red"}, {"product_id": "red"}, {"more_like": [shop["red"]]}):
        problem(anyone.post("/v1/search", json=nothing | {"region": region}), 400, "region_error")
    several = {"image_id": shop["red"], "region": region}
    problem(upload(anyone, "/v1/search/upload", several), 400, "region_error")
    problem(anyone.post("/v1/search", json={"like": [{"text": "red", "region": region}]}), 400, "region_error")
    problem(anyone.post("/v1/embed", json={"text": "red", "region": region}), 400, "region_error")
    problem(anyone.post("/v1/search", json={"image_id": 987654, "region": region}), 404, "unknown_image")


def test_a_tenant_asks_by_regions_of_its_own_images_alone(
    client: FlaskClient, key_of: Any, shop: dict[str, int], anyone: FlaskClient
) -> None:
    mine, other = with_key(key_of("acme")), with_key(key_of("bolt"))
    page = client.post("/v1/search", json={"text": "anything", "k": 100, "per": "image"}, headers=mine).get_json()
    [street] = [row["image_id"] for row in page["rows"] if row["product_id"] == "street"]
    assert street != shop["street"], "ids are scrambled"
    asked = {"image_id": street, "region": PARTS["red"], "k": 1}
    assert client.post("/v1/search", json=asked, headers=mine).get_json()["rows"][0]["product_id"] == "red"
    for image_id in (street, shop["street"]):
        answer = client.post("/v1/search", json=asked | {"image_id": image_id}, headers=other)
        problem(answer, 404, "unknown_image")
        assert f"Image {image_id} " in answer.get_json()["detail"]
