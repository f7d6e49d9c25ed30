"""A recommendation says how it was made: by the middle, as a search is, or by one search for each that is liked."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from imgsearch import ImageId, ProductId, QueryError, explain_recommend, recommend
from imgsearch.retrieval.recommendation import Strategy
from imgsearch.spaces.space import Space
from tests.crowd import crowd
from tests.terminal import Run

Connection = psycopg.Connection[Any]


@pytest.fixture
def images(connection: Connection, space: Space) -> list[int]:
    crowd(connection, space, 300)
    rows = connection.execute("SELECT image_id FROM imgsearch.image ORDER BY 1 LIMIT 3").fetchall()
    return [row[0] for row in rows]


def told(connection: Connection, images: list[int], strategy: str | None) -> list[dict[str, Any]]:
    """Return what programs read: (subject, figures) of two liked images and one disliked."""
    rows = connection.execute(
        "SELECT subject, figures, explanation FROM imgsearch.explain_recommend("
        "ARRAY[imgsearch.vec_of(%(first)s), imgsearch.vec_of(%(second)s)], "
        "ARRAY[imgsearch.vec_of(%(third)s)], ARRAY[2, 1], strategy => %(strategy)s, k => %(k)s)",
        dict(zip(("first", "second", "third"), images, strict=True)) | {"strategy": strategy, "k": 7},
    ).fetchall()
    return [{"subject": subject, **figures, "said": said} for subject, figures, said in rows]


def test_by_the_middle_it_is_one_search(connection: Connection, images: list[int]) -> None:
    first, found, *_ = told(connection, images, "centroid")
    assert (first["subject"], first["liked"], first["disliked"]) == ("examples", 2, 1)
    assert (found["subject"], found["rows"]) == ("found", 7)
    assert first["said"] == "One search for the middle of 2 liked, turned away from 1 disliked."


def test_by_the_best_each_liked_one_is_told(connection: Connection, images: list[int]) -> None:
    whole, *parts = told(connection, images, "best")
    assert (whole["rows"], whole["liked"], whole["disliked"], whole["pool"]) == (7, 2, 1, 100)
    assert "less the best to any of 1 disliked" in whole["said"]
    found = [one for one in parts if one["subject"] == "found"]
    assert [(one["like"], one["weight"], one["rows"]) for one in found] == [(1, 2, 100), (2, 1, 100)]
    assert [one["said"].split(":")[0] for one in found] == ["Liked 1 (weight 2)", "Liked 2 (weight 1)"]


@pytest.mark.parametrize("strategy", ["worst", None])
def test_it_refuses_what_a_recommendation_refuses(
    connection: Connection, images: list[int], strategy: str | None
) -> None:
    with pytest.raises(psycopg.Error, match="strategy is") as refused:
        told(connection, images, strategy)
    assert refused.value.sqlstate == "IM008"
    with pytest.raises(psycopg.Error, match="strategy is"):
        connection.execute(
            "SELECT imgsearch.recommend(ARRAY[imgsearch.vec_of(%s)], strategy => %s)", (images[0], strategy)
        )


@pytest.mark.parametrize("strategy", ["centroid", "best"])
def test_python_explains_what_it_recommends(connection: Connection, images: list[int], strategy: Strategy) -> None:
    asked: dict[str, Any] = {"strategy": strategy, "max_price": 50, "k": 5}
    like, unlike = [(ImageId(images[0]), 2.0), ImageId(images[1])], [ImageId(images[2])]
    lines = explain_recommend(connection, like, unlike, **asked)
    rows = len(recommend(connection, like, unlike, **asked))
    assert rows == 5
    if strategy == "best":
        assert lines[0].startswith(f"{rows} rows in ")
        assert [line for line in lines if line.startswith("Liked 2 (weight 1): ")]
    else:
        assert lines[0] == "One search for the middle of 2 liked, turned away from 1 disliked."
        assert lines[1].startswith(f"{rows} of ")
    with pytest.raises(QueryError, match="nothing to recommend by"):
        explain_recommend(connection, [])


def test_what_was_named_is_left_out_of_the_explanation_too(connection: Connection, images: list[int]) -> None:
    product = connection.execute("SELECT product_id FROM imgsearch.image WHERE image_id = %s", images[:1]).fetchone()
    assert product is not None
    here = {"tenant": "acme", "k": 1000}
    named = explain_recommend(connection, [ProductId(product[0])], **here)  # type: ignore[arg-type]
    assert named[1].startswith(f"{len(recommend(connection, [ProductId(product[0])], **here))} of ")  # type: ignore[arg-type]


def test_the_command_explains_a_recommendation(run: Run, images: list[int]) -> None:
    for strategy, said in (("centroid", "One search for the middle of 1 liked."), ("best", "Liked 1 (weight 1)")):
        ran = run("search", "--like", f"image:{images[0]}", "--strategy", strategy, "--explain")
        assert ran.code == 0
        assert said in ran.out
    document = run("search", "--like", f"image:{images[0]}", "--explain", "--json").document
    assert document["explain"][0] == "One search for the middle of 1 liked."
