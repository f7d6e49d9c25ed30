"""What tests of upgrades share."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from bench import rolling_upgrade
from tests.schema.rehearsal import PHOTOS, stepped


@pytest.fixture
def rehearsal(monkeypatch: pytest.MonkeyPatch, connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """The next release has a step over a table of some images."""
    connection.execute(PHOTOS, [2000])
    stepped(monkeypatch, rolling_upgrade.step())
    return connection
