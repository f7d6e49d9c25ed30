"""Catalogues and folders as people have them: what they may read and write, and that one bad row costs one row."""

from __future__ import annotations

import codecs
import json
import unicodedata
from pathlib import Path
from typing import Any

import psycopg
import pytest

from imgsearch import Filters
from tests.terminal import Run
from tests.test_cli_add import picture

Connection = psycopg.Connection[Any]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    picture(folder / "red.jpg", (250, 9, 9))
    return folder


def stored(connection: Connection) -> dict[str, Any]:
    return dict(connection.execute("SELECT product_id, attributes FROM imgsearch.image").fetchall())


def products(connection: Connection) -> set[str]:
    return set(stored(connection))


def matching(connection: Connection, **filters: Any) -> set[str]:
    """Return the products that filters find, before any of them has a vector."""
    rows = connection.execute(
        "SELECT i.product_id FROM imgsearch.image i WHERE i.image_id IN (SELECT imgsearch_internal.matching("
        " (SELECT array_agg(image_id) FROM imgsearch.image), imgsearch.filters_of(%s)))",
        (Filters(**filters).as_json(),),
    ).fetchall()
    return {row[0] for row in rows}


# What a catalogue may read and write.


def test_a_catalogue_names_pictures_below_its_folder_alone(run: Run, shop: Path, connection: Connection) -> None:
    private = shop.parent / "private"
    private.mkdir()
    picture(private / "secret.png", (1, 2, 3))
    (shop / "link.png").symlink_to(private / "secret.png")
    (shop / "inside").symlink_to(private)
    (shop / "good-link.jpg").symlink_to(shop / "red.jpg")
    paths = [
        str(private / "secret.png"),
        "../private/secret.png",
        "link.png",
        "inside/secret.png",
        "x/../../private/secret.png",
    ]
    lines = [f"{path},bad-{number}" for number, path in enumerate(paths)]
    catalogue = shop / "c.csv"
    catalogue.write_text("\n".join(["path,product_id", *lines, "good-link.jpg,linked", f"{shop / 'red.jpg'},whole"]))
    refused = run("add", catalogue, "--no-wait", "--json")
    assert (refused.code, refused.document["added"], refused.document["failed"]) == (3, 2, len(paths))
    assert all("does not lie below" in failure["error"] for failure in refused.document["failures"])
    assert products(connection) == {"linked", "whole"}
    allowed = run("add", catalogue, "--no-wait", "--json", "--allow-folder", private)
    assert (allowed.code, allowed.document["failed"]) == (0, 0)


def test_a_folder_is_no_way_out_of_it_either(run: Run, shop: Path, connection: Connection) -> None:
    picture(shop.parent / "secret.png", (1, 2, 3))
    (shop / "link.png").symlink_to(shop.parent / "secret.png")
    added = run("add", shop, "--no-wait", "--json")
    assert (added.code, added.document["added"], added.document["failed"]) == (3, 1, 1)
    assert products(connection) == {"red"}


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_rows_of_other_tenants_are_refused_where_one_is_named(
    run: Run, shop: Path, connection: Connection, suffix: str
) -> None:
    rows = [("a", "shopX"), ("b", "bazaar"), ("c", "")]
    catalogue = shop / f"c.{suffix}"
    if suffix == "csv":
        lines = [f"red.jpg,{product},{tenant}" for product, tenant in rows]
        catalogue.write_text("\n".join(["path,product_id,tenant_id", *lines]))
    else:
        keys = ("path", "product_id", "tenant_id")
        catalogue.write_text("\n".join(json.dumps(dict(zip(keys, ("red.jpg", *row), strict=True))) for row in rows))
    added = run("add", catalogue, "--no-wait", "--json", "--tenant", "shopX")
    assert (added.code, added.document["added"]) == (3, 2)
    assert "bazaar" in added.document["failures"][0]["error"]
    assert connection.execute("SELECT DISTINCT tenant_id FROM imgsearch.image").fetchall() == [("shopX",)]


# Two different things never get one identity.


@pytest.mark.parametrize(
    "names",
    [
        ("shoe.jpg", "shoe.png", "shoe.webp"),
        ("shoe.jpg", "shoe.JPG"),
        (unicodedata.normalize("NFC", "café.jpg"), unicodedata.normalize("NFD", "café.png")),
    ],
)
def test_files_of_one_name_do_not_replace_each_other(
    run: Run, tmp_path: Path, connection: Connection, names: tuple[str, ...]
) -> None:
    folder = tmp_path / "shop" / "a"
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        picture(folder / name, (40 * number, 9, 9))
    for _ in range(2):
        added = run("add", folder.parent, "--no-wait", "--json").document
        assert added["replaced"] == added["changed"] == 0
        assert added["failed"] == len(names) - 1
        for failure in added["failures"]:
            assert sum(str(folder / name) in failure["place"] + failure["error"] for name in names) == 2
    assert connection.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (1,)


def test_files_of_one_name_from_two_folders_do_not_either(run: Run, tmp_path: Path) -> None:
    for place, colour in (("x", 10), ("y", 200)):
        (tmp_path / place).mkdir()
        picture(tmp_path / place / "shoe.jpg", (colour, 9, 9))
    for sources in (("x", "y"), ("x/shoe.jpg", "y/shoe.jpg")):
        added = run("add", *(tmp_path / source for source in sources), "--no-wait", "--json").document
        assert (added["replaced"], added["failed"]) == (0, 1)


def test_a_tenant_that_is_said_once_is_the_one_that_is_not_said(run: Run, shop: Path) -> None:
    picture(shop / "blue.jpg", (9, 9, 250))
    (shop / "c.csv").write_text("path,product_id,tenant_id\nred.jpg,p,\nblue.jpg,p,default\n")
    added = run("add", shop / "c.csv", "--no-wait", "--json").document
    assert (added["added"], added["replaced"], added["failed"]) == (1, 0, 1)


# Folders from other machines.


def test_what_systems_leave_beside_pictures_is_passed_over(run: Run, shop: Path, connection: Connection) -> None:
    names = ["._red.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", "~$red.jpg", ".Trash/a.jpg", "__MACOSX/._red.jpg"]
    names += ["@eaDir/red.jpg/SYNO_THUMB.jpg", "$RECYCLE.BIN/x.jpg", "#recycle/x.jpg", "deep/.hidden/x.jpg"]
    for name in names:
        (shop / name).parent.mkdir(parents=True, exist_ok=True)
        (shop / name).write_bytes(b"\0\5\26\7 nothing to see")
    added = run("add", shop, "--no-wait", "--json")
    assert (added.code, added.document["added"], added.document["failed"]) == (0, 1, 0), added
    assert added.document["skipped"] == len(names)
    assert f"{len(names)} hidden files" in run("add", shop, "--no-wait").out
    assert products(connection) == {"red"}


# Catalogues as spreadsheets write them.

ROWS = "Path;Product ID;Price;In stock;Position;Size;Sale;Weight\nred.jpg;p;12,50;WAHR;1.0;42;FALSCH;4,5\n"
EXPORTS: dict[str, bytes] = {
    "semicolons": ROWS.encode(),
    "sep": b"sep=;\r\n" + ROWS.replace("\n", "\r\n").encode(),
    "tabs": ROWS.replace(";", "\t").encode(),
    "utf-16": ROWS.replace(";", "\t").encode("utf-16"),
    "utf-16-be": codecs.BOM_UTF16_BE + ROWS.encode("utf-16-be"),
    "utf-8-sig": ROWS.encode("utf-8-sig"),
    "commas": ROWS.replace("12,50", '"12,50"').replace("4,5", "4.5").replace(";", ",").encode(),
    "bars": ROWS.replace(";", "|").replace("4,5", "4.5").encode(),
    "blank lines": b"\r\n" + ROWS.replace("\n", "\r\n").encode() + b";;;;;;;\r\n",
}


@pytest.mark.parametrize("export", EXPORTS)
def test_an_export_is_read(run: Run, shop: Path, connection: Connection, export: str) -> None:
    (shop / "c.csv").write_bytes(EXPORTS[export])
    added = run("add", shop / "c.csv", "--no-wait", "--json")
    assert (added.code, added.document["added"]) == (0, 1), added
    row = connection.execute("SELECT product_id, price, in_stock, position, attributes FROM imgsearch.image").fetchone()
    assert row == ("p", 12.5, True, 1, {"Size": 42, "Sale": False, "Weight": 4.5})


def test_a_file_of_windows_is_named_as_that_and_read_on_request(run: Run, shop: Path, connection: Connection) -> None:
    (shop / "c.csv").write_bytes("path;product_id;colour\nred.jpg;a;grün\nred.jpg;b;red\n".encode("cp1252"))
    first = run("add", shop / "c.csv", "--no-wait", "--json").document
    assert (first["added"], first["failed"]) == (1, 1)
    assert "--encoding windows-1252" in first["failures"][0]["error"]
    assert run("add", shop / "c.csv", "--no-wait", "--encoding", "windows-1252").code == 0
    assert stored(connection) == {"a": {"colour": "grün"}, "b": {"colour": "red"}}
    assert run("add", shop / "c.csv", "--no-wait", "--encoding", "klingon").code == 2


# What a cell is.

TYPED = [
    (["true", "false", ""], "true or false", [True, False, None]),
    (["WAHR", "FALSCH"], "true or false", [True, False]),
    (["42", "7"], "number", [42, 7]),
    (["4.5", "-3"], "number", [4.5, -3]),
    (["42", "M"], "text", ["42", "M"]),
    (["007", "42"], "text", ["007", "42"]),
    (["1e5"], "text", ["1e5"]),
    (["NaN"], "text", ["NaN"]),
    (["1234567890123456"], "text", ["1234567890123456"]),
    (["true", "1"], "text", ["true", "1"]),
    (['["a"]', '{"b": 1}'], "JSON", [["a"], {"b": 1}]),
    (["[a]"], "text", ["[a]"]),
    (["red", " blue"], "text", ["red", " blue"]),
]


@pytest.mark.parametrize(("cells", "kind", "values"), TYPED)
def test_a_column_has_one_type_over_the_whole_file(
    run: Run, shop: Path, connection: Connection, cells: list[str], kind: str, values: list[Any]
) -> None:
    quoted = (cell.replace('"', '""') for cell in cells)
    lines = [f'red.jpg,p{number},"{cell}"' for number, cell in enumerate(quoted)]
    (shop / "c.csv").write_text("\n".join(["path,product_id,size", *lines]))
    added = run("add", shop / "c.csv", "--no-wait", "--json")
    assert added.document["columns"] == {"size": kind}
    assert [stored(connection)[f"p{number}"].get("size") for number in range(len(values))] == values
    for number, value in enumerate(values):
        if value is not None and not isinstance(value, dict | list):
            assert f"p{number}" in matching(connection, attributes={"size": value})
    assert f"size: {kind} in {sum(bool(cell) for cell in cells)} rows" in run("add", shop / "c.csv", "--no-wait").out
    run("add", shop / "c.csv", "--no-wait", "--text", "size")
    assert stored(connection)["p0"] == {"size": cells[0]}
