"""Each filter finds 0.99 of what is nearest on a real encoder's vectors and on sparse ones; unturned it does not."""

from __future__ import annotations

import secrets

import pytest

from bench import given, photos
from imgsearch import db
from imgsearch.dev import embedded
from tests.shop import database

ROWS = 4000


@pytest.mark.slow
@pytest.mark.parametrize("name", given.SETS)
def test_each_filter_finds_what_is_nearest(servers: embedded.Servers, template: str, name: str) -> None:
    if name == "photos" and (why := photos.lacking()):
        pytest.skip(why)
    seed = secrets.randbelow(2**31)
    print(f"{name}, seed {seed}")
    drawn = given.drawn(name, ROWS, 30, seed)
    recalls = {}
    for turned in (True, False):
        with database(servers, template) as settings:
            given.load(settings, drawn, turned=turned)
            with db.connect(settings, autocommit=True) as connection:
                cells = given.measure(connection, drawn)
        recalls[turned] = {cell.name: cell.recall for cell in cells if cell.name != "none"}
    assert min(recalls[True].values()) >= 0.99, (seed, recalls)
    assert min(recalls[False].values()) < 0.99, ("too easy to show anything", seed, recalls)
