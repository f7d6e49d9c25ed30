"""Steps of a shop: they rank, and whatever else they do (hang, die, raise, talk nonsense) the first ranking stands."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from imgsearch.errors import SettingsError
from imgsearch.query import ImageId
from imgsearch.retrieval import Hits, search
from imgsearch.settings import Settings, load_settings
from imgsearch.spaces.space import Space
from tests.conftest import with_settings
from tests.crowd import crowd
from tests.rerank.looking import looking

Connection = psycopg.Connection[Any]
STEPS = """
import os, time
from imgsearch_workers.looking.step import Look, Ranked

class Cheap:
    def rank(self, look, sign=1):
        print("steps may print")
        order = sorted(look.candidates, key=lambda one: sign * one.price)
        return Ranked([one.index for one in order], {one.index: {"price": one.price} for one in order[:3]})

class Hangs:
    def rank(self, look):
        time.sleep(600)

class Dies:
    def rank(self, look):
        os._exit(3)

class Raises:
    def rank(self, look):
        raise RuntimeError("no idea")

class Nonsense:
    def rank(self, look):
        return Ranked([0, 0, 99])

class Secrets:
    def rank(self, look):
        known = [name for name in os.environ if name.startswith("IMGSEARCH_") or name in ("DATABASE_URL", "REDIS_URL")]
        return Ranked([], {0: {"known": known, "pixels": look.pictures.pixels(0) is not None}})

class CannotBeMade:
    def __init__(self):
        raise ValueError("no licence")
"""
NAMES = ("Cheap", "Hangs", "Dies", "Raises", "Nonsense", "Secrets", "CannotBeMade", "Absent")


@pytest.fixture
def theirs(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (tmp_path / "shop_steps.py").write_text(STEPS)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret@nowhere/x")
    monkeypatch.setenv("IMGSEARCH_STORAGE_URL", settings.storage_url)
    return with_settings(settings, IMGSEARCH_RERANKERS=", ".join(f"{one.lower()}=shop_steps:{one}" for one in NAMES))


@pytest.fixture
def shop(theirs: Settings, connection: Connection, space: Space) -> Iterator[Connection]:
    crowd(connection, space, 200)
    with looking(theirs, space):
        yield connection


def asked(connection: Connection, name: str, *more: Any, seconds: float = 20, **given: Any) -> Hits:
    step = {"step": "custom", "name": name, "pool": 30, **given}
    [(image,)] = connection.execute("SELECT min(image_id) FROM imgsearch.image WHERE tenant_id = 'acme'").fetchall()
    return search(connection, ImageId(image), tenant="acme", k=30, rerank=[step, *more], rerank_timeout=seconds)


def plain(connection: Connection) -> list[int]:
    [(image,)] = connection.execute("SELECT min(image_id) FROM imgsearch.image WHERE tenant_id = 'acme'").fetchall()
    return [hit.image_id for hit in search(connection, ImageId(image), tenant="acme", k=30)]


def test_a_step_of_the_shop_ranks(shop: Connection) -> None:
    for sign in (1, -1):
        hits = asked(shop, "cheap", parameters={"sign": sign})
        prices = [float(hit.price or 0) for hit in hits]
        assert prices == sorted(prices, reverse=sign < 0)
        assert [hit.look for hit in hits[:4]] == [*({"custom": {"price": price}} for price in prices[:3]), None]
        assert hits.reranked is not None
        assert hits.reranked.code is None


@pytest.mark.parametrize(
    ("name", "code", "why"),
    [
        ("hangs", "time_over", "time"),
        ("dies", "failed", "ended"),
        ("raises", "failed", "RuntimeError: no idea"),
        ("nonsense", "failed", "twice"),
        ("cannotbemade", "failed", "no licence"),
        ("absent", "failed", "Absent"),
        ("unheard_of", "not_set", "IMGSEARCH_RERANKERS"),
    ],
)
def test_a_bad_step_leaves_the_first_ranking(shop: Connection, name: str, code: str, why: str) -> None:
    began = time.monotonic()
    hits = asked(shop, name, seconds=6 if name == "hangs" else 20)
    assert time.monotonic() - began < 15
    assert [hit.image_id for hit in hits] == plain(shop)
    assert hits.reranked is not None
    assert (hits.reranked.code, why in str(hits.reranked.why)) == (code, True), hits.reranked
    # Nothing else suffers: the next look, and the next step of the same look, are answered.
    after = asked(shop, name, "k_reciprocal", seconds=6 if name == "hangs" else 20)
    assert after.reranked is not None
    last = after.reranked.steps[-1]
    assert (last.step, last.code) == ("k_reciprocal", "time_over" if name == "hangs" else None)
    assert asked(shop, "cheap").reranked.code is None  # type: ignore[union-attr]


def test_what_finished_in_time_holds_when_the_next_step_hangs(shop: Connection) -> None:
    hits = asked(shop, "cheap", {"step": "custom", "name": "hangs"}, seconds=5)
    assert hits.reranked is not None
    assert [(one.step, one.code) for one in hits.reranked.steps] == [("custom", None), ("custom", "time_over")]
    prices = [float(hit.price or 0) for hit in hits]
    assert prices == sorted(prices)


def test_a_step_knows_no_secret_and_bad_pictures_are_none(shop: Connection) -> None:
    hits = asked(shop, "secrets")
    assert [hit.look for hit in hits if hit.look] == [{"custom": {"known": [], "pixels": False}}]


@pytest.mark.parametrize("said", ["fresh", "fresh=shop", "a b=shop:Fresh", "fresh=shop:Fresh()", "=shop:Fresh"])
def test_a_setting_that_names_no_class_is_refused(said: str) -> None:
    with pytest.raises(SettingsError, match="write name=package"):
        load_settings({"RERANKERS": said}, environ={})
