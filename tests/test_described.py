"""Shops that ask get colours and composition as attributes, and time and place to filter by; all others get nothing."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from PIL import Image, ImageDraw

from imgsearch import Filters, db, search
from imgsearch.errors import FilterError
from imgsearch.ingest import description, upload
from imgsearch.ops import shops
from imgsearch.picture import palette
from imgsearch.picture.capture import Capture
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.storage import open_store
from tests.processes import WorkerProcess, eventually
from tests.terminal import Run

Connection = psycopg.Connection[Any]
MUNICH, BERLIN, SYDNEY = (48.1374, 11.5755), (52.52, 13.405), (-33.8688, 151.2093)


def photo(colour: str, place: tuple[float, float] | None = None, taken: str | None = None, kind: str = "JPEG") -> bytes:
    """Return a coloured square on white, as a telephone would save it."""
    picture = Image.new("RGB", (300, 200), "white")
    ImageDraw.Draw(picture).rectangle((75, 50, 225, 150), fill=colour)
    exif = Image.Exif()
    if taken:
        exif.get_ifd(0x8769).update({0x9003: taken, 0x9011: "+00:00"})
        exif[0x8769] = exif.get_ifd(0x8769)
    if place:
        sides = {1: "N" if place[0] >= 0 else "S", 3: "E" if place[1] >= 0 else "W"}
        degrees = {2: (abs(place[0]), 0.0, 0.0), 4: (abs(place[1]), 0.0, 0.0)}
        exif.get_ifd(0x8825).update(sides | degrees)
        exif[0x8825] = exif.get_ifd(0x8825)
    out = io.BytesIO()
    picture.save(out, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    return out.getvalue()


PICTURES = {
    "m": photo("red", MUNICH, "2024:06:30 14:05:06"),
    "b": photo("blue", BERLIN, "2025:01:02 03:04:05"),
    "s": photo("green", SYDNEY, kind="PNG"),
    "n": photo("black", kind="WEBP"),
}


@pytest.fixture
def add(connection: Connection, settings: Settings) -> Callable[..., None]:
    store = open_store(settings.storage_url)

    def add(tenant: str = "acme", **fields: Any) -> None:
        for product, data in PICTURES.items():
            upload.add(connection, data, product_id=product, tenant=tenant, store=store, **fields)

    return add


def attributes(connection: Connection, tenant: str = "acme") -> dict[str, dict[str, Any]]:
    rows = connection.execute("SELECT product_id, attributes FROM imgsearch.image WHERE tenant_id = %s", (tenant,))
    return dict(rows.fetchall())


def read(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) FROM imgsearch.capture").fetchone()
    assert row is not None
    return int(row[0])


def found(connection: Connection, **filters: Any) -> set[str]:
    vector = connection.execute("SELECT embedding::text FROM imgsearch.vectors LIMIT 1").fetchone()
    assert vector is not None
    numbers = [float(one) for one in vector[0][1:-1].split(",")]
    hits = search(connection, numbers, filters=Filters(tenant="acme", **filters), k=50)
    assert hits.complete
    return {hit.product_id for hit in hits}


def test_a_shop_that_asks_finds_by_colour_time_and_place_and_no_other_does(
    connection: Connection, add: Callable[..., None], worker: WorkerProcess, run: Run
) -> None:
    assert run("shop", "set", "--tenant", "acme", "--describe-pictures", "--keep-captures").code == 0
    add(attributes={"brand": "x"})
    add("bolt")
    eventually(lambda: read(connection) == 4, what="four captures")
    eventually(lambda: connection.execute("SELECT ready FROM imgsearch.status").fetchone() == (8,), what="eight ready")
    eventually(lambda: all("picture_shape" in one for one in attributes(connection).values()), what="four described")
    made = attributes(connection)
    # The stand-in model sees 4 x 4 pixels, so some of the edges.
    first = {product: one["picture_colours"][0] for product, one in made.items()}
    assert first == {"m": "red", "b": "blue", "s": "green", "n": "black"}
    assert {(one["brand"], one["picture_aspect"]) for one in made.values()} == {("x", 1.5)}
    assert all(not one for one in attributes(connection, "bolt").values())

    assert found(connection, attributes={"picture_colours": {"has": "red"}}) == {"m"}
    assert found(connection, taken_after=datetime(2024, 12, 1, tzinfo=UTC)) == {"b"}
    assert found(connection, taken_before=datetime(2024, 12, 1, tzinfo=UTC)) == {"m"}
    assert found(connection, near=[*MUNICH, 5]) == {"m"}
    assert found(connection, near=[*MUNICH, 600]) == {"m", "b"}
    assert found(connection, near=[*MUNICH, 600], taken_after=datetime(2025, 1, 1, tzinfo=UTC)) == {"b"}
    assert found(connection, near=[0, 0, 20_038]) == {"m", "b", "s"}
    assert found(connection, condition={"near": [*SYDNEY, 1]}) == {"s"}
    assert found(connection, condition={"not": {"near": [*MUNICH, 600]}}) == {"s", "n"}
    assert found(connection, condition={"taken_at": {"exists": False}}) == {"s", "n"}
    assert found(
        connection, condition={"taken_at": {"min": "2025-01-02T03:04:05Z", "max": "2025-01-02T03:04:05Z"}}
    ) == {"b"}

    shown = run("shop", "show", "--tenant", "acme", "--json").document
    assert (shown["pictures"], shown["described"], shown["captures_read"]) == (4, 4, 4)
    assert (shown["with_time"], shown["with_place"]) == (2, 3)

    assert run("shop", "set", "--tenant", "acme", "--undescribe-pictures", "--forget-captures").code == 0
    assert read(connection) == 0
    assert {tuple(one) for one in attributes(connection).values()} == {("brand",)}
    assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []


def test_pictures_of_before_are_read_while_the_worker_is_idle(
    connection: Connection, add: Callable[..., None], worker: WorkerProcess
) -> None:
    add()
    eventually(lambda: connection.execute("SELECT ready FROM imgsearch.status").fetchone() == (4,), what="four ready")
    assert read(connection) == 0
    shops.set_shop(connection, tenant="acme", describe_pictures=True, keep_captures=True)
    eventually(lambda: read(connection) == 4, what="four captures", seconds=60)
    assert all("picture_hex" in one for one in attributes(connection).values())


@pytest.fixture
def described(connection: Connection, space: Space) -> Connection:
    shops.set_shop(connection, tenant="acme", describe_pictures=True, keep_captures=True)
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri, sha256, attributes)"
        """ VALUES ('acme', 'p', 'store:1', sha256('1'), '{"brand": "x"}')"""
    )
    assert describe(connection, b"1") == 1
    return connection


def describe(connection: Connection, data: bytes) -> int:
    (image,) = connection.execute("SELECT image_id FROM imgsearch.image").fetchone() or (0,)
    made = description.Description(
        key=("acme", image),
        sha256=sha256(data).digest(),
        attributes={"picture_shape": "square", "picture_colours": ["red"]},
        capture=Capture(datetime(2024, 1, 1, tzinfo=UTC), True, *MUNICH),
    )
    return description.store(connection, [made])


def test_what_a_shop_writes_takes_nothing_away_and_another_picture_does(described: Connection) -> None:
    described.execute("""UPDATE imgsearch.image SET attributes = '{"brand": "y", "size": 3}'""")
    assert attributes(described)["p"] == {
        "brand": "y",
        "size": 3,
        "picture_shape": "square",
        "picture_colours": ["red"],
    }
    described.execute("UPDATE imgsearch.image SET price = 3")
    described.execute("UPDATE imgsearch.image SET uri = 'store:2', sha256 = sha256('2')")
    assert attributes(described)["p"] == {"brand": "y", "size": 3}
    assert describe(described, b"1") == 0, "of bytes that went"
    assert [one.sha256 for one in description.missing(described)] == [], "it waits to be embedded"


def test_a_row_that_somebody_holds_keeps_nobody_waiting(described: Connection, settings: Settings) -> None:
    with db.connect(settings) as other:
        other.execute("SELECT 1 FROM imgsearch.image FOR UPDATE")
        described.execute("SET lock_timeout = '2s'")
        assert describe(described, b"1") == 0


def test_the_names_are_those_of_the_palette(described: Connection) -> None:
    (names,) = described.execute("SELECT imgsearch_internal.described_names()").fetchone() or ([],)
    made = palette.describe(np.zeros((4, 4, 3), np.uint8), 4, 4)
    assert set(names) == set(made) | {f"picture_{family}" for family in palette._FAMILIES}


@pytest.mark.parametrize(
    ("one", "two", "km"),
    [(MUNICH, BERLIN, 504.3), (MUNICH, SYDNEY, 16_303), ((0, 0), (0, 180), 20_015.1), ((90, 0), (-90, 77), 20_015.1)],
)
def test_distances_are_those_of_the_haversine_formula(
    connection: Connection, one: tuple[float, float], two: tuple[float, float], km: float
) -> None:
    row = connection.execute("SELECT imgsearch.distance_km(%s, %s, %s, %s)", (*one, *two)).fetchone()
    assert row is not None
    assert row[0] == pytest.approx(km, rel=0.002)


@pytest.mark.parametrize("south", [1, -1])
@pytest.mark.parametrize("km", [3.0, 100.0, 2000.0])
def test_the_belt_of_latitudes_is_as_wide_as_the_circle(described: Connection, south: int, km: float) -> None:
    """Due north and due south, where only the belt could leave out what the distance lets in."""
    degrees = np.degrees(km / 6371.0088)
    inside, outside = ([MUNICH[0] + south * share * degrees, MUNICH[1], km] for share in (0.9999, 1.0001))
    match = (
        "SELECT count(*) FROM imgsearch_internal.matching("
        "ARRAY(SELECT image_id FROM imgsearch.image), imgsearch.filters_of(%s))"
    )
    for near, many in ((inside, 1), (outside, 0)):
        for asked in (Filters(near=near), Filters(condition={"near": near})):
            assert described.execute(match, [asked.as_json()]).fetchone() == (many,), asked


@pytest.mark.parametrize(
    "near", [[91, 0, 1], [0, 181, 1], [0, 0, 0], [0, 0, -1], [0, 0, 20_039], [0, 0], [0, 0, 1, 2], []]
)
def test_a_place_that_is_none_is_refused(described: Connection, near: list[float]) -> None:
    for filters in (Filters(near=near), Filters(condition={"near": near})):
        with pytest.raises(FilterError, match="near is no place"):
            search(described, [0.1] * 48, filters=filters)


@pytest.mark.parametrize("asked", [{"is": "2024-01-01T00:00:00Z"}, {"min": 5}, {"min": "2024-01-01"}, {"min": "soonZ"}])
def test_a_time_that_is_none_is_refused(described: Connection, asked: dict[str, Any]) -> None:
    with pytest.raises(FilterError):
        search(described, [0.1] * 48, filters=Filters(condition={"taken_at": asked}))


def test_the_page_says_what_the_command_does(run: Run) -> None:
    page = (Path(__file__).parents[1] / "docs/colours.md").read_text()
    [(typed, said)] = re.findall(r"```console\n\$ imgsearch ([^\n]+)\n(.*?)```", page, re.DOTALL)
    assert run(*typed.split()).out == said
