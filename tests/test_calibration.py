"""From judgements to the probability that a row fits: the two fits, their error, and `imgsearch calibrate`."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import CalibrationError, UnknownImage
from imgsearch.ops import calibration
from imgsearch.ops.calibration import Judgement, calibrate, read
from imgsearch.query import ImageId
from imgsearch.retrieval import search
from imgsearch.settings import Settings
from imgsearch.spaces.calibration import Numbers, calibration_error, fit, isotonic, platt, reliability
from imgsearch.spaces.space import ensure
from tests.answering import answering
from tests.shop import Row, database, fill
from tests.terminal import Run

Connection = psycopg.Connection[Any]


def drawn(many: int = 400, seed: int = 1) -> tuple[Numbers, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Cosines, and whether each fits: by chance, with the probability sigmoid(12 · cosine - 4)."""
    dice = np.random.default_rng(seed)
    cosines = dice.uniform(-0.2, 0.9, many)
    return cosines, dice.random(many) < 1 / (1 + np.exp(4 - 12 * cosines))


@pytest.mark.parametrize("seed", range(4))
def test_platt_stands_where_the_loss_is_flat(seed: int) -> None:
    """The loss has one hollow only: where its slope is nothing, it is least."""
    cosines, fits = drawn(seed=seed)
    targets = np.where(fits, (fits.sum() + 1) / (fits.sum() + 2), 1 / ((~fits).sum() + 2))
    found = platt(cosines, fits)
    off = found(cosines) - targets
    assert abs(off.mean()) < 1e-6
    assert abs((off * cosines).mean()) < 1e-6
    assert found.scale == pytest.approx(12, rel=0.35)


def test_platt_stays_calm_where_a_line_parts_all() -> None:
    cosines = np.linspace(0, 1, 200)
    found = platt(cosines, cosines > 0.5)
    assert 0 < (found.scale or 0) < 1e4
    assert found(np.array([0.5]))[0] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_isotonic_is_the_largest_of_the_least_means(seed: int) -> None:
    """At each place the maximum over starts before it of the minimum over ends behind it of the mean between."""
    cosines, fits = drawn(120, seed)
    order = np.argsort(cosines)
    sums = np.concatenate([[0], np.cumsum(fits[order])])
    wanted = [
        max(min((sums[end] - sums[start]) / (end - start) for end in range(at + 1, 121)) for start in range(at + 1))
        for at in range(120)
    ]
    assert np.allclose(isotonic(cosines, fits)(cosines[order]), np.clip(wanted, 1 / 122, 121 / 122))


def test_isotonic_pools_what_is_equal() -> None:
    cosines = np.array([0.1, 0.1, 0.1, 0.1, 0.5, 0.5])
    found = isotonic(cosines, np.array([True, False, False, False, True, True]))
    assert found.cosines == (0.1, 0.5)
    assert found.matches == pytest.approx((0.25, 0.875))


def test_a_curve_of_very_many_levels_is_kept_short() -> None:
    sizes = np.arange(2, 1500)  # levels of which each fits a little more often than the one before
    fits = np.concatenate([np.arange(size) != 0 for size in sizes])
    found = isotonic(np.arange(len(fits)) / len(fits), fits)
    assert 900 <= len(found.cosines) <= 1000
    assert list(found.matches) == sorted(found.matches)


def test_the_error_is_the_gap_between_said_and_so() -> None:
    said = np.array([0.05] * 10 + [0.95] * 10 + [1.0])
    fits = np.array([False] * 9 + [True] + [True] * 10 + [True])
    assert calibration_error(said, fits) == pytest.approx((10 * 0.05 + (11 - 10.5)) / 21)
    assert [(one.low, one.many) for one in reliability(said, fits)] == [(0.0, 10), (0.9, 11)]


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_what_teaches_nothing_is_refused(method: Any) -> None:
    cosines = np.linspace(0, 1, 100)
    for fits in (np.ones(100, bool), np.zeros(100, bool), cosines < 0.5):
        with pytest.raises(CalibrationError):
            fit(cosines, fits, method)


@pytest.fixture(scope="module")
def settings(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    with database(servers, template) as made:
        yield made


@pytest.fixture(scope="module")
def shop(settings: Settings) -> Iterator[list[int]]:
    """A hundred pictures of acme and one of another; a query worker answers."""
    with db.connect(settings, autocommit=True) as connection:
        space = ensure(connection, FakeEncoder().describe())
        dice = np.random.default_rng(5)
        base = dice.normal(size=48)
        vectors = [(base * (n % 10) / 5 + dice.normal(size=48)).tolist() for n in range(100)]
        ids = fill(connection, space, [Row(vector=vector) for vector in vectors])
        fill(connection, space, [Row(vector=vectors[0], tenant="bolt")], first=500)
        connection.execute("UPDATE imgsearch.image SET product_id = 'p9', position = 1 WHERE product_id = 'p19'")
        with answering(settings, space):
            yield ids


@pytest.fixture
def connection(settings: Settings, shop: list[int]) -> Iterator[Connection]:
    with db.connect(settings, autocommit=True) as opened:
        yield opened
        opened.execute("DELETE FROM imgsearch.calibration WHERE judged > 0")
        ensure(opened, FakeEncoder().describe())


def judged(connection: Connection, shop: Sequence[int], questions: int = 12) -> list[Judgement]:
    """Judgements by pictures: what lies near the asked one fits."""
    found = []
    for asked in shop[:questions]:
        hits = search(connection, ImageId(asked), k=30, tenant="acme", per="image")
        found += [Judgement(query=ImageId(asked), fits=hit.distance < 0.5, image_id=hit.image_id) for hit in hits]
    return found


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_what_was_judged_is_what_searches_say_from_then_on(
    connection: Connection, shop: list[int], method: Any
) -> None:
    [made] = calibrate(connection, judged(connection, shop), tenant="acme", method=method)
    assert (made.kind, made.judged, made.questions, made.before) == ("picture", 360, 12, None)
    assert made.error < 0.1
    hits = search(connection, ImageId(shop[3]), tenant="acme", k=20)
    assert [hit.match for hit in hits] == pytest.approx(list(made.curve(1 - np.array([h.distance for h in hits]))))
    assert {hit.match for hit in search(connection, ImageId(shop[3]))} == {None}
    likely = search(connection, ImageId(shop[3]), tenant="acme", k=20, min_match=0.5)
    assert [hit.image_id for hit in likely] == [hit.image_id for hit in hits if (hit.match or 0) >= 0.5]
    [again] = calibrate(connection, judged(connection, shop), tenant="acme", method=method, keep=False)
    assert again.before is not None
    assert calibration.forget(connection, kind="picture", tenant="acme")
    assert not calibration.forget(connection, kind="picture", tenant="acme")


def test_texts_stand_in_place_of_the_models_own(connection: Connection, shop: list[int]) -> None:
    words = [f"text {n}" for n in range(10)]
    given = [Judgement(query=text, fits=n < 3, product_id=f"p{n}") for text in words for n in range(8)]
    cosines, _ = calibration._cosines(connection, given, "acme", 10)
    order = np.argsort(-cosines)
    given = [
        Judgement(query=given[at].query, fits=place < 30, product_id=given[at].product_id)
        for place, at in enumerate(order)
    ]
    made = calibrate(connection, given)
    assert [(one.kind, one.before is not None) for one in made] == [("text", True)]
    assert search(connection, "text 1", tenant="bolt")[0].match is not None


def test_a_product_is_judged_by_its_nearest_picture(connection: Connection, shop: list[int]) -> None:
    asked = ImageId(shop[0])
    told = [
        Judgement(query=asked, fits=True, product_id="p9"),
        Judgement(query=asked, fits=True, product_id="p9", position=0),
        Judgement(query=asked, fits=True, product_id="p9", position=1),
        Judgement(query=asked, fits=True, image_id=shop[9]),
    ]
    nearest, first, second, same = calibration._cosines(connection, told, "acme", 10)[0]
    assert nearest == max(first, second)
    assert first == same


def test_too_few_and_too_alike_are_refused(connection: Connection, shop: list[int]) -> None:
    given = judged(connection, shop)
    good, bad = [one for one in given if one.fits], [one for one in given if not one.fits]
    for few in (given[:49], good, bad, [*bad, *good[:9]], []):
        with pytest.raises(CalibrationError, match="at least 50"):
            calibrate(connection, few)
    with pytest.raises(CalibrationError, match="at most 100,000"):
        calibrate(connection, given * 300)


def test_what_is_not_there_is_named(connection: Connection, shop: list[int]) -> None:
    given = judged(connection, shop)
    other = Judgement(query=ImageId(shop[0]), fits=True, product_id="p500")
    for unknown, named in (
        (Judgement(query=ImageId(shop[0]), fits=True, image_id=10**9), "Image 1000000000"),
        (Judgement(query=ImageId(shop[0]), fits=True, product_id="none", position=3), "Product none, picture 3"),
        (other, "Product p500"),
    ):
        with pytest.raises(CalibrationError, match=named):
            calibrate(connection, [*given, unknown], tenant="acme")
    with pytest.raises(UnknownImage):
        calibrate(connection, [*given, Judgement(query=ImageId(10**9), fits=True, image_id=shop[0])])


def written(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"text": "a", "image_id": 1}], "no column fits"),
        ([{"text": "a", "image_id": 1, "fits": 1, "colour": "red"}], "unknown column 'colour'"),
        ([{"text": "a", "image_id": 1, "fits": "perhaps"}], "line 2: fits is 'perhaps'"),
        ([{"text": "a", "query_image_id": 2, "image_id": 1, "fits": 1}], "one question"),
        ([{"text": "", "image_id": 1, "fits": 1}], "one question"),
        ([{"text": "a", "image_id": 1, "product_id": "p", "fits": 1}], "what is judged"),
        ([{"text": "a", "image_id": "one", "fits": 1}], "whole numbers"),
        ([{"text": "a", "image_id": 1, "fits": 1}] * 100_001, "more than 100,000"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(tmp_path: Path, rows: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(CalibrationError, match=said):
        read(written(tmp_path / "judged.csv", rows))
    with pytest.raises(CalibrationError, match="cannot be read"):
        read(tmp_path / "none.csv")


def test_the_command(run: Run, connection: Connection, shop: list[int], tmp_path: Path) -> None:
    rows = [
        {"query_image_id": j.query.image_id, "image_id": j.image_id, "fits": int(j.fits)}  # type: ignore[union-attr]
        for j in judged(connection, shop)
    ]
    path = written(tmp_path / "judged.csv", rows)
    told = run("calibrate", path, "--tenant", "acme")
    assert "360 judgements of 12 questions" in told.out
    assert "Stored" in told.out
    [again] = run("calibrate", path, "--method", "isotonic", "--dry-run", "--json").document
    assert (again["judged"], again["kept"]) == (360, False)
    assert "Forgotten" in run("calibrate", "--forget", "--kind", "picture", "--tenant", "acme").out
    refused = run("calibrate", written(tmp_path / "few.csv", rows[:20]))
    assert (refused.code, "at least 50" in refused.err) == (2, True)
    assert run("calibrate").code == 2
    assert run("calibrate", path, "--kind", "sound").code == 2
