"""`imgsearch duplicates`: the table, JSON, the page with pictures, exit codes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imgsearch.ingest import upload
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.terminal import Run
from tests.twins import Connection, add, again, delivered, drawn, flat

EVIL = "<script>alert('p')</script>"


@pytest.fixture
def shop(connection: Connection, settings: Settings, space: Space) -> list[int]:
    ids = [
        add(connection, settings, data, name) for name, data in ((EVIL, drawn(0)), ("two", again(0)), ("x", drawn(1)))
    ]
    add(connection, settings, flat(), "blank")
    add(connection, settings, drawn(0), "theirs", tenant="bazaar")
    delivered(connection, settings, space)
    return ids


def test_they_are_listed(run: Run, shop: list[int]) -> None:
    ran = run("duplicates")
    assert ran.code == 0, ran.err
    assert "two" in ran.out
    assert "1 of 5 pictures are certainly duplicates, in 1 groups; 0 to be looked at." in ran.out
    found = run("duplicates", "--tenant", "acme", "--json").document
    assert (found["certain"], found["groups"], found["pictures"], found["unhashed"]) == (1, 1, 4, 0)
    [one] = found["duplicates"]
    assert {one["image_id"], one["original"]} == set(shop[:2])
    assert run("duplicates", "--tenant", "bazaar", "--json").document["duplicates"] == []


def test_a_check_ends_with_its_own_code(run: Run, shop: list[int]) -> None:
    assert run("duplicates", "--check").code == 1
    assert run("duplicates", "--check", "--tenant", "bazaar").code == 0


def test_what_to_look_at_is_asked_for(run: Run, shop: list[int]) -> None:
    found = run("duplicates", "--look", "--similarity", "0.5", "--json").document
    assert found["look"] == len([one for one in found["duplicates"] if one["tier"] == "look"])


def test_a_page_holds_the_pictures_and_nothing_of_names_is_run(
    run: Run, shop: list[int], settings: Settings, connection: Connection, tmp_path: Path
) -> None:
    page = tmp_path / "duplicates.html"
    assert run("duplicates", "--html", page).code == 0
    text = page.read_text()
    assert text.count("data:image/webp;base64,") == 2
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert not re.search(r"(src|href)=\"(?!data:)", text), "nothing else is loaded"
    row = connection.execute("SELECT uri FROM imgsearch.image WHERE image_id = %s", (shop[0],)).fetchone()
    assert row is not None
    upload.default_store(settings).delete(row[0])
    assert run("duplicates", "--html", page).code == 0
    assert page.read_text().count("data:image/webp;base64,") == 1, "a picture that is gone leaves its place empty"


def test_pictures_of_before_are_hashed_on_the_way(run: Run, shop: list[int], connection: Connection) -> None:
    connection.execute("DELETE FROM imgsearch.fingerprint")
    ran = run("duplicates", "--no-fill")
    assert "0 of 0 pictures" in ran.out
    assert "5 pictures have no hash" in ran.err
    assert "1 of 5 pictures" in run("duplicates").out


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("--similarity", 0.1, "--look"), "0.5 to 1"),
        (("--html", "/nowhere/at/all.html"), "no folder"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(
    run: Run, shop: list[int], typed: tuple[object, ...], said: str
) -> None:
    ran = run("duplicates", *typed)
    assert ran.code == 2, ran.err
    assert said in ran.err
