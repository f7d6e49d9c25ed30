"""The command line as people and programs meet it: what it prints, what it exits with, and what bad input harms."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from PIL import Image

from imgsearch import cli
from imgsearch.spaces.space import Space
from tests.processes import WorkerProcess

Connection = psycopg.Connection[Any]


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `imgsearch …` in this process, on this test's database."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object, **environ: str) -> Ran:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["imgsearch", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run


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
        ("path;product_id\n", "no column path"),
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


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("search",), 2, "Ask with words"),
        (("search", ""), 2, "The query is empty"),
        (("search", "x" * 10_000), 2, "10000 characters"),
        (("search", "a", "--image-id", "1"), 2, "Ask with words"),
        (("search", "--image-id", "99"), 4, "Image 99 does not exist"),
        (("search", "--picture", "/nowhere.jpg"), 2, "cannot be read"),
        (("search", "shoe", "-a", "colour"), 2, "name=value"),
        (("add", "/nowhere.csv"), 2, "does not exist"),
        (("worker", "--queue", "fast"), 2, "no queue"),
    ],
)
def test_bad_input_is_one_line_and_its_own_exit_code(
    run: Run, space: Space, arguments: tuple[str, ...], code: int, says: str
) -> None:
    found = run(*arguments)
    assert found.code == code
    assert says in found.err
    assert "Traceback" not in found.err
    assert found.out == ""


def test_without_a_worker_a_search_says_what_to_start(run: Run, space: Space) -> None:
    found = run("search", "shoe", IMGSEARCH_QUERY_TIMEOUT="0.2")
    assert found.code == 6
    assert "imgsearch worker --queue queries" in found.err


def test_a_database_that_is_not_there_is_said_in_one_line(run: Run) -> None:
    found = run("status", IMGSEARCH_DATABASE_URL="postgresql://nobody@127.0.0.1:1/x")
    assert found.code == 5
    assert found.err.count("\n") == 1
    assert "IMGSEARCH_DATABASE_URL" in found.err


def test_redis_down_loses_nothing(run: Run, shop: Path, connection: Connection, space: Space) -> None:
    found = run("add", shop / "red.jpg", "--no-wait", IMGSEARCH_REDIS_URL="redis://127.0.0.1:1/0")
    assert found.code == 0
    assert connection.execute("SELECT count(*) FROM imgsearch.job WHERE state = 'pending'").fetchone() == (1,)


def test_status_and_requeue(run: Run, connection: Connection, space: Space) -> None:
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('a', '1', 'x'), ('a', '2', 'y')"
    )
    connection.execute(
        "UPDATE imgsearch.job SET state = 'failed', error_code = 'corrupt', error = 'bad file' WHERE image_id = 1"
    )
    document = run("status", "--json").document
    assert (document["status"]["images"], document["status"]["pending"], document["status"]["failed"]) == (2, 1, 1)
    shown = run("status")
    assert "2 images" in shown.out
    assert "corrupt" in shown.out
    assert run("requeue", "--code", "missing", "--json").document == {"requeued": 0}
    assert run("requeue", "--code", "corrupt").out.startswith("1 images")


def test_the_schema_is_checked_by_name(run: Run) -> None:
    assert run("db", "check").code == 0
    current = run("db", "current", "--json").document
    assert current["current"] == current["head"]
    assert "The schema is at" in run("db", "upgrade").out


def test_help_names_every_command_and_setting(run: Run) -> None:
    shown = run("--help").out
    for command in ("demo", "up", "psql", "db", "add", "search", "status", "requeue", "worker"):
        assert f"\n  {command} " in shown
    assert "IMGSEARCH_DATABASE_URL" in shown


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
    Image.new("1", (10_000, 6_000)).save(folder / "bomb.png")
    found = run("add", folder, "--tenant", "acme", "--json")
    assert found.code == 3
    assert found.document["failed"] == 2, found.document
    assert {f["code"] for f in found.document["failures"]} == {"truncated", "too_many_pixels"}
    ready = connection.execute("SELECT product_id FROM imgsearch.images ORDER BY 1").fetchall()
    assert [row[0] for row in ready] == ["alpha", "cmyk", "frames", "lies", "rotated", "sixteen"]


def test_every_filter_is_an_option_and_one_place_makes_the_value() -> None:
    from imgsearch.cli.filters import OPTIONS, filters_of
    from imgsearch.retrieval.filters import NAMES

    assert list(OPTIONS) == list(NAMES)
    made = filters_of(
        dict.fromkeys(OPTIONS)
        | {
            "tenant": "acme",
            "attributes": ["colour=red", 'size={"min": 3}'],
            "product_ids": ["a", "b"],
            "exclude_image_ids": [],
            "created_after": "2026-01-31T00:00:00+00:00",
            "condition": '{"not": {"category": "hats"}}',
        }
    )
    assert made.given().keys() == {"tenant", "attributes", "product_ids", "created_after", "condition"}
    assert made.attributes == {"colour": "red", "size": {"min": 3}}
    assert made.condition == {"not": {"category": "hats"}}
    assert made.created_after is not None
    assert made.created_after.isoformat() != ""


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--created-after", "yesterday", "is no time"),
        ("--condition", "{", "not JSON"),
        ("--condition", "[]", "JSON object"),
    ],
)
def test_a_filter_that_cannot_be_read_says_how_to_write_it(
    run: Run, space: Space, option: str, value: str, says: str
) -> None:
    found = run("search", "shoe", option, value)
    assert found.code == 2
    assert says in found.err
    assert found.err.count("imgsearch:") == 1


def test_commands_are_grouped_and_each_has_one_spelling(run: Run, connection: Connection, space: Space) -> None:
    from imgsearch.cli.app import app

    top = [command.name or command.callback.__name__ for command in app.registered_commands]  # type: ignore[union-attr]
    assert len(top) <= 18
    below = {
        group.name: {c.name or c.callback.__name__ for c in group.typer_instance.registered_commands}  # type: ignore[union-attr]
        for group in app.registered_groups
    }
    assert below["index"] >= {"build", "drop", "reindex", "vacuum", "prewarm", "promote", "demote", "tune", "recall"}
    assert not set(top) & set().union(*below.values())
    connection.execute("INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('a', '1', 'x')")
    connection.execute("UPDATE imgsearch.job SET state = 'failed', error_code = 'corrupt', error = 'bad file'")
    [failed] = run("queue", "failures", "--json").document
    assert (failed["product_id"], failed["error_code"]) == ("1", "corrupt")
    assert run("queue", "failures", "--code", "empty").out.startswith("No image failed")
    assert run("queue", "refetch", "--json").document == {"refetched": 0}
