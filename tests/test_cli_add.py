"""`imgsearch add`: catalogues, folders and pictures of every kind, and what bad ones harm (nothing)."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import psycopg
import pytest
from PIL import Image

from imgsearch.spaces.space import Space
from tests.processes import WorkerProcess
from tests.terminal import Run

Connection = psycopg.Connection[Any]


def picture(path: Path, colour: tuple[int, int, int]) -> Path:
    image = Image.new("RGB", (200, 150), colour)
    image.paste((255 - colour[0], 255 - colour[1], 255 - colour[2]), (100, 0, 200, 150))
    image.save(path)
    return path


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A catalogue with three good rows and one of each bad kind."""
    folder = tmp_path / "shop"
    folder.mkdir()
    for name, colour in {"red": (250, 9, 9), "green": (9, 250, 9), "blue": (9, 9, 250)}.items():
        picture(folder / f"{name}.jpg", colour)
    (folder / "text.jpg").write_text("this is no picture")
    (folder / "empty.jpg").touch()
    rows = [
        ["path", "product_id", "tenant_id", "category", "price", "in_stock", "colour"],
        ["red.jpg", "p-red", "acme", "paint", "10", "true", "red"],
        ["green.jpg", "p-green", "acme", "paint", "20", "false", "green"],
        ["blue.jpg", "p-blue", "bazaar", "paint", "30", "true", "blue"],
        ["red.jpg", "p-red", "acme", "paint", "11", "true", "again"],
        ["nowhere.jpg", "p-none", "acme", "paint", "1", "true", ""],
        ["red.jpg", "p-price", "acme", "paint", "cheap", "true", ""],
        ["text.jpg", "p-text", "acme", "paint", "1", "true", ""],
        ["empty.jpg", "p-empty", "acme", "paint", "1", "true", ""],
        ["red.jpg", "", "acme", "paint", "1", "true", ""],
    ]
    with (folder / "shop.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def test_a_catalogue_with_bad_rows_loses_none_of_the_good_ones(
    run: Run, shop: Path, connection: Connection, worker: WorkerProcess
) -> None:
    first = run("add", shop / "shop.csv", "--json")
    assert first.code == 3
    found = first.document
    assert (found["added"], found["failed"]) == (3, 6)
    codes = {failure["place"].split(":")[-1]: failure["code"] for failure in found["failures"]}
    assert codes == {
        "5": "CatalogueError",
        "6": "CatalogueError",
        "7": "CatalogueError",
        "8": "not_a_picture",
        "9": "empty",
        "10": "CatalogueError",
    }
    assert all(failure["error"] for failure in found["failures"])
    rows = connection.execute(
        "SELECT product_id, tenant_id, price, in_stock, attributes ->> 'colour' FROM imgsearch.images ORDER BY price"
    ).fetchall()
    assert rows == [
        ("p-red", "acme", 10.0, True, "red"),
        ("p-green", "acme", 20.0, False, "green"),
        ("p-blue", "bazaar", 30.0, True, "blue"),
    ]
    again = run("add", shop / "shop.csv", "--json").document
    assert (again["added"], again["changed"], again["replaced"], again["unchanged"]) == (0, 0, 0, 3)

    by_picture = run("search", "--picture", shop / "green.jpg", "-k", 2, "--json").document
    assert by_picture["rows"][0]["product_id"] == "p-green"
    assert by_picture["rows"][0]["distance"] < 0.01
    assert by_picture["complete"] is True
    filtered = run(
        "search", "--picture", shop / "green.jpg", "--tenant", "bazaar", "--max-price", 50, "--json"
    ).document
    assert [row["product_id"] for row in filtered["rows"]] == ["p-blue"]
    like = run("search", "--image-id", filtered["rows"][0]["image_id"], "-a", "colour=red", "--json").document
    assert [row["product_id"] for row in like["rows"]] == ["p-red"]
    shown = run("search", "blue paint", "--tenant", "acme")
    assert shown.code == 0
    assert "p-" not in shown.err
    assert "2 of 2 that match" in shown.out
    assert run("search", "blue paint", "--tenant", "nobody").out.startswith("No image matches")
    for options, products in (
        (["--exclude-product-id", "p-red", "--exclude-product-id", "p-blue"], {"p-green"}),
        (["--product-id", "p-red", "--product-id", "p-green"], {"p-red", "p-green"}),
        (["--exclude-image-id", by_picture["rows"][0]["image_id"]], {"p-red", "p-blue"}),
        (["--created-after", "2999-01-01"], set()),
        (["--created-before", "2999-01-01T00:00+01:00"], {"p-red", "p-green", "p-blue"}),
        (["--condition", '{"any": [{"price": {"max": 15}}, {"attributes.colour": "blue"}]}'], {"p-red", "p-blue"}),
    ):
        rows = run("search", "blue paint", *options, "--json").document["rows"]
        assert {row["product_id"] for row in rows} == products, options
    refused = run("search", "blue paint", "--condition", '{"colour": "red"}')
    assert refused.code == 2
    assert refused.err.startswith("imgsearch: a condition cannot speak of")
    first = run("search", "blue paint", "--k", 1, "--json").document
    second = run("search", "blue paint", "--k", 1, "--after", first["after"], "--json").document
    assert second["rows"] == run("search", "blue paint", "--k", 1, "--skip", 1, "--json").document["rows"]


def test_a_folder_is_walked_and_its_bad_files_are_told(
    run: Run, shop: Path, connection: Connection, space: Space
) -> None:
    found = run("add", shop, "--tenant", "acme", "--no-wait", "--json").document
    assert (found["added"], found["failed"]) == (3, 2)
    products = connection.execute("SELECT product_id FROM imgsearch.image ORDER BY 1").fetchall()
    assert products == [("blue",), ("green",), ("red",)]


def test_json_lines_are_a_catalogue_too(run: Run, shop: Path, connection: Connection) -> None:
    (shop / "shop.jsonl").write_text(
        '{"path": "red.jpg", "product_id": 7, "price": 5, "tags": ["a", "b"]}\nnonsense\n[1]\n{"path": "red.jpg"}\n'
    )
    found = run("add", shop / "shop.jsonl", "--no-wait", "--json")
    assert (found.code, found.document["added"], found.document["failed"]) == (3, 1, 3)
    row = connection.execute("SELECT tenant_id, product_id, attributes FROM imgsearch.image").fetchone()
    assert row == ("default", "7", {"tags": ["a", "b"]})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("path,price\nred.jpg,1\n", "no column product_id"),
        ("", "no column path"),
        ("path;price\nred.jpg;1\n", "no column product_id (it has: path, price; this file is separated by semicolons)"),
    ],
)
def test_a_catalogue_without_a_needed_column_is_refused_whole(
    run: Run, shop: Path, connection: Connection, content: str, says: str
) -> None:
    (shop / "bad.csv").write_text(content)
    found = run("add", shop / "bad.csv", "--no-wait")
    assert found.code == 2
    assert says in found.err
    assert connection.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (0,)


def test_redis_down_loses_nothing(run: Run, shop: Path, connection: Connection, space: Space) -> None:
    found = run("add", shop / "red.jpg", "--no-wait", IMGSEARCH_REDIS_URL="redis://127.0.0.1:1/0")
    assert found.code == 0
    assert connection.execute("SELECT count(*) FROM imgsearch.job WHERE state = 'pending'").fetchone() == (1,)


def test_pictures_of_every_kind_are_added_or_refused_each_for_itself(
    run: Run, tmp_path: Path, connection: Connection, worker: WorkerProcess
) -> None:
    folder = tmp_path / "kinds"
    folder.mkdir()
    base = Image.open(picture(tmp_path / "base.png", (200, 40, 40)))
    base.convert("CMYK").save(folder / "cmyk.jpg")
    base.convert("I;16").save(folder / "sixteen.png")
    base.convert("RGBA").save(folder / "alpha.png")
    base.save(folder / "frames.gif", save_all=True, append_images=[base.rotate(90), base.rotate(180)])
    rotated = base.getexif()
    rotated[0x0112] = 6
    base.save(folder / "rotated.jpg", exif=rotated)
    base.save(folder / "lies.jpg", format="PNG")
    whole = io.BytesIO()
    base.save(whole, "JPEG")
    (folder / "truncated.jpg").write_bytes(whole.getvalue()[:700])
    Image.new("1", (10_000, 7_000)).save(folder / "bomb.png")
    found = run("add", folder, "--tenant", "acme", "--json")
    assert found.code == 3
    assert found.document["failed"] == 2, found.document
    assert {f["code"] for f in found.document["failures"]} == {"truncated", "too_many_pixels"}
    ready = connection.execute("SELECT product_id FROM imgsearch.images ORDER BY 1").fetchall()
    assert [row[0] for row in ready] == ["alpha", "cmyk", "frames", "lies", "rotated", "sixteen"]
