"""One bad row costs one row, in every way that a row can be bad: from CSV, JSON lines and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from tests.terminal import Run
from tests.test_catalogues import products, shop

__all__ = ["shop"]  # a fixture
Connection = psycopg.Connection[Any]

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
