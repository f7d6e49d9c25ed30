"""A region of a picture as a question: at every door of one process, answered by a worker that cuts it out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from PIL import Image
from sqlalchemy import select
from sqlalchemy.orm import Session

from imgsearch import db, nearest, resolve, search
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import PictureError, QueryError, RegionError, UnknownImage
from imgsearch.ingest import upload
from imgsearch.picture.pixels import decode
from imgsearch.query import Crop, ImageId, cache
from imgsearch.query.memory import forget_answers
from imgsearch.settings import Settings
from imgsearch.sqlalchemy.models import Image as Stored
from imgsearch.storage import open_store
from tests.processes import WorkerProcess, eventually
from tests.street import PARTS, PHOTO, png, product, stocked, street, thing
from tests.terminal import Run

pytestmark = pytest.mark.slow

Connection = psycopg.Connection[Any]


def vector(text: str) -> list[float]:
    return [float(number) for number in text[1:-1].split(",")]


def of_part(colour: str) -> list[float]:
    return list(FakeEncoder().embed_pictures(decode(png(product(colour)), FakeEncoder.size)[None])[0])


@pytest.fixture
def shop(settings: Settings, connection: Connection, worker: WorkerProcess) -> dict[str, int]:
    return stocked(settings, connection)


def test_a_region_of_a_photo_finds_what_it_shows(
    settings: Settings, connection: Connection, shop: dict[str, int]
) -> None:
    for name, region in PARTS.items():
        found = resolve(connection, PHOTO, region=region)
        assert (found.source, found.kind) == ("worker", "picture")
        assert vector(found.vector) == pytest.approx(of_part(name), abs=2e-3)
        assert resolve(connection, PHOTO, region=region).source == "memory"
        assert search(connection, PHOTO, region=region, tenant="acme", k=1)[0].product_id == name
    pixels = (250, 40, 100, 80)
    assert search(connection, PHOTO, region=pixels, tenant="acme", k=1)[0].product_id == "green"
    assert search(connection, PHOTO, tenant="acme", k=1)[0].product_id == "street"
    mixed = search(connection, [(Crop(PHOTO, PARTS["red"]), 1), (ImageId(shop["street"]), 0.01)], tenant="acme", k=1)
    assert mixed[0].product_id == "red"
    connection.execute("DELETE FROM imgsearch.query_vector")
    forget_answers()
    assert resolve(connection, Crop(PHOTO, PARTS["red"])).source == "worker"
    keys = {bytes(row[0]) for row in connection.execute("SELECT key FROM imgsearch.query_vector")}
    assert keys == {cache.of_picture(PHOTO).key + b"s125000,125000,250000,250000"}


def test_a_region_of_an_image_here_is_read_by_the_worker(connection: Connection, shop: dict[str, int]) -> None:
    street, region = ImageId(shop["street"]), PARTS["blue"]
    found = search(connection, street, region=region, tenant="acme", k=2)
    assert found[0].product_id == "blue"
    assert resolve(connection, PHOTO, region=region).source == "memory", "the same bytes: the same question"
    assert found[0].distance < 0.01
    with pytest.raises(UnknownImage):
        resolve(connection, street, region=region, tenant="bolt")
    with pytest.raises(UnknownImage):
        resolve(connection, ImageId(987_654), region=region)


def test_a_replaced_or_removed_picture_takes_its_regions_along(
    settings: Settings, connection: Connection, shop: dict[str, int]
) -> None:
    street, count = ImageId(shop["street"]), "SELECT count(*) FROM imgsearch.query_vector WHERE kind = 'picture'"
    resolve(connection, street, region=PARTS["red"])
    resolve(connection, PHOTO)
    assert connection.execute(count).fetchone() == (2,)
    store = open_store(settings.storage_url)
    upload.add(connection, png(street_turned()), product_id="street", tenant="acme", store=store)
    assert connection.execute(count).fetchone() == (0,)
    assert vector(resolve(connection, street, region=PARTS["red"]).vector) == pytest.approx(of_part("green"), abs=2e-3)
    upload.remove(connection, tenant="acme", image_id=shop["street"])
    assert connection.execute(count).fetchone() == (0,)


def street_turned() -> Image.Image:
    scene = street()
    scene.paste(thing("green"), (50, 40))
    return scene


def test_sql_asks_for_a_region_of_an_image_here(connection: Connection, shop: dict[str, int]) -> None:
    asked = "SELECT product_id FROM imgsearch.search(imgsearch.vec_of(%s, %s::float8[]), tenant => 'acme', k => 1)"
    values = (shop["street"], list(PARTS["grey"]))
    with pytest.raises(psycopg.Error, match="not asked yet") as caught:
        connection.execute(asked, values)
    hint = caught.value.diag.message_hint or ""
    connection.execute(hint.partition(";")[0].encode())
    assert connection.execute(asked, values).fetchone() == ("grey",)
    for wrong, state in [
        ((shop["street"], [0.5, 0.5, 0.6, 0.1]), "IM031"),
        ((shop["street"], [0.0, 0.0, 0.0, 1.0]), "IM031"),
        ((shop["street"], [math.nan, 0.0, 1.0, 1.0]), "IM031"),
        ((shop["street"], [0.0, 0.0, 1.0]), "IM031"),
        ((shop["street"], [10, 10, 1, 1]), "IM031"),
        ((shop["street"], [350, 0, 100, 80]), "IM031"),
        ((987_654, [0.1, 0.1, 0.5, 0.5]), "IM004"),
    ]:
        with pytest.raises(psycopg.Error) as caught:
            connection.execute("CALL imgsearch.embed(%s, %s::float8[])", wrong)
        assert caught.value.sqlstate == state, wrong


def test_sql_and_python_spell_a_region_alike(connection: Connection, space: Any) -> None:
    from imgsearch.picture.region import Region

    rng = np.random.default_rng(5)
    asked = "SELECT imgsearch_internal.region_text(%s::float8[])"
    for _ in range(400):
        x, y = rng.random(2)
        shares = [x, y, (1 - x) * rng.random(), (1 - y) * rng.random()]
        for numbers in (shares, [float(number) for number in 400 * rng.random(4)]):
            try:
                mine = str(Region.of(numbers))
            except RegionError:
                with pytest.raises(psycopg.Error):
                    connection.execute(asked, (numbers,))
                continue
            assert connection.execute(asked, (numbers,)).fetchone() == (mine,), numbers


def test_a_select_of_your_own_takes_a_region(settings: Settings, connection: Connection, shop: dict[str, int]) -> None:
    crop = Crop(ImageId(shop["street"]), PARTS["red"])
    engine = db.engine(settings)
    with Session(engine) as session:
        wanted = select(Stored.product_id).where(Stored.tenant_id == "acme")
        resolved = resolve(session, crop)
        assert session.execute(nearest(wanted, resolved, limit=1)).one().product_id == "red"
        assert session.execute(nearest(wanted, crop, limit=1)).one().product_id == "red"
        with pytest.raises(QueryError):
            nearest(wanted, Crop(PHOTO, PARTS["red"]))
    engine.dispose()


@pytest.mark.parametrize("wrong", [(0.5, 0.5, 0.6, 0.1), (0, 0, 0, 1), (5, 5, 1, 1), (math.nan, 0, 1, 1), (1, 2)])
def test_what_is_no_region_is_refused_before_anybody_is_asked(connection: Connection, space: Any, wrong: Any) -> None:
    with pytest.raises(RegionError):
        search(connection, PHOTO, region=wrong)
    assert connection.execute("SELECT count(*) FROM imgsearch.query_vector").fetchone() == (0,)


def test_what_lies_outside_of_the_picture_is_refused_by_the_worker(
    connection: Connection, shop: dict[str, int]
) -> None:
    for picture in (PHOTO, ImageId(shop["street"])):
        with pytest.raises(RegionError, match="400 x 320"):
            resolve(connection, picture, region=(350, 100, 100, 100))
    with pytest.raises(RegionError, match="1 x"):
        resolve(connection, PHOTO, region=(0, 0, 0.003, 0.5))


@pytest.mark.parametrize("wrong", ["red shoes", [0.1] * 48, [(PHOTO, 1.0)]])
def test_a_region_is_of_one_picture(connection: Connection, space: Any, wrong: Any) -> None:
    with pytest.raises(RegionError, match="of one picture"):
        resolve(connection, wrong, region=(0, 0, 0.5, 0.5))
    with pytest.raises(RegionError):
        resolve(connection, Crop("red shoes", (0, 0, 0.5, 0.5)))  # type: ignore[arg-type]


def test_the_command_line_takes_a_region(run: Run, settings: Settings, shop: dict[str, int], tmp_path: Path) -> None:
    photo = tmp_path / "street.png"
    photo.write_bytes(PHOTO)
    for picture in (["--image", str(photo)], ["--picture", str(photo)], ["--image-id", str(shop["street"])]):
        found = run("search", *picture, "--region", "0.625,0.125,0.25,0.25", "--json", "--k", "1")
        assert found.document["rows"][0]["product_id"] == "green"
    for wrong in ("0.5,0,0.6,0.5", "a,b", "", "0,0,nan,1", "5,5,1,1"):
        assert run("search", "--image", str(photo), "--region", wrong).code == 2
    assert run("search", "red shoes", "--region", "0,0,0.5,0.5").code == 2


def test_an_address_is_read_as_its_own_tenant_alone(
    settings: Settings, connection: Connection, worker: WorkerProcess
) -> None:
    """Two tenants have the same picture, one by an address that answers no more: only this one hears of it."""
    store = open_store(settings.storage_url)
    here = upload.add(connection, PHOTO, product_id="p", tenant="acme", store=store).image_id
    there = upload.add(connection, PHOTO, product_id="p", tenant="bolt", store=store).image_id
    eventually(lambda: connection.execute("SELECT count(*) FROM imgsearch.vectors").fetchone() == (2,), what="vectors")
    connection.execute("UPDATE imgsearch.image SET uri = 'http://127.0.0.1:1/gone.png' WHERE image_id = %s", (there,))
    connection.execute("SELECT set_config('imgsearch.tenant', 'bolt', false)")
    with pytest.raises(PictureError, match="must not be fetched"):
        resolve(connection, ImageId(there), region=PARTS["red"], tenant="bolt")
    connection.execute("SELECT set_config('imgsearch.tenant', 'acme', false)")
    assert resolve(connection, ImageId(here), region=PARTS["red"], tenant="acme").source == "worker"
