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


# One bad row costs one row.

HUGE = "9" * 5000
BAD_JSON: list[bytes] = [
    b'"position": Infinity',
    b'"position": NaN',
    b'"position": 2.7',
    b'"position": -1',
    b'"position": true',
    b'"position": 1e400',
    b'"position": 4294967296',
    b'"position": ' + HUGE.encode(),
    b'"position": [0]',
    b'"product_id": ["a", "b"]',
    b'"product_id": {"a": 1}',
    b'"product_id": 1.5',
    b'"product_id": true',
    b'"product_id": "a\\u0000b"',
    b'"product_id": "\\ud800"',
    b'"product_id": "a\\nb"',
    b'"product_id": "' + b"x" * 5000 + b'"',
    b'"tenant_id": 1.5',
    b'"tenant_id": "\\u001b[31m"',
    b'"category": "' + b"c" * 12_000 + b'"',
    b'"category": NaN',
    b'"category": ["a"]',
    b'"categories": [NaN]',
    b'"categories": {"a": 1}',
    b'"categories": [null]',
    b'"categories": [["a"]]',
    b'"price": NaN',
    b'"price": "cheap"',
    b'"price": -1',
    b'"price": true',
    b'"price": [1]',
    b'"price": 1e300',
    b'"in_stock": "perhaps"',
    b'"in_stock": 2',
    b'"in_stock": []',
    b'"title": 1.5',
    b'"title": ["x"]',
    b'"title": "\\ud800"',
    b'"title": "' + b"t" * 2000 + b'"',
    b'"words": {}',
    b'"codes": [1.5]',
    b'"codes": "' + b"c" * 200 + b'"',
    b'"vector": "nonsense"',
    b'"vector": [0, 0]',
    b'"vector": {"a": 1}',
    b'"size": NaN',
    b'"size": 1e999',
    b'"size": ' + HUGE.encode(),
    b'"size": "\\u0000"',
    b'"size": "\\udfff"',
    b'"size": ' + b"[" * 40 + b"]" * 40,
    b'"a\\u0000": 1',
    b'"' + b"n" * 300 + b'": 1',
    b'"text": "' + b"x" * 20_000 + b'"',
    b'"size": 1, "size": 2',
    b'"path": "gone.jpg"',
    b'"path": 7.5',
    b'"path": "a\\u0000.jpg"',
    b'"path": "' + b"p" * 3000 + b'"',
    b'"path": "../../etc/passwd"',
    b'"path": "."',
    b'"size": "\xff"',
    b'"size": ' + b"[" * 100_000,
]


def test_a_bad_row_of_json_costs_itself(run: Run, shop: Path, connection: Connection) -> None:
    lines: list[bytes] = []
    for number, bad in enumerate(BAD_JSON):
        named = dict.fromkeys(part.split(b":")[0].strip() for part in bad.split(b', "')) | {}
        base = {b'"path"': b'"red.jpg"', b'"product_id"': b'"bad-%d"' % number}
        kept = b", ".join(name + b": " + value for name, value in base.items() if name not in named)
        lines += [b"{" + kept + (b", " if kept else b"") + bad + b"}"]
        lines += [b'{"path": "red.jpg", "product_id": "good-%d"}' % number]
    (shop / "c.jsonl").write_bytes(b'{"path": "red.jpg", "product_id": "first"}\n' + b"\n".join(lines))
    added = run("add", shop / "c.jsonl", "--no-wait", "--json")
    assert added.code == 3, added.err
    failed = {int(failure["place"].split(":")[-1]): failure["error"] for failure in added.document["failures"]}
    assert {bad for number, bad in enumerate(BAD_JSON) if 2 + 2 * number not in failed} == set()
    assert len(failed) == len(BAD_JSON)
    assert all(errors for errors in failed.values())
    assert products(connection) == {"first", *(f"good-{number}" for number in range(len(BAD_JSON)))}


BAD_CSV = [
    b"red.jpg,%s,2.7,,,",
    b"red.jpg,%s,-1,,,",
    b"red.jpg,%s,1e400,,,",
    b"red.jpg,%s,,cheap,,",
    b"red.jpg,%s,,nan,,",
    b'red.jpg,%s,,"1,299",,',
    b"red.jpg,%s,,,perhaps,",
    b"red.jpg,%s,,,," + b"c" * 12_000,
    b"red.jpg,%s,,,,a\0b",
    b"red.jpg,%s,,,,a\x1b[31m",
    b"red.jpg,%s,,,,caf\xe9",
    b'red.jpg,%s,,,,"never closed',
    b'red.jpg,%s,,,,"closed"too soon',
    b"red.jpg,%s,,,,,,,more",
    b"gone.jpg,%s,,,,",
    b"red.jpg,,,,,",
    b",%s,,,,",
    b"red.jpg," + b"x" * 2_000_000 + b"%.0s,,,,",
]


def test_a_bad_row_of_csv_costs_itself(run: Run, shop: Path, connection: Connection) -> None:
    lines = [b"path,product_id,position,price,in_stock,category", b"red.jpg,first,,,,"]
    for number, bad in enumerate(BAD_CSV):
        lines += [bad % (b"bad-%d" % number) if b"%" in bad else bad, b"red.jpg,good-%d,0,12.5,true,shoes" % number]
    (shop / "c.csv").write_bytes(b"\n".join(lines))
    added = run("add", shop / "c.csv", "--no-wait", "--json")
    assert added.code == 3, added.err
    failed = {int(failure["place"].split(":")[-1]) for failure in added.document["failures"]}
    assert {bad[:80] for number, bad in enumerate(BAD_CSV) if 3 + 2 * number not in failed} == set()
    assert products(connection) == {"first", *(f"good-{number}" for number in range(len(BAD_CSV)))}


def test_a_bad_file_of_a_folder_costs_itself(run: Run, shop: Path, connection: Connection) -> None:
    (shop / "text.jpg").write_text("no picture")
    (shop / ("x" * 210 + ".jpg")).write_bytes((shop / "red.jpg").read_bytes())
    (shop / "tab\tname.jpg").write_bytes((shop / "red.jpg").read_bytes())
    Path(f"{shop}/caf\udce9.jpg").write_bytes((shop / "red.jpg").read_bytes())
    added = run("add", shop, "--no-wait", "--json")
    assert (added.code, added.document["added"], added.document["failed"]) == (3, 1, 4), added
    assert products(connection) == {"red"}


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
