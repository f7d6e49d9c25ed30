"""The next release as tests play it: a step in five parts over the table of images, and what it leaves."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from imgsearch.schema import source
from imgsearch.schema.step import Step

Connection = psycopg.Connection[Any]
STEPS = source.steps()
PHOTOS = """INSERT INTO imgsearch.image (tenant_id, product_id, uri) SELECT 'acme', 'p' || n, 'store:' || n
FROM generate_series(1, %s) n"""


def stepped(monkeypatch: pytest.MonkeyPatch, *steps: Step) -> None:
    """As if this release had these steps more."""
    monkeypatch.setattr(source, "steps", lambda: (*STEPS, *steps))


def done(connection: Connection) -> tuple[Any, ...]:
    """What the rehearsed step leaves: images without a value, the index, the constraint."""
    row = connection.execute(
        "SELECT (SELECT count(*) FROM imgsearch.image WHERE rehearsed IS NULL),"
        " (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('imgsearch.image_rehearsed')),"
        " (SELECT convalidated FROM pg_constraint WHERE conname = 'rehearsed_is_a_number')"
    ).fetchone()
    assert row is not None
    return row
