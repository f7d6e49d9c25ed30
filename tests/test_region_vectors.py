"""Parts of pictures as they are kept: behind the walls, in step with their pictures, gone when nobody asks any more."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg
import pytest

from imgsearch import db
from imgsearch.errors import FilterError
from imgsearch.ingest import regions
from imgsearch.ingest.regions import Looked, Part
from imgsearch.ops import maintenance, shops
from imgsearch.picture.region import Region
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space

Connection = psycopg.Connection[Any]


def rows(connection: Connection, query: str, *values: Any) -> list[tuple[Any, ...]]:
    return connection.execute(query, values or None).fetchall()


def unit(space: Space, seed: int = 0) -> Any:
    vector = np.random.default_rng(seed).normal(size=space.dimension).astype(np.float32)
    return vector / np.linalg.norm(vector)


def embedded(connection: Connection, space: Space, tenant: str = "acme", product: str = "p") -> int:
    """Add a picture with its vector; return its id."""
    [(image,)] = rows(
        connection,
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri, sha256) VALUES (%s, %s, 'store:1', sha256('1'))"
        " RETURNING image_id",
        tenant,
        product,
    )
    connection.execute(
        "INSERT INTO imgsearch.embedding_1 (tenant_id, image_id, sha256, embedding) VALUES (%s, %s, sha256('1'), %s)",
        (tenant, image, str(unit(space).tolist())),
    )
    connection.execute(
        "UPDATE imgsearch.image SET bits_1 = imgsearch_internal.quantized(e.embedding, s.mean, s.signs)"
        " FROM imgsearch.embedding_1 e, imgsearch.space s WHERE image.image_id = e.image_id AND s.space_id = 1"
    )
    connection.execute("DELETE FROM imgsearch.job")
    return int(image)


def parts(space: Space, many: int, label: str | None = None) -> list[Part]:
    return [
        Part(region=Region.of((0.1 * n, 0, 0.5, 0.5)), embedding=unit(space, n), label=label, score=0.5)
        for n in range(many)
    ]


def taken(connection: Connection, image: int, tenant: str = "acme", seconds: float = 60) -> Looked:
    found = regions.claim(connection, 1, (tenant, image), lease_seconds=seconds)
    assert found is not None
    return found


@pytest.fixture
def shop(connection: Connection, space: Space) -> Connection:
    shops.set_shop(connection, tenant="acme", regions="salient", regions_per_picture=4)
    return connection


def test_a_space_has_its_table_and_the_view_shows_that_of_the_searched_one(
    connection: Connection, space: Space
) -> None:
    connection.execute(
        "SELECT imgsearch.add_space('other', '', 'print', 7, '1', array_fill(0.1::real, ARRAY[7])::halfvec)"
    )
    indexes = {name for (name,) in rows(connection, "SELECT indexname FROM pg_indexes WHERE tablename = 'region_2'")}
    assert indexes == {"region_2_pkey", "region_2_by_id", "region_2_hnsw"}
    shown = "SELECT pg_get_viewdef('imgsearch.regions'::regclass)"
    assert "region_1" in rows(connection, shown)[0][0]
    connection.execute("SELECT imgsearch.activate_space('other', force => true)")
    assert "region_2" in rows(connection, shown)[0][0]
    assert "region_1" in rows(connection, "SELECT pg_get_viewdef('imgsearch_space_1.regions'::regclass)")[0][0]
    connection.execute("SELECT imgsearch.rollback_space(true)")
    image = embedded(connection, space)
    connection.execute(
        "INSERT INTO imgsearch.region_state (tenant_id, image_id, space_id, sha256, proposer, boxes)"
        " SELECT tenant_id, image_id, 2, sha256, 'grid 5', 0 FROM imgsearch.image WHERE image_id = %s",
        (image,),
    )
    connection.execute("SELECT imgsearch.drop_space('other')")
    assert rows(connection, "SELECT to_regclass('imgsearch.region_2')") == [(None,)]
    assert rows(connection, "SELECT 1 FROM imgsearch.region_state") == []


def test_parts_are_stored_and_another_look_replaces_them(shop: Connection, space: Space) -> None:
    image = embedded(shop, space)
    assert regions.missing(shop, 1) == [("acme", image)]
    assert regions.put(shop, taken(shop, image), parts(space, 3), None)
    assert regions.missing(shop, 1) == []
    assert regions.claim(shop, 1, ("acme", image), lease_seconds=60) is None, "it was looked at"
    shown = rows(shop, "SELECT position, x, w, score, space_id FROM imgsearch.regions ORDER BY 1")
    assert [tuple(map(float, row)) for row in shown] == [
        pytest.approx((n + 1, 0.1 * n, 0.5, 0.5, 1), abs=1e-5) for n in range(3)
    ]
    shops.set_shop(shop, tenant="acme", regions_per_picture=2)
    assert regions.missing(shop, 1) == [("acme", image)], "its shop asks otherwise now"
    assert len(rows(shop, "SELECT 1 FROM imgsearch.regions")) == 3, "those of before answer meanwhile"
    assert regions.put(shop, taken(shop, image), parts(space, 1), None)
    assert len(rows(shop, "SELECT 1 FROM imgsearch.regions")) == 1
    assert rows(shop, "SELECT boxes, attempts, due FROM imgsearch.region_state") == [(1, 0, None)]


def test_the_parts_of_a_replaced_picture_go_with_its_vector(shop: Connection, space: Space) -> None:
    image = embedded(shop, space)
    regions.put(shop, taken(shop, image), parts(space, 3), None)
    shops.set_shop(shop, tenant="acme", regions="grid")
    late = taken(shop, image)
    shop.execute("UPDATE imgsearch.image SET uri = 'store:2', sha256 = sha256('2')")
    assert rows(shop, "SELECT 1 FROM imgsearch.regions UNION ALL SELECT 1 FROM imgsearch.region_state") == []
    assert not regions.put(shop, late, parts(space, 3), None), "of bytes that went"
    assert regions.claim(shop, 1, ("acme", image), lease_seconds=60) is None, "it waits for its vector"
    assert rows(shop, "SELECT 1 FROM imgsearch.regions") == []


def test_parts_of_other_bytes_are_a_violation_and_are_repaired(shop: Connection, space: Space) -> None:
    image = embedded(shop, space)
    regions.put(shop, taken(shop, image), parts(space, 2), None)
    assert rows(shop, "SELECT * FROM imgsearch.violations") == []
    shop.execute("UPDATE imgsearch.region_1 SET sha256 = sha256('2')")
    assert rows(shop, "SELECT violation, image_id FROM imgsearch.violations") == [("region of other bytes", image)]
    shop.execute("SELECT imgsearch.repair_violations()")
    assert rows(shop, "SELECT * FROM imgsearch.violations") == []
    assert rows(shop, "SELECT count(*) FROM imgsearch.vectors") == [(1,)], "the whole is found as before"
    assert regions.missing(shop, 1) == [("acme", image)]


def test_switched_off_they_go_and_those_of_others_stay(shop: Connection, space: Space) -> None:
    shops.set_shop(shop, tenant="bolt", regions="detector:some/model")
    for tenant in ("acme", "bolt"):
        image = embedded(shop, space, tenant)
        regions.put(shop, taken(shop, image, tenant), parts(space, 2, "shoe"), ["shoe", "shoe"])
    shops.set_shop(shop, tenant="acme", regions="off")
    assert rows(shop, "SELECT DISTINCT tenant_id FROM imgsearch.regions") == [("bolt",)]
    assert rows(shop, "SELECT tenant_id, attributes FROM imgsearch.image ORDER BY 1") == [
        ("acme", {}),
        ("bolt", {"picture_things": ["shoe"]}),
    ]
    assert regions.wishes(shop) == {"bolt": "detector:some/model 5"}
    with shop.transaction():
        shops.set_shop(shop, tenant="bolt", regions="off")
    assert regions.wishes(shop) == {"bolt": None}, "in a transaction it is left to workers"
    assert regions.forget(shop, "bolt") == 1
    assert regions.wishes(shop) == {}


def test_what_things_are_called_stays_while_the_shop_writes_its_own(shop: Connection, space: Space) -> None:
    shops.set_shop(shop, tenant="acme", regions="detector:some/model")
    image = embedded(shop, space)
    regions.put(shop, taken(shop, image), parts(space, 2, "shoe"), ["shoe", "bag", "shoe"])
    shop.execute("""UPDATE imgsearch.image SET attributes = '{"brand": "x"}'""")
    told = "SELECT attributes FROM imgsearch.image"
    assert rows(shop, told) == [({"brand": "x", "picture_things": ["bag", "shoe"]},)]
    shop.execute("UPDATE imgsearch.image SET uri = 'store:2', sha256 = sha256('2')")
    assert rows(shop, told) == [({"brand": "x"},)]


def test_one_tenant_never_reads_anothers_parts_and_writes_none(
    shop: Connection, space: Space, settings: Settings
) -> None:
    shops.set_shop(shop, tenant="bolt", regions="grid")
    for tenant in ("acme", "bolt"):
        regions.put(shop, taken(shop, embedded(shop, space, tenant), tenant), parts(space, 2), None)
    whose = [
        "SELECT DISTINCT tenant_id FROM imgsearch.regions",
        "SELECT DISTINCT tenant_id FROM imgsearch.region_1",
        "SELECT DISTINCT tenant_id FROM imgsearch.region_state",
    ]
    with db.connect(settings) as reader:
        reader.execute("SET LOCAL ROLE imgsearch_writer")
        for query in whose:
            assert rows(reader, query) == [], "nobody is spoken for"
        reader.execute("SELECT set_config('imgsearch.tenant', 'bolt', true)")
        for query in whose:
            assert rows(reader, query) == [("bolt",)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("DELETE FROM imgsearch.region_1")


def test_two_workers_never_have_the_same_picture_and_a_lost_one_is_tried_a_few_times(
    shop: Connection, space: Space
) -> None:
    image = embedded(shop, space)
    for attempt in range(1, regions.MAX_ATTEMPTS + 1):
        found = taken(shop, image, seconds=0.001)
        assert found.attempts == attempt
        shop.execute("UPDATE imgsearch.region_state SET due = now() - interval '1 s'")
        if attempt == 1:
            taken(shop, image)
            assert regions.claim(shop, 1, ("acme", image), lease_seconds=60) is None
            shop.execute("UPDATE imgsearch.region_state SET due = now() - interval '1 s', attempts = 1")
        assert regions.due(shop, 1) == ([("acme", image)] if attempt < regions.MAX_ATTEMPTS else [])
    assert regions.due(shop, 1) == []
    assert rows(shop, "SELECT image_id, error_code FROM imgsearch.failures") == [(image, "parts_worker_lost")]
    assert shops.show(shop, "acme")["regions_failed"] == 1
    assert rows(shop, "SELECT imgsearch.requeue(error_code => 'parts_worker_lost')") == [(1,)]
    assert regions.due(shop, 1) == [("acme", image)]


def test_a_failure_waits_longer_each_time_and_nobodys_fault_does_not_count(shop: Connection, space: Space) -> None:
    image = embedded(shop, space)
    waits = "SELECT attempts, extract(epoch FROM due - now())::float8, error_code FROM imgsearch.region_state"
    assert not regions.fail(shop, taken(shop, image), "no_detector", "It is away.", blames=False, delay=30)
    [(attempts, seconds, code)] = rows(shop, waits)
    assert (attempts, code) == (0, "no_detector")
    assert 25 < seconds <= 30
    for attempt in range(1, regions.MAX_ATTEMPTS + 1):
        shop.execute("UPDATE imgsearch.region_state SET due = now() - interval '1 s'")
        over = regions.fail(shop, taken(shop, image), "detector_hangs", "a\0b" * 1000)
        [(attempts, seconds, code)] = rows(shop, waits)
        assert (attempts, over) == (attempt, attempt == regions.MAX_ATTEMPTS)
        assert seconds is None if over else 0.9 * 5 * 2**attempt < seconds <= 5 * 2**attempt


@pytest.mark.parametrize(
    "asked",
    [
        *({"regions": word} for word in ("yolo", "detector:", "detector: ", "Grid", "")),
        *({"regions_per_picture": number} for number in (0, 10)),
    ],
)
def test_a_wish_that_is_none_is_refused(connection: Connection, asked: dict[str, Any]) -> None:
    with pytest.raises(FilterError, match=r"region|From 1 to 9"):
        shops.set_shop(connection, tenant="acme", **asked)


def test_a_vacuum_cleans_them_too(shop: Connection, space: Space, settings: Settings) -> None:
    assert "region_1" in maintenance.vacuum(settings)
