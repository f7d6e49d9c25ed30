"""Pairs of a catalogue that share one band of their hashes with each other, and with many that look otherwise."""

from __future__ import annotations

from imgsearch.ops import duplicates
from imgsearch.spaces.space import Space
from tests.twins import Connection


def flipped(bits: str, *places: int) -> str:
    return "".join(str(1 - int(bit)) if place in places else bit for place, bit in enumerate(bits))


def hashed(connection: Connection, product: str, bits: str) -> int:
    """Add a picture with a hash that is made up; turned, it is nobody's."""
    turned = "01" * 128 + "0011" * 64 + "0" * 256 * 5
    [(image,)] = connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri, sha256)"
        " VALUES ('acme', %(p)s, 'store:' || %(p)s, sha256(%(p)s::bytea)) RETURNING image_id",
        {"p": product},
    ).fetchall()
    connection.execute(
        "INSERT INTO imgsearch.fingerprint (tenant_id, image_id, sha256, quality, pdq, turned, bands, tiles)"
        " SELECT 'acme', image_id, sha256, 100, %s::bit(256), %s::bit(1792), imgsearch_internal.bands(%s::bit(256)),"
        " decode(repeat('80', 556), 'hex')"
        " FROM imgsearch.image WHERE image_id = %s",
        (bits, turned, bits, image),
    )
    return int(image)


def test_those_that_share_a_band_with_an_earlier_one_are_compared_with_each_other(
    connection: Connection, space: Space
) -> None:
    one = "1100100101101110" * 16
    other = flipped(one, *range(16 + 5, 256, 16))  # a bit in each band but the first
    stranger = one[:16] + "".join("10"[int(bit)] for bit in one[16:])
    hashed(connection, "stranger", stranger)
    pair = {hashed(connection, "one", one), hashed(connection, "other", other)}
    assert duplicates.find(connection, tenant="acme").certain == 1
    [mark] = connection.execute("SELECT image_id, original, distance FROM imgsearch.duplicate").fetchall()
    assert ({*mark[:2]}, mark[2]) == (pair, 15)
