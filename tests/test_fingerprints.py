"""What is kept of each picture to tell its duplicates: made from the pixels that are embedded, gone when they go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from imgsearch_workers.decoding.child import PLANE
from PIL import Image

from imgsearch.ingest import queue
from imgsearch.picture import hashes
from imgsearch.picture.pixels import square
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.pdq import distance, pdq
from tests.processes import WorkerProcess, eventually
from tests.twins import Connection, add, again, delivered, drawn, fingerprint, flat, picture, saved


def stored(connection: Connection) -> dict[int, tuple[Any, ...]]:
    rows = connection.execute(
        "SELECT image_id, pdq::text, turned::text, quality, cardinality(bands) FROM imgsearch.fingerprint"
    ).fetchall()
    return {row[0]: row[1:] for row in rows}


def test_a_worker_keeps_the_hash_of_the_pixels_it_embeds(
    connection: Connection, settings: Settings, worker: WorkerProcess
) -> None:
    whole, blank = add(connection, settings, drawn(0), "shoe"), add(connection, settings, flat(), "blank")
    eventually(lambda: len(stored(connection)) == 2, what="two hashes")
    found = stored(connection)
    bits = np.array([int(bit) for bit in found[whole][0]], np.uint8)
    assert distance(bits, fingerprint(drawn(0)).bits) <= 8, "another model's pixels change a few bits"
    assert len(found[whole][1]) == 7 * 256
    assert found[whole][2] >= 50
    assert found[blank][2] == 0


@pytest.mark.parametrize("turn", range(1, 8))
def test_a_turned_picture_has_the_hash_that_was_foretold(turn: int) -> None:
    seen = picture(1).resize((301, 260))
    shown = saved(seen)
    orientation = seen.getexif()
    orientation[274] = turn + 1
    turned = fingerprint(saved(seen, "PNG", exif=orientation))
    assert distance(turned.bits, fingerprint(shown).turns[turn]) <= 4


def test_size_and_format_hardly_change_it_and_mirroring_is_only_a_turn() -> None:
    """Meta's own windows lie beside the middle of what they stand for: half the size is 17 bits away there."""
    one = fingerprint(drawn(2))
    half = picture(2).resize((picture(2).width // 2, picture(2).height // 2))
    assert distance(one.bits, fingerprint(saved(half)).bits) <= 10
    assert distance(one.bits, fingerprint(again(2)).bits) <= 16
    mirrored = fingerprint(saved(picture(2).transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
    assert distance(mirrored.bits, one.turns[1]) <= 2
    assert distance(fingerprint(drawn(3)).bits, one.bits) > 60
    assert distance(one.bits, pdq(picture(2)).bits) <= hashes.SAME_PICTURE


def test_one_colour_has_no_quality_and_the_smallest_picture_a_hash() -> None:
    assert fingerprint(flat()).quality == 0
    assert fingerprint(saved(Image.new("RGB", (1, 1), (9, 9, 9)))).quality == 0
    assert len(square(saved(Image.new("RGB", (1, 3000), (9, 9, 9))), 224).plane) == PLANE


def test_it_goes_with_the_bytes_and_a_change_of_price_leaves_it_alone(
    connection: Connection, settings: Settings, space: Space
) -> None:
    one = add(connection, settings, drawn(0), "shoe")
    delivered(connection, settings, space)
    before = connection.execute("SELECT xmin FROM imgsearch.fingerprint").fetchall()
    add(connection, settings, drawn(0), "shoe", price=5)
    connection.execute("UPDATE imgsearch.image SET price = 7, in_stock = false")
    assert connection.execute("SELECT xmin FROM imgsearch.fingerprint").fetchall() == before
    assert add(connection, settings, drawn(1), "shoe") == one
    assert stored(connection) == {}, "the hash of other bytes"
    delivered(connection, settings, space)
    assert set(stored(connection)) == {one}
    connection.execute("DELETE FROM imgsearch.image")
    assert stored(connection) == {}


def test_the_same_bytes_again_have_the_same_hash_without_decoding(
    connection: Connection, settings: Settings, space: Space
) -> None:
    one = add(connection, settings, drawn(0), "shoe")
    delivered(connection, settings, space)
    two = add(connection, settings, drawn(0), "other")
    [claim] = queue.claim(connection, worker="w", limit=5, lease_seconds=60)
    known = queue.known(connection, space.space_id, [("acme", claim.sha256 or b"")])
    [found] = known.values()
    made = queue.Delivery(claim=claim, sha256=claim.sha256 or b"", **vars(found))
    assert queue.deliver(connection, space.space_id, [made])
    assert stored(connection)[one] == stored(connection)[two]


def test_a_delivery_without_a_hash_is_one_of_the_release_before(
    connection: Connection, settings: Settings, space: Space
) -> None:
    add(connection, settings, drawn(0), "shoe")
    [claim] = queue.claim(connection, worker="w", limit=5, lease_seconds=60)
    made = queue.Delivery(claim=claim, sha256=claim.sha256 or b"", embedding=[1.0] + [0.0] * (space.dimension - 1))
    assert queue.deliver(connection, space.space_id, [made])
    assert stored(connection) == {}
