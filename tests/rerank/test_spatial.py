"""The same object photographed again is found by its features, which are kept beside the picture."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from imgsearch_workers.looking import features
from imgsearch_workers.looking.spatial import agreement
from PIL import Image

from imgsearch.dev.testing import embed
from imgsearch.ingest import upload
from imgsearch.query import ImageId
from imgsearch.retrieval import Hits, search
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.storage import open_store
from tests.answering import answering
from tests.rerank.looking import looking
from tests.rerank.posters import as_file, poster, seen_from_the_side

Connection = psycopg.Connection[Any]
MANY = 12


def kept(settings: Settings) -> dict[str, bytes]:
    folder = Path(settings.storage_url.removeprefix("file://")) / "look"
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def shop(settings: Settings, connection: Connection, space: Space) -> list[int]:
    """The images of a few posters."""
    store = open_store(settings.storage_url)
    found = [
        upload.add(connection, as_file(poster(n)), product_id=f"p{n}", tenant="acme", store=store).image_id
        for n in range(MANY)
    ]
    embed(connection)
    return found


def asked(connection: Connection, query: Any, k: int = MANY, seconds: float = 60, **step: Any) -> Hits:
    return search(
        connection, query, tenant="acme", k=k, rerank=[{"step": "spatial", **step}], rerank_timeout=seconds, timeout=30
    )


def test_what_was_photographed_again_comes_first(
    settings: Settings, connection: Connection, space: Space, shop: list[int]
) -> None:
    with answering(settings, space), looking(settings, space):
        for number in (3, 8):
            again, leads = seen_from_the_side(poster(number))
            hits = asked(connection, as_file(again))
            assert hits.reranked is not None
            assert hits.reranked.code is None, hits.reranked
            assert hits[0].product_id == f"p{number}"
            said = hits[0].look["spatial"]  # type: ignore[index]
            assert said["inliers"] >= 30
            assert [hit for hit in hits[1:] if hit.look] == [], "no other one agrees"
            corners = np.array([[0.1, 0.1, 1], [0.9, 0.1, 1], [0.9, 0.9, 1], [0.1, 0.9, 1]]).T
            theirs, ours = np.array(said["homography"]) @ corners, leads @ corners
            assert np.abs(theirs[:2] / theirs[2] - ours[:2] / ours[2]).max() < 0.02
            assert len(said["pairs"]) > 10
            [done] = hits.reranked.steps
            assert (done.looked, done.moved > 0) == (MANY, True)


def test_features_are_kept_beside_the_picture_and_go_with_it(
    settings: Settings, connection: Connection, space: Space, shop: list[int]
) -> None:
    with looking(settings, space):
        first = asked(connection, ImageId(shop[0]))
        before = kept(settings)
        assert len(before) == MANY
        assert all(len(data) <= 12 + features.MOST * 132 for data in before.values())
        second = asked(connection, ImageId(shop[0]))
        assert [hit.look for hit in second] == [hit.look for hit in first]
        assert kept(settings) == before
        # Another picture in its place has other bytes, and so other features.
        store = open_store(settings.storage_url)
        upload.add(connection, as_file(poster(77)), product_id="p5", tenant="acme", store=store)
        embed(connection)
        asked(connection, ImageId(shop[5]))
        assert len(kept(settings)) == MANY + 1
        upload.sweep_store(connection, store, older_than=timedelta(0))
        assert len(kept(settings)) == MANY, "what is of no picture any more goes with the sweep"
        for name in kept(settings):
            for path in Path(settings.storage_url.removeprefix("file://")).rglob(name):
                path.write_bytes(b"rsf1 and then nonsense")
        assert asked(connection, ImageId(shop[0]))[0].look == first[0].look, "what is damaged is made anew"


def test_nothing_to_recognise(settings: Settings, connection: Connection, space: Space, shop: list[int]) -> None:
    plain = as_file(Image.new("RGB", (300, 300), (200, 30, 30)))
    tiny = as_file(Image.new("RGB", (1, 1)))
    with answering(settings, space), looking(settings, space):
        for query, said in ((plain, "nothing to recognise"), (tiny, "nothing"), ("a red poster", "no picture")):
            hits = asked(connection, query)
            assert hits.reranked is not None
            assert hits.reranked.code == "nothing_to_go_by"
            assert said in str(hits.reranked.why)
            assert len(hits) == MANY


def test_a_picture_that_is_gone_or_damaged_is_passed_by(
    settings: Settings, connection: Connection, space: Space, shop: list[int]
) -> None:
    rows = connection.execute("SELECT product_id, uri FROM imgsearch.image WHERE product_id IN ('p1', 'p2')").fetchall()
    uri = dict(rows)
    folder = Path(settings.storage_url.removeprefix("file://"))
    (folder / uri["p1"].removeprefix("store:")).unlink()
    (folder / uri["p2"].removeprefix("store:")).write_bytes(b"\xff\xd8 nonsense")
    connection.execute("UPDATE imgsearch.image SET uri = 'https://nowhere.invalid/x.jpg' WHERE product_id = 'p4'")
    with answering(settings, space), looking(settings, space):
        hits = asked(connection, as_file(seen_from_the_side(poster(3))[0]))
    assert hits[0].product_id == "p3"
    assert len(hits) == MANY, "the one whose address was changed keeps its vector until other bytes are there"


def test_as_many_are_looked_at_as_the_time_allows(
    settings: Settings, connection: Connection, space: Space, shop: list[int]
) -> None:
    """Whoever asks again finds what was made kept, and comes further."""
    with looking(settings, space):
        looked = []
        for _ in range(40):
            hits = asked(connection, ImageId(shop[0]), seconds=2)
            looked += [step.looked for step in hits.reranked.steps if step.code is None]  # type: ignore[union-attr]
            if looked and looked[-1] == MANY:
                break
    assert looked[-1] == MANY


def test_features_are_the_same_after_they_were_kept() -> None:
    first, second = (features.found(np.asarray(one)) for one in (poster(1), seen_from_the_side(poster(1))[0]))
    again = features.from_bytes(first.as_bytes())
    assert again is not None
    assert np.abs(again.descriptors - first.descriptors).max() < 0.05
    assert np.abs(again.points - first.points).max() < 0.02
    fresh, kept_ = agreement(second, first), agreement(second, again)
    assert abs(fresh.inliers - kept_.inliers) <= 0.1 * fresh.inliers
    for damaged in (b"", b"rsf1", first.as_bytes()[:-1], b"x" + first.as_bytes()[1:]):
        assert features.from_bytes(damaged) is None
    none = features.found(np.full((64, 64, 3), 128, np.uint8))
    assert len(none.points) == 0
    assert features.from_bytes(none.as_bytes()) is not None
    assert agreement(none, first).inliers == agreement(first, none).inliers == 0
