"""`imgsearch search` with examples that have weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from imgsearch.cli.likes import example_of
from imgsearch.errors import UsageError
from imgsearch.query import ImageId, ProductId
from imgsearch.retrieval import search
from imgsearch.retrieval.recommendation import recommend
from imgsearch.spaces.space import Space
from tests.crowd import crowd
from tests.terminal import Run

Connection = psycopg.Connection[Any]


@pytest.fixture
def shop(connection: Connection, space: Space) -> list[tuple[int, str]]:
    crowd(connection, space, 60)
    return connection.execute("SELECT image_id, product_id FROM imgsearch.image ORDER BY 1 LIMIT 10").fetchall()


def listed(ran: Any) -> list[int]:
    return [row["image_id"] for row in ran.document["rows"]]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("text:red shoe", ("red shoe", 1.0)),
        ("text:red @home", ("red @home", 1.0)),
        ("text:a@b@0.5", ("a@b", 0.5)),
        ("product:sku@1:2@2", (ProductId("sku@1:2"), 2.0)),
        ("image:42@-1", (ImageId(42), -1.0)),
        ("picture:a/b.jpg", (Path("a/b.jpg"), 1.0)),
    ],
)
def test_an_example_is_what_it_is_its_value_and_its_weight(typed: str, meant: Any) -> None:
    assert example_of(typed) == meant


@pytest.mark.parametrize("typed", ["", "shoe", "sound:beep", "image:x", "text:", "image:", "product:@2"])
def test_what_is_no_example_says_how_to_write_one(typed: str) -> None:
    with pytest.raises(UsageError, match="text:WORDS"):
        example_of(typed)


def test_the_command_ranks_and_recommends_as_python_does(
    run: Run, connection: Connection, shop: list[tuple[int, str]]
) -> None:
    (image, product), (other, disliked) = shop[0], shop[1]
    expanded = run("search", "--image-id", image, "--expand", "--per", "image", "--json")
    assert listed(expanded) == [hit.image_id for hit in search(connection, ImageId(image), expand=True, per="image")]
    similar = run("search", "--like-product", product, "--json")
    assert listed(similar) == [hit.image_id for hit in search(connection, ProductId(product))]
    for strategy in ("centroid", "best"):
        ran = run(
            "search",
            "--like",
            f"image:{image}@2",
            "--unlike",
            f"product:{disliked}@0.5",
            "--strategy",
            strategy,
            "--json",
        )
        wanted = recommend(connection, [(ImageId(image), 2)], [(ProductId(disliked), 0.5)], strategy=strategy)  # type: ignore[arg-type]
        assert listed(ran) == [hit.image_id for hit in wanted]
        assert product not in {row["product_id"] for row in ran.document["rows"]}
    assert run("search", "--image-id", image, "--more-like", other, "--json").code == 0


def test_what_makes_no_sense_exits_with_two(run: Run, shop: list[tuple[int, str]]) -> None:
    image = f"image:{shop[0][0]}"
    for arguments in (
        ["--unlike", image],
        ["--like", f"{image}@nan"],
        ["--like", f"{image}@-1"],
        ["--like", f"{image}@0"],
        ["--like", image, "--strategy", "worst"],
        ["--like", image, "--strategy", "best", "--sort", "price"],
        ["--like", image, "--max-distance", "1"],
        ["--image-id", shop[0][0], "--min-match", "2"],
        ["--image-id", shop[0][0], "--min-match", "0.5"],
        ["--image-id", shop[0][0], "--cutoff", "never"],
        [],
    ):
        assert run("search", *arguments).code == 2, arguments
    assert run("search", "--like", "product:nothing").code == 4
    assert run("search", "--like", "image:999999999").code == 4
