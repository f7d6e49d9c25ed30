"""A filter or a way of ranking that a code path does not know is refused, never ignored."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.settings import Settings
from imgsearch.spaces.space import ensure
from tests.shop import Row, database, fill

VECTOR = [1.0] + [0.0] * (FakeEncoder().describe().dimension - 1)
SEARCH = "SELECT product_id FROM imgsearch.search(imgsearch.vec_of(1), k => 1{})"


@pytest.fixture
def settings(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    with database(servers, template) as shop, db.connect(shop, autocommit=True) as opened:
        fill(opened, ensure(opened, FakeEncoder().describe()), [Row(vector=VECTOR)] * 3)
        yield shop


def execute(settings: Settings, statement: str) -> None:
    """Each by a session of its own: a session keeps the plans it has made."""
    with db.connect(settings, autocommit=True) as opened:
        opened.execute(statement)


@pytest.mark.parametrize("filters", ["", ", tenant => 'acme'", ", per => 'image'", ", max_price => 5"])
def test_no_search_goes_on_beside_a_filter_that_no_path_answers_for(settings: Settings, filters: str) -> None:
    execute(settings, SEARCH.format(filters))
    execute(settings, "ALTER TYPE imgsearch.filters ADD ATTRIBUTE brand text")
    with pytest.raises(psycopg.errors.CannotCoerce):
        execute(settings, SEARCH.format(filters))
