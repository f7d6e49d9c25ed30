"""What find() reckons that a walk and bits cost, against what was measured (docs/decisions/0040-costs.md)."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

Connection = psycopg.Connection[Any]


# Measured by `python -m bench.costs` among 200,000, less the 0.8 ms that either way takes besides.
@pytest.mark.parametrize(
    ("access", "share", "reached", "ms"),
    [
        ("leading", 0.01, None, 1.4),
        ("leading", 0.1, None, 6.2),
        ("leading", 0.5, None, 22.6),
        ("index", 0.15, None, 21.5),
        ("index", 0.85, None, 34),
        ("row", 0.01, 0.01, 4.2),
        ("row", 0.1, 0.1, 25),
        ("row", 0.5, 0.5, 64),
        ("row", 0.9, 1.0, 76),
    ],
)
def test_bits_are_reckoned_to_cost_what_was_measured(
    connection: Connection, access: str, share: float, reached: float | None, ms: float
) -> None:
    row = connection.execute(
        """SELECT imgsearch_internal.bits_ms(jsonb_populate_record(NULL::imgsearch_internal.search_context,
               jsonb_build_object('pictures', 200000, 'key_us', 0.16)),
               ROW(%s, %s, NULL, %s)::imgsearch_internal.estimate)""",
        [share, reached, access],
    ).fetchone()
    assert row is not None
    assert row[0] == pytest.approx(ms, rel=0.25)


@pytest.mark.parametrize(("ef", "ms"), [(100, 3.5), (200, 6), (400, 11), (1000, 26)])
def test_a_walk_is_reckoned_to_cost_what_was_measured(connection: Connection, ef: int, ms: float) -> None:
    row = connection.execute(
        """SELECT imgsearch_internal.walk_ms(
            jsonb_populate_record(NULL::imgsearch_internal.search_context, '{"walk_us": 25}'), %s)""",
        [ef],
    ).fetchone()
    assert row is not None
    assert row[0] == pytest.approx(ms, rel=0.1)
