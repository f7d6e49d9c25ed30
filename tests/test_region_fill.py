"""Workers find the parts of pictures for shops that ask, lose none when they are killed, and bear any detector."""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from imgsearch_workers.decoding.decoder import DecodePool
from imgsearch_workers.model.encoder import SharedEncoder
from imgsearch_workers.pipeline import regions as filling
from imgsearch_workers.pipeline.batch import Batch
from imgsearch_workers.pipeline.embedder import Embedder
from imgsearch_workers.pipeline.parts import Looker
from imgsearch_workers.pipeline.regions import RegionFiller
from imgsearch_workers.proposers.proposed import Proposed, kept
from imgsearch_workers.proposers.proposer import ProposerError
from PIL import Image, ImageDraw

from imgsearch.dev.testing import FakeEncoder
from imgsearch.ingest import regions, upload
from imgsearch.ops import shops
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.storage import FetchPolicy, open_store
from tests.loops import images
from tests.processes import WorkerProcess, eventually
from tests.terminal import Run

Connection = psycopg.Connection[Any]
Add = Callable[..., int]


def scene(number: int = 0, size: tuple[int, int] = (200, 120)) -> bytes:
    """Return two things on a light ground."""
    picture = Image.new("RGB", size, (240, 240, 240 - number % 50))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((20, 20, 70, 70), fill=(200, number % 200, 30))
    draw.rectangle((130, 50, 180, 100), fill=(30, 60, 200 - number % 100))
    return png(picture)


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


def looked(connection: Connection, many: int, seconds: float = 120) -> None:
    """Wait until so many pictures were looked at."""
    counted = "SELECT count(*) FROM imgsearch.region_state WHERE boxes IS NOT NULL"
    eventually(lambda: rows(connection, counted) == [(many,)], seconds, f"a look at {many} pictures")


@pytest.fixture
def add(connection: Connection, settings: Settings) -> Add:
    store = open_store(settings.storage_url)

    def add(data: bytes, product: str = "p", tenant: str = "acme") -> int:
        return upload.add(connection, data, product_id=product, tenant=tenant, store=store).image_id

    return add


def test_a_shop_that_asks_gets_the_parts_of_its_pictures_and_no_other_does(
    connection: Connection, add: Add, worker: WorkerProcess, run: Run
) -> None:
    before = add(scene(), "before")
    eventually(lambda: rows(connection, "SELECT ready FROM imgsearch.status") == [(1,)], what="a vector")
    assert run("shop", "set", "--tenant", "acme", "--regions", "salient", "--regions-per-picture", "3").code == 0
    looked(connection, 1)
    add(scene(), "bolts", tenant="bolt")
    add(scene(1), "new")
    plain = add(png(Image.new("RGB", (80, 80), "red")), "plain")
    pixel = add(png(Image.new("RGB", (1, 1), "blue")), "pixel")
    looked(connection, 4)
    assert rows(connection, "SELECT DISTINCT tenant_id FROM imgsearch.region_state") == [("acme",)]
    made = dict(rows(connection, "SELECT image_id, boxes FROM imgsearch.region_state"))
    assert (made[plain], made[pixel]) == (0, 0)
    assert 1 <= made[before] <= 3
    assert rows(connection, "SELECT count(*), max(position) <= 3 FROM imgsearch.regions") == [
        (sum(made.values()), True)
    ]
    shown = run("shop", "show", "--tenant", "acme", "--json").document
    assert (shown["regions"], shown["regions_per_picture"]) == ("salient", 3)
    assert (shown["with_regions"], shown["regions_wait"], shown["regions_failed"]) == (4, 0, 0)

    connection.execute("UPDATE imgsearch.image SET sha256 = NULL WHERE product_id = 'before'")  # embedded anew
    eventually(lambda: rows(connection, "SELECT ready FROM imgsearch.status") == [(5,)], what="its vector again")
    looked(connection, 4)
    assert rows(connection, "SELECT * FROM imgsearch.violations") == []
    shops.set_shop(connection, tenant="acme", regions="grid")
    anew = "SELECT proposer, count(*) FROM imgsearch.region_state WHERE boxes IS NOT NULL GROUP BY 1"
    eventually(lambda: rows(connection, anew) == [("grid 3", 4)], what="a look at all for another wish")
    shops.set_shop(connection, tenant="acme", regions="off")
    assert rows(connection, "SELECT 1 FROM imgsearch.regions UNION ALL SELECT 1 FROM imgsearch.region_state") == []


def test_a_killed_worker_loses_no_parts_and_doubles_none(
    connection: Connection, add: Add, settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    many = 60
    for number in range(many):
        add(scene(number), f"p{number}")
    shops.set_shop(connection, tenant="acme", regions="grid", regions_per_picture=5)
    environment = environment | {"IMGSEARCH_LEASE_SECONDS": "2"}
    counted = "SELECT count(*) FROM imgsearch.region_state WHERE boxes IS NOT NULL"
    for round_ in range(3):
        worker = WorkerProcess(settings, environment, tmp_path / "worker.log", "images")
        worker.ready()
        eventually(lambda: rows(connection, counted)[0][0] >= 10 * (round_ + 1), what="some parts")  # noqa: B023
        worker.end(signal.SIGKILL)
    with WorkerProcess(settings, environment, tmp_path / "worker.log", "images"):
        looked(connection, many)
    assert rows(connection, "SELECT count(*), count(DISTINCT (image_id, position)) FROM imgsearch.regions") == [
        (5 * many, 5 * many)
    ]
    assert rows(connection, "SELECT boxes, count(*) FROM imgsearch.region_state GROUP BY 1") == [(5, many)]
    assert rows(connection, "SELECT * FROM imgsearch.violations") == []


class Given:
    """A proposer that a test writes, in the place of a detector."""

    side = 64

    def __init__(self, say: Callable[[], list[Proposed]]) -> None:
        self._say, self.asked = say, 0

    def get(self, wanted: str) -> Given:
        return self

    def propose(self, pixels: Any, most: int) -> list[Proposed]:
        self.asked += 1
        return self._say()

    def close(self) -> None:
        """Nothing."""


@contextmanager
def filler(settings: Settings, say: Callable[[], list[Proposed]]) -> Iterator[Given]:
    """Run the filler of a worker whose detector answers what `say` does."""
    encoder = SharedEncoder(FakeEncoder())
    given = Given(say)
    with DecodePool(1, encoder.size) as pool:
        embedder = Embedder(
            space_id=1, batch=Batch(encoder, 8), pool=pool, probe=np.zeros((encoder.size, encoder.size, 3), np.uint8)
        )
        looker = Looker(settings, open_store(settings.storage_url), FetchPolicy(), given)
        running = RegionFiller(settings, looker, [embedder], lambda: None)
        running.start(busy=bool)
        try:
            yield given
        finally:
            running.stop()
            running.join(60)


@pytest.fixture
def detected(connection: Connection, space: Space, settings: Settings, add: Add) -> Connection:
    """A shop with a detector, and one picture that has its vector."""
    shops.set_shop(connection, tenant="acme", regions="detector:given", regions_per_picture=5)
    add(scene())
    with images(settings, FakeEncoder()):
        eventually(lambda: rows(connection, "SELECT ready FROM imgsearch.status") == [(1,)], what="a vector")
    return connection


def test_of_ten_thousand_boxes_few_are_kept_and_of_senseless_ones_none(
    detected: Connection, settings: Settings
) -> None:
    nan, spread = float("nan"), np.random.default_rng(1).uniform(0, 0.7, (10_000, 2)).tolist()
    senseless = [(nan, 0, 1, 1), (0.5, 0.5, -0.2, 0.2), (2, 2, 1, 1), (0, 0, 1e-6, 1e-6), (0, 0, float("inf"), 1)]
    found = [Proposed(box, 0.99, "nothing") for box in senseless]
    found += [Proposed((x, y, 0.25, 0.3), 0.5 * x, "thing " * 100) for x, y in spread]
    with filler(settings, lambda: kept(found, 5)):
        looked(detected, 1)
    assert rows(detected, "SELECT count(*), max(length(label)) <= 100 FROM imgsearch.regions") == [(5, True)]
    [(attributes,)] = rows(detected, "SELECT attributes FROM imgsearch.image")
    assert len(attributes["picture_things"]) == 1
    assert "nothing" not in attributes["picture_things"]


def test_what_a_broken_detector_says_is_told_once_and_tried_a_few_times(
    detected: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def hangs() -> list[Proposed]:
        raise ProposerError("detector_hangs", "It did not answer in 30 s; its process was ended.", blames=True)

    monkeypatch.setattr("imgsearch_workers.pipeline.parts.RETRY_SECONDS", 0.001)
    monkeypatch.setattr(filling, "LOOK_SECONDS", 0.2)
    with filler(settings, hangs) as given:
        over = "SELECT error_code, attempts FROM imgsearch.failures"
        eventually(lambda: rows(detected, over) == [("parts_detector_hangs", regions.MAX_ATTEMPTS)], what="the failure")
        assert given.asked == regions.MAX_ATTEMPTS
    assert [one.levelname for one in caplog.records if "has no parts" in one.message].count("WARNING") == 1
    assert rows(detected, "SELECT ready, failed, regions_wait FROM imgsearch.status") == [(1, 0, 0)]
    assert rows(detected, "SELECT count(*) FROM imgsearch.vectors") == [(1,)], "it is found as a whole"
    assert rows(detected, "SELECT * FROM imgsearch.violations") == []
    detected.execute("SELECT imgsearch.requeue(error_code => 'parts_detector_hangs')")
    with filler(settings, lambda: [Proposed((0, 0, 0.5, 0.5), 0.9, "thing")]):
        looked(detected, 1)
    assert rows(detected, "SELECT label FROM imgsearch.regions") == [("thing",)]


def test_a_bug_in_a_proposer_ends_nothing(detected: Connection, settings: Settings, add: Add) -> None:
    calls = threading.Event()

    def breaks() -> list[Proposed]:
        if not calls.is_set():
            calls.set()
            raise IndexError("a bug")
        return [Proposed((0, 0, 0.5, 0.5), None, None)]

    with filler(settings, breaks):
        looked(detected, 1)
    assert rows(detected, "SELECT count(*) FROM imgsearch.regions") == [(1,)]
