"""A space whose vectors are brought along, and pictures to give them to."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg
import pytest

import imgsearch
from bench.soak import pictures
from imgsearch.ops import lifecycle
from imgsearch.settings import Settings

Connection = psycopg.Connection[Any]
WIDE = 8
AS_ACME = "SELECT set_config('imgsearch.tenant', 'acme', true), set_config('role', 'imgsearch_writer', true)"


def drawn(number: int) -> list[float]:
    found: list[float] = np.abs(np.random.default_rng(number).normal(size=WIDE)).tolist()
    return found


@pytest.fixture
def mine(connection: Connection) -> str:
    name = lifecycle.add_given(connection, "mine", WIDE)
    lifecycle.activate(connection, name)
    return name


def add(connection: Connection, settings: Settings, number: int, **fields: Any) -> imgsearch.Added:
    fields = {"vector": drawn(number), "tenant": "acme", "product_id": f"p{number}", **fields}
    return imgsearch.add(connection, pictures.draw(number), settings=settings, **fields)


def counts(connection: Connection) -> tuple[Any, ...]:
    row = connection.execute(
        "SELECT (SELECT count(*) FROM imgsearch.image), (SELECT count(*) FROM imgsearch.vectors),"
        " (SELECT count(*) FROM imgsearch.job), (SELECT count(*) FROM imgsearch.violations)"
    ).fetchone()
    assert row is not None
    return row
