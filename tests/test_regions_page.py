"""docs/regions.md is true where it speaks of searching by parts: each block runs, at the door that it is of."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest

from imgsearch.flask import create_app
from imgsearch.query import cache
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests import parts
from tests.asking import DIMENSION
from tests.parts import Part
from tests.shop import Row, fill
from tests.terminal import Run
from tests.test_readme import DOCS, blocks

Connection = psycopg.Connection[Any]
SECTION = DOCS["regions.md"].split("\n## Searching by parts\n")[1].split("\n## ")[0]
THING = [1.0, *[0.0] * (DIMENSION - 1)]
GROUND = [*[0.0] * (DIMENSION - 1), 1.0]
BOX = [0.25, 0.5, 0.25, 0.5]


@pytest.fixture
def scene(connection: Connection, space: Space) -> int:
    """Image 42 is a thing; among forty-three grounds one shows it in a part."""
    vectors = [GROUND] * 41 + [THING] + [GROUND]
    ids = fill(connection, space, [Row(vector=v, product=f"p{n}", price=9.5) for n, v in enumerate(vectors)])
    assert ids[41] == 42
    parts.store(connection, space, {("acme", ids[7]): [Part(vector=THING, box=tuple(BOX), label="lamp")]})  # type: ignore[arg-type]
    cache.ask(connection, cache.of_text("red canvas shoe"))
    [asked] = cache.claim(connection, space.space_id, 1)
    cache.answer(connection, space.space_id, asked, np.array(THING, dtype=np.float32))
    return ids[7]


@pytest.fixture
def client(settings: Settings, scene: int) -> Iterator[Any]:
    app = create_app(settings.environment(), allow_anonymous=True)
    yield app.test_client()
    app.extensions["imgsearch"].close()


def test_the_sql_and_the_python_run(connection: Connection, scene: int, capsys: pytest.CaptureFixture[str]) -> None:
    [statements] = blocks("sql", SECTION)
    first, second = (one for one in statements.split(";\n") if one.strip())
    assert connection.execute(first.encode()).fetchall()[:2] == [
        ("p7", pytest.approx(0, abs=1e-3), BOX, "lamp"),
        ("p41", pytest.approx(0, abs=1e-3), None, None),
    ]
    assert [row for (row,) in connection.execute(second.encode()) if row.startswith("Regions: ")]
    [code] = blocks("py", SECTION)
    known: dict[str, Any] = {"connection": connection}
    exec(code, known)  # noqa: S102 - the page's own code
    assert f"p7 {known['hits'][0].distance} {tuple(BOX)} lamp" in capsys.readouterr().out
    assert len(known["following"]) == 10


def test_the_request_and_the_command_run(client: Any, scene: int, run: Run, settings: Settings) -> None:
    [body] = blocks("json", SECTION)
    answer = client.post("/v1/search", json=json.loads(body))
    rows = {row["product_id"]: (row["box"], row["label"]) for row in answer.get_json()["rows"]}
    assert rows["p7"] == (BOX, "lamp")
    assert rows["p41"] == (None, None)
    [command] = [line for block in blocks("console", SECTION) for line in block.splitlines()]
    done = run(*shlex.split(command)[2:], **settings.environment())
    assert done.code == 0, done.err
    found = {row["product_id"]: row["box"] for row in done.document["rows"]}
    assert (found["p7"], found["p41"]) == (BOX, None)


def test_the_page_draws_the_box(client: Any, scene: int) -> None:
    shown = client.get("/?like=42&regions=1", headers={"Accept": "text/html"}).text
    assert '<rect x="25.0%" y="50.0%" width="25.0%" height="50.0%"/>' in shown
    assert shown.count('class="spotted"') == 1
    assert ">lamp</span>" in shown
    assert "Parts of pictures" in shown
    wholes = client.get("/?like=42", headers={"Accept": "text/html"}).text
    assert "spotted" not in wholes
    ticks = [re.search(r'<input[^>]*id="inside"[^>]*>', text) for text in (shown, wholes)]
    assert [tick and (" checked" in tick[0], 'value="1"' in tick[0] or 'value="1.0"' in tick[0]) for tick in ticks] == [
        (True, True),
        (False, True),
    ]


def test_a_page_without_parts_does_not_offer_them(client: Any, connection: Connection) -> None:
    connection.execute("DELETE FROM imgsearch.region_1")
    for address in ("/?like=42", "/"):
        assert 'id="inside"' not in client.get(address, headers={"Accept": "text/html"}).text
    kept = client.get("/?like=42&regions=0.5", headers={"Accept": "text/html"}).text
    assert '<input type="hidden" name="regions" value="0.5">' in kept
