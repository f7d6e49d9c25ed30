"""What a shop says becomes of a new picture that is a duplicate: kept, linked, or refused."""

from __future__ import annotations

import pickle
import threading
from typing import Any, Literal

import pytest

from imgsearch import db
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import FilterError, PictureError
from imgsearch.ingest import arrival, queue, upload
from imgsearch.ingest.queue import Claim, Delivery, Failure
from imgsearch.ops import shops
from imgsearch.picture import decode
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.processes import WorkerProcess, eventually
from tests.twins import Connection, add, again, drawn, fingerprint, flat

Policy = Literal["keep", "link", "refuse"]


def made(claim: Claim, data: bytes) -> Delivery:
    encoder = FakeEncoder()
    [vector] = encoder.embed_pictures(decode(data, encoder.size)[None])
    pdq = fingerprint(data)
    return Delivery(claim=claim, sha256=claim.sha256 or b"", embedding=vector, pdq=pdq.text, quality=pdq.quality)


def arrive(connection: Connection, settings: Settings, space: Space) -> tuple[set[Any], list[Failure]]:
    store = upload.default_store(settings)
    claims = queue.claim(connection, worker="w", limit=100, lease_seconds=60)
    deliveries = [made(claim, store.get(claim.uri)) for claim in sorted(claims, key=lambda claim: claim.image_id)]
    written, refused = arrival.deliver(connection, space.space_id, deliveries)
    queue.fail(connection, refused, max_attempts=3)
    return {key[1] for key in written}, refused


def links(connection: Connection) -> list[tuple[int, int]]:
    return connection.execute("SELECT image_id, original FROM imgsearch.duplicates ORDER BY 1").fetchall()  # type: ignore[return-value]


def test_a_shop_keeps_duplicates_unless_it_says_otherwise(
    connection: Connection, settings: Settings, space: Space
) -> None:
    ids = {add(connection, settings, data, f"p{n}") for n, data in enumerate((drawn(0), drawn(0), again(0)))}
    assert arrive(connection, settings, space) == (ids, [])
    assert links(connection) == []


def test_a_shop_may_link_them_and_all_are_kept(connection: Connection, settings: Settings, space: Space) -> None:
    shops.set_shop(connection, tenant="acme", duplicates="link")
    one, same = add(connection, settings, drawn(0), "p0"), add(connection, settings, drawn(0), "p1")
    other, blank = add(connection, settings, drawn(1), "p2"), add(connection, settings, flat(), "p3")
    assert arrive(connection, settings, space) == ({one, same, other, blank}, [])
    alike = add(connection, settings, again(0), "p4")
    assert arrive(connection, settings, space) == ({alike}, [])
    assert links(connection) == [(same, one), (alike, one)], "one of equals is the first, and no chain is made"


def test_a_shop_may_refuse_them_at_once_or_when_they_were_seen(
    connection: Connection, settings: Settings, space: Space
) -> None:
    shops.set_shop(connection, tenant="acme", duplicates="refuse")
    one = add(connection, settings, drawn(0), "p0")
    assert arrive(connection, settings, space) == ({one}, [])
    with pytest.raises(PictureError, match=r"picture 0 of product p0.*each picture once") as caught:
        add(connection, settings, drawn(0), "p1")
    assert (caught.value.code, caught.value.twin) == ("duplicate", one)
    assert pickle.loads(pickle.dumps(caught.value)).twin == one  # noqa: S301
    assert connection.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (1,), "nothing was written"
    add(connection, settings, drawn(0), "p0", price=5)  # itself again
    alike = add(connection, settings, again(0), "p2")
    written, [refused] = arrive(connection, settings, space)
    assert written == set()
    assert (refused.claim.image_id, refused.code, refused.permanent) == (alike, "duplicate", True)
    failures = connection.execute("SELECT image_id, error_code, error FROM imgsearch.failures").fetchall()
    assert [row[:2] for row in failures] == [(alike, "duplicate")]
    assert "product p0" in failures[0][2]
    assert add(connection, settings, drawn(0), "p0", tenant="bazaar"), "another shop's is no twin"
    assert len(arrive(connection, settings, space)[0]) == 1
    connection.execute("DELETE FROM imgsearch.image WHERE image_id = %s", (one,))
    connection.execute("SELECT imgsearch.requeue(error_code => 'duplicate')")
    assert arrive(connection, settings, space) == ({alike}, []), "the other has gone"


def test_blank_pictures_are_refused_only_when_their_bytes_are_equal(
    connection: Connection, settings: Settings, space: Space
) -> None:
    shops.set_shop(connection, tenant="acme", duplicates="refuse")
    ids = {add(connection, settings, flat(grey), f"b{grey}") for grey in (10, 90, 250)}
    assert arrive(connection, settings, space) == (ids, [])


def test_of_two_equal_uploads_at_once_one_is_taken(connection: Connection, settings: Settings, space: Space) -> None:
    ids = [add(connection, settings, drawn(0) if n < 2 else again(0, 90 - n), f"p{n}") for n in range(6)]
    shops.set_shop(connection, tenant="acme", duplicates="refuse")
    claims = {claim.image_id: claim for claim in queue.claim(connection, worker="w", limit=9, lease_seconds=60)}
    store = upload.default_store(settings)
    deliveries = [made(claims[image], store.get(claims[image].uri)) for image in ids]
    found: list[tuple[set[Any], list[Failure]]] = []
    start = threading.Barrier(len(ids))

    def deliver(one: Delivery) -> None:
        with db.connect(settings, autocommit=True) as mine:
            start.wait()
            found.append(arrival.deliver(mine, space.space_id, [one]))

    threads = [threading.Thread(target=deliver, args=(one,)) for one in deliveries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(written) for written, _ in found) == 1
    assert sum(len(refused) for _, refused in found) == len(ids) - 1


def test_another_model_embeds_what_is_there_whatever_the_shop_says(
    connection: Connection, settings: Settings, space: Space
) -> None:
    ids = {add(connection, settings, drawn(0), "p0"), add(connection, settings, drawn(0), "p1")}
    arrive(connection, settings, space)
    shops.set_shop(connection, tenant="acme", duplicates="refuse")
    connection.execute(
        "INSERT INTO imgsearch.job (tenant_id, image_id, space_id) SELECT 'acme', image_id, %s FROM imgsearch.image",
        (space.space_id,),
    )
    assert arrive(connection, settings, space) == (ids, [])


def test_a_worker_does_what_the_shop_says(connection: Connection, settings: Settings, worker: WorkerProcess) -> None:
    shops.set_shop(connection, tenant="acme", duplicates="refuse")
    add(connection, settings, drawn(0), "p0")
    eventually(lambda: connection.execute("SELECT 1 FROM imgsearch.vectors").fetchone(), what="a vector")
    twin = add(connection, settings, again(0), "p1")
    eventually(lambda: connection.execute("SELECT 1 FROM imgsearch.failures").fetchone(), what="a refusal")
    rows = connection.execute("SELECT image_id, error_code FROM imgsearch.failures").fetchall()
    assert rows == [(twin, "duplicate")]


def test_a_policy_that_is_none_is_said(connection: Connection) -> None:
    with pytest.raises(FilterError, match="keep, link or refuse"):
        shops.set_shop(connection, tenant="acme", duplicates="drop")  # type: ignore[arg-type]
