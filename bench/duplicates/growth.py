"""How long does a whole catalogue take, and how does that grow? Hashes in Postgres, no pictures and no vectors."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from bench.duplicates.pool import Floats, blended
from imgsearch.ops import duplicates


def load(connection: psycopg.Connection[Any], packed: NDArray[np.uint8]) -> float:
    """Store the hashes as pictures of one tenant; return how many seconds that took."""
    began = time.perf_counter()
    with connection.transaction():
        connection.execute("CREATE TEMP TABLE hashed (n integer, turns text) ON COMMIT DROP")
        with connection.cursor() as cursor, cursor.copy("COPY hashed (n, turns) FROM STDIN") as copy:
            for n, one in enumerate(packed):
                copy.write_row((n, "x" + one.tobytes().hex()))
        connection.execute("ALTER TABLE imgsearch.image DISABLE TRIGGER USER")
        connection.execute(
            "INSERT INTO imgsearch.image (tenant_id, product_id, uri, sha256)"
            " SELECT 'bench', n::text, 'store:' || n, sha256(n::text::bytea) FROM hashed ORDER BY n"
        )
        connection.execute("ALTER TABLE imgsearch.image ENABLE TRIGGER USER")
        connection.execute(
            "INSERT INTO imgsearch.fingerprint (tenant_id, image_id, sha256, quality, pdq, turned, bands, tiles)"
            " SELECT i.tenant_id, i.image_id, i.sha256, 100, b.pdq, substring(b.all_ FROM 257)::bit(1792),"
            " imgsearch_internal.bands(b.pdq), decode(repeat('80', 556), 'hex')"
            " FROM hashed h JOIN imgsearch.image i ON i.tenant_id = 'bench' AND i.product_id = h.n::text,"
            " LATERAL (SELECT h.turns::bit(2048) AS all_, h.turns::bit(2048)::bit(256) AS pdq) b"
        )
    connection.execute("VACUUM ANALYZE imgsearch.image, imgsearch.fingerprint")
    return time.perf_counter() - began


def measured(connection: psycopg.Connection[Any], known: Floats, rows: int) -> dict[str, Any]:
    """Return what `rows` hashes took: the whole catalogue, one picture of it, bytes."""
    packed, of = blended(known, rows)
    connection.execute("TRUNCATE imgsearch.image CASCADE")
    loading = load(connection, packed)
    began = time.perf_counter()
    found = duplicates.find(connection, tenant="bench")
    seconds = time.perf_counter() - began
    ids = {int(n): i for n, i in connection.execute("SELECT product_id, image_id FROM imgsearch.image")}
    original = dict(connection.execute("SELECT image_id, original FROM imgsearch.duplicate").fetchall())
    expected = [(n, int(m)) for n, m in enumerate(of) if m >= 0 and _apart(packed, n, int(m)) <= 31]
    root = {image: original.get(image, image) for image in ids.values()}
    met = sum(root[ids[n]] == root[ids[m]] for n, m in expected)
    return {
        "rows": rows,
        "loading_s": round(loading, 1),
        "seconds": round(seconds, 1),
        "groups": found.groups,
        "certain": found.certain,
        "twins_within_31": len(expected),
        "of_them_in_one_group": met,
        **_one_by_one(connection, list(ids.values())),
        **_sizes(connection, rows),
    }


def _apart(packed: NDArray[np.uint8], one: int, other: int) -> int:
    turns = packed[one].reshape(8, 32)
    return int(np.bitwise_count(turns ^ packed[other][:32]).sum(axis=1, dtype=int).min())


def _one_by_one(connection: psycopg.Connection[Any], ids: list[int]) -> dict[str, float]:
    """Return milliseconds of a question for one picture, as a worker asks where a shop wants to know."""
    chosen = np.random.default_rng(1).choice(ids, 200, replace=False)
    took = []
    for image in chosen:
        began = time.perf_counter()
        connection.execute("SELECT * FROM imgsearch_internal.certain_twins('bench', %s)", (int(image),)).fetchall()
        took.append(1000 * (time.perf_counter() - began))
    return {"one_p50_ms": round(float(np.median(took)), 2), "one_p95_ms": round(float(np.percentile(took, 95)), 2)}


def _sizes(connection: psycopg.Connection[Any], rows: int) -> dict[str, float]:
    row = connection.execute(
        "SELECT pg_table_size('imgsearch.fingerprint'), pg_relation_size('imgsearch.fingerprint_by_bands'),"
        " pg_relation_size('imgsearch.fingerprint_pkey')"
    ).fetchone()
    assert row is not None
    names = ("table_bytes", "bands_bytes", "key_bytes")
    return {f"{name}_each": round(size / rows) for name, size in zip(names, row, strict=True)}
