"""Two workers and one picture: who looked as its shop no longer asks writes nothing over who looks now."""

from __future__ import annotations

import threading

from imgsearch import db
from imgsearch.ingest import regions
from imgsearch.ops import shops
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.processes import eventually
from tests.test_region_vectors import Connection, embedded, parts, rows, shop, taken, unit

__all__ = ["shop"]
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def test_a_late_look_does_not_end_that_of_another(shop: Connection, space: Space, settings: Settings) -> None:
    """A price is being written for long, so the first look waits; meanwhile its shop asks otherwise."""
    image = embedded(shop, space)
    looked, written = taken(shop, image), list[bool]()

    def puts() -> None:
        with db.connect(settings, autocommit=True) as late:
            written.append(regions.put(late, looked, parts(space, 4), None))

    with db.connect(settings) as prices:
        prices.execute("UPDATE imgsearch.image SET price = 5")
        thread = threading.Thread(target=puts, daemon=True)
        thread.start()
        eventually(lambda: rows(shop, WAITS) == [(1,)], what="the look that waits")
        shops.set_shop(shop, tenant="acme", regions="grid", regions_per_picture=9)
        now = taken(shop, image)
        prices.commit()
    thread.join(20)
    assert written == [False]
    state = "SELECT proposer, boxes, error_code FROM imgsearch.region_state"
    assert rows(shop, state) == [("grid 9", None, "in_work")], "who looks now may be killed, so it is not done"
    assert rows(shop, "SELECT 1 FROM imgsearch.regions") == []
    assert regions.put(shop, now, parts(space, 2), None)
    assert rows(shop, state) == [("grid 9", 2, None)]


def test_who_looked_at_the_file_before_writes_nothing(shop: Connection, space: Space) -> None:
    """Another file has come and has its vector, and somebody looks at that."""
    image = embedded(shop, space)
    late = taken(shop, image)
    shop.execute("UPDATE imgsearch.image SET uri = 'store:2', sha256 = sha256('2')")
    shop.execute(
        "INSERT INTO imgsearch.embedding_1 (tenant_id, image_id, sha256, embedding)"
        " VALUES ('acme', %s, sha256('2'), %s)",
        (image, str(unit(space).tolist())),
    )
    now = taken(shop, image)
    assert not regions.put(shop, late, parts(space, 4), None)
    assert regions.put(shop, now, parts(space, 1), None)
    assert rows(shop, "SELECT sha256 = sha256('2') FROM imgsearch.regions") == [(True,)]


def test_a_look_at_other_bytes_is_none(shop: Connection, space: Space) -> None:
    """Whoever replaced a picture past the triggers: it is looked at again."""
    image = embedded(shop, space)
    assert regions.put(shop, taken(shop, image), parts(space, 2), None)
    assert regions.missing(shop, 1) == []
    shop.execute("UPDATE imgsearch.region_state SET sha256 = sha256('9')")
    assert regions.missing(shop, 1) == [("acme", image)]
    assert regions.claim(shop, 1, ("acme", image), lease_seconds=60)
