"""Spaces measured: the figures that an independent implementation gives of a numpy ranking, and two spaces compared."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ir_measures as ir
import numpy as np
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import JudgementError, UnknownSpace
from imgsearch.evaluation.comparison import compare
from imgsearch.evaluation.evaluation import evaluate
from imgsearch.evaluation.judged import Question
from imgsearch.evaluation.places import chosen
from imgsearch.query import ImageId, ProductId
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space, ensure, vector_literal
from tests.answering import answering
from tests.shop import Row, database, embed, fill
from tests.terminal import Run

DIMENSION, PRODUCTS = FakeEncoder.dimension, 40


@pytest.fixture(scope="module")
def shop(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    """40 products of two pictures each in two spaces: the second is the first with much noise."""
    with database(servers, template) as settings:
        with db.connect(settings, autocommit=True) as connection:
            first = ensure(connection, FakeEncoder().describe())
            rows = [
                Row(vector=vector, product=f"p{n // 2}", tenant="acme")
                for n, vector in enumerate(vectors(2 * PRODUCTS))
            ]
            ids = fill(connection, first, rows)
            other = second(connection, "other")
            noise = vectors(2 * PRODUCTS, seed=8)
            with connection.cursor() as cursor:
                shas = dict(connection.execute("SELECT image_id, sha256 FROM imgsearch.image").fetchall())
                embed(
                    cursor,
                    other,
                    [("acme", i, shas[i], row.vector + 1.5 * n) for i, row, n in zip(ids, rows, noise, strict=True)],
                )
        yield settings


@pytest.fixture
def connection(shop: Settings) -> Iterator[psycopg.Connection[Any]]:
    with db.connect(shop, autocommit=True) as connected:
        yield connected


def vectors(many: int, seed: int = 7) -> np.ndarray[Any, Any]:
    found = np.random.default_rng(seed).normal(size=(many, DIMENSION)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def second(connection: psycopg.Connection[Any], model: str) -> Space:
    mean = vector_literal([0.0] * DIMENSION)
    row = connection.execute(
        "SELECT imgsearch.add_space(%s, '', %s, %s, 'x', %s)", (model, "f" * 64, DIMENSION, mean)
    ).fetchone()
    assert row is not None
    return next(one for one in chosen(connection, [str(row[0])]))


def stored(connection: psycopg.Connection[Any], space: Space) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Return the products and vectors of a space, as they are stored."""
    rows = connection.execute(
        SQL(
            "SELECT i.product_id, e.embedding::text FROM {} e JOIN imgsearch.image i USING (tenant_id, image_id) "
            "ORDER BY image_id"
        ).format(Identifier("imgsearch", f"embedding_{space.space_id}"))
    ).fetchall()
    return [row[0] for row in rows], np.array([json.loads(row[1]) for row in rows])


def questions() -> list[Question]:
    dice = np.random.default_rng(3)
    return [
        Question(
            query=ProductId(f"p{n}"),
            grades={f"p{m}": float(dice.integers(0, 4)) for m in dice.choice(PRODUCTS, 8, replace=False)},
        )
        for n in range(12)
    ]


def by_hand(connection: psycopg.Connection[Any], space: Space) -> tuple[dict[str, float], dict[str, list[str]]]:
    """Rank with numpy, measure with ir-measures."""
    names, found = stored(connection, space)
    judged, run, order = [], [], {}
    for one in questions():
        assert isinstance(one.query, ProductId)
        own = np.array([name == one.query.product_id for name in names])
        mean = found[own].mean(0)
        distance = 1 - found @ (mean / np.linalg.norm(mean)) / np.linalg.norm(found, axis=1)
        nearest: dict[str, float] = {}
        for name, d in zip(names, distance, strict=True):
            if name != one.query.product_id:
                nearest[name] = min(d, nearest.get(name, 9.0))
        ranked = sorted(nearest, key=lambda name: nearest[name])
        order[one.query.product_id] = ranked
        run += [ir.ScoredDoc(one.called, name, -float(place)) for place, name in enumerate(ranked)]
        judged += [ir.Qrel(one.called, n, int(g)) for n, g in one.grades.items() if n != one.query.product_id]
    wanted = {"nDCG@10": ir.nDCG @ 10, "recall@5": ir.R @ 5, "mAP": ir.AP, "MRR": ir.RR, "hit@5": ir.Success @ 5}
    figures = ir.calc_aggregate(list(wanted.values()), judged, run)
    return {name: figures[measure] for name, measure in wanted.items()}, order


def test_figures_are_those_of_an_independent_implementation(connection: psycopg.Connection[Any]) -> None:
    spaces = chosen(connection, ["1", "2"])
    made = evaluate(connection, questions(), spaces)
    for one in made.spaces:
        wanted, _ = by_hand(connection, one.space)
        assert {name: one.figures[name].mean for name in wanted} == pytest.approx(wanted, abs=1e-9)
        assert all(one.figures[name].low <= one.figures[name].mean <= one.figures[name].high for name in wanted)
    assert made.differences[0]["nDCG@10"].mean == pytest.approx(
        made.spaces[1].figures["nDCG@10"].mean - made.spaces[0].figures["nDCG@10"].mean
    )


def test_a_space_that_finds_what_the_first_put_first_is_worse_by_more_than_chance(
    connection: psycopg.Connection[Any],
) -> None:
    spaces = chosen(connection, ["1", "2"])
    _, order = by_hand(connection, spaces[0])
    asked = [Question(query=ProductId(name), grades=dict.fromkeys(best[:3], 1.0)) for name, best in order.items()]
    made = evaluate(connection, asked, spaces)
    assert made.spaces[0].figures["recall@5"].mean == 1
    assert made.differences[0]["recall@5"].mean < 0
    assert made.differences[0]["recall@5"].p < 0.01


def test_what_has_no_vector_counts_as_not_found_and_is_named(connection: psycopg.Connection[Any]) -> None:
    [one] = chosen(connection, [])
    asked = [Question(query=ProductId("p1"), grades={"p2": 1.0, "gone": 1.0})]
    made = evaluate(connection, asked, [one], ks=(1000,))
    assert made.spaces[0].missing == ("gone",)
    assert made.spaces[0].figures["recall@1000"].mean == 0.5


def test_a_question_that_cannot_be_asked_is_left_out_and_named(connection: psycopg.Connection[Any]) -> None:
    spaces = chosen(connection, ["1", "2"])
    asked = [
        Question(query=ProductId("p1"), grades={"p2": 1.0}),
        Question(query=ImageId(10**9), grades={"p2": 1.0}),
        Question(query=Path("none.jpg"), grades={"p2": 1.0}),
    ]
    made = evaluate(connection, asked, spaces)
    assert [called for called, _ in made.left_out] == [f"image {10**9}", "none.jpg"]
    assert made.spaces[0].figures["MRR"].questions == 1
    with pytest.raises(JudgementError, match="None of the 1 questions"):
        evaluate(connection, asked[1:2], spaces)


def test_a_product_of_several_tenants_needs_to_be_told_whose(connection: psycopg.Connection[Any]) -> None:
    [one] = chosen(connection, [])
    with connection.transaction(force_rollback=True):
        fill(connection, one, [Row(vector=vectors(1)[0], product="p2", tenant="other")], first=500)
        asked = [Question(query=ProductId("p1", "acme"), grades={"p2": 1.0})]
        with pytest.raises(JudgementError, match="--tenant"):
            evaluate(connection, asked, [one])
        assert evaluate(connection, asked, [one], tenant="acme").spaces[0].figures["MRR"].questions == 1


def test_a_space_that_is_not_there(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(UnknownSpace, match="there is no space 'nine'"):
        chosen(connection, ["nine"])


def test_spaces_are_compared_without_judgements(connection: psycopg.Connection[Any]) -> None:
    one, other = chosen(connection, ["1", "2"])
    same = compare(connection, one, one, many=10)
    assert (same.overlap.mean, same.questions) == (1, 10)
    assert (same.rbo.mean, same.tau.mean) == pytest.approx((1, 1))
    apart = compare(connection, one, other, many=20)
    assert 0.2 < apart.overlap.mean < 0.9
    assert apart.examples[0].overlap <= apart.examples[-1].overlap
    again = compare(connection, one, other, many=20)
    assert [e.called for e in again.examples] == [e.called for e in apart.examples]


def test_what_a_shop_sees(shop: Settings, run: Run, tmp_path: Path, connection: psycopg.Connection[Any]) -> None:
    """Texts are asked of a query worker; the table, and the same for programs."""
    path = tmp_path / "judged.csv"
    path.write_text("text,product_id,event\nred shoe,p1,purchase\nred shoe,p2,view\nhat,p3,click\n")
    [one] = chosen(connection, [])
    with answering(shop, one) as asked:
        shown = run("evaluate", str(path), **shop.environment())
        assert shown.code == 0, shown.err
        assert "2 of 2 questions" in shown.out
        assert "nDCG@10" in shown.out
        assert {entry.query for entry in asked} == {"red shoe", "hat"}
        found = json.loads(run("evaluate", str(path), "--k", "3", "--json", **shop.environment()).out)
    assert found["spaces"][0]["measures"]["hit@3"]["questions"] == 2
    assert not math.isnan(found["spaces"][0]["measures"]["mAP"]["mean"])
    refused = run("evaluate", str(path), "--space", "9", **shop.environment())
    assert (refused.code, refused.out) == (4, "")
    assert "there is no space '9'" in refused.err


def test_what_a_shop_sees_of_two_spaces(shop: Settings, run: Run, tmp_path: Path) -> None:
    shown = run("space", "compare", "1", "2", "--many", "20", **shop.environment())
    assert shown.code == 0, shown.err
    assert "20 questions" in shown.out
    assert "They differ most here" in shown.out
    found = json.loads(run("space", "compare", "1", "2", "--many", "5", "--k", "3", "--json", **shop.environment()).out)
    assert (found["k"], found["questions"], len(found["examples"][0]["first"])) == (3, 5, 3)
    (tmp_path / "texts.txt").write_text("\n")
    for wrong, said in (
        (("1", "1"), "Two different spaces"),
        (("1", "7"), "there is no space '7'"),
        (("1", "2", "--texts", tmp_path / "texts.txt"), "holds 0 texts"),
        (("1", "2", "--texts", tmp_path / "none.txt"), "cannot be read"),
    ):
        refused = run("space", "compare", *wrong, **shop.environment())
        assert (refused.code, said in refused.err) == (4 if "7" in wrong else 2, True), refused.err
