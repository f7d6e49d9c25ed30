"""What tenants write never steers an operator's terminal; controls are refused in what things are called."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from rich.console import Console

from imgsearch import Filters, UsageError, add, change
from imgsearch.cli import console
from imgsearch.ops import merchandise
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.values import CONTROLS
from tests.http.conftest import open_app  # noqa: F401  # a fixture
from tests.shop import Row, fill
from tests.terminal import Run

Connection = psycopg.Connection[Any]
STEERING = "a\x1b[31m\x1b]52;c;aGk=\x07\x9b2J\x7f\u202eb"
SHOWN = r"a\x1b[31m\x1b]52;c;aGk=\x07\x9b2J\x7f\u202eb"
ADDRESS = "https://cdn.example.com/a.jpg"


def harmless(text: str) -> bool:
    return not set(text) & (CONTROLS - set("\n\t"))


@pytest.fixture
def shop(connection: Connection, space: Space) -> Connection:
    """A shop that SQL filled: nobody refused what it wrote there."""
    fill(connection, space, [Row(vector=[1.0] * space.dimension, tenant=STEERING, product=STEERING, category=STEERING)])
    connection.execute(
        "INSERT INTO imgsearch.product (tenant_id, product_id, title) VALUES (%s, %s, %s)",
        (STEERING, STEERING, STEERING),
    )
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri, position) VALUES (%s, %s, 'store:x', 7)",
        (STEERING, STEERING),
    )
    connection.execute("UPDATE imgsearch.job SET state = 'failed', error_code = 'x', error = %s", (STEERING,))
    connection.execute("SELECT imgsearch.pin(tenant => %s, product_id => %s, place => 1)", (STEERING, STEERING))
    return connection


@pytest.mark.parametrize(
    "command",
    [
        ("product", "list"),
        ("search", "--image-id", 1),
        ("suggest", "a"),
        ("facets",),
        ("status",),
        ("queue", "failures"),
        ("merchandise", "list"),
        ("shop", "show", STEERING),
        ("search", "x", "--tenant", STEERING),
        ("product", "remove", STEERING, "--tenant", STEERING),
        ("product", "remove", "nobody\x1b[2J"),
    ],
)
def test_no_command_steers_the_terminal(run: Run, shop: Connection, command: tuple[object, ...]) -> None:
    for options in ((), ("--json",)):
        ran = run(*command, *options)
        assert "Traceback" not in ran.err
        assert harmless(ran.out), ran.out
        assert harmless(ran.err), ran.err
        if options and ran.code == 0:
            json.loads(ran.out)


def test_controls_are_shown_as_they_are_written_in_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(console.output, Console)
    console.output.print(console.table(["product"], [[STEERING]]))
    console.output.print(f"product {STEERING}", markup=False, soft_wrap=True)
    shown = capsys.readouterr().out
    assert shown.count(SHOWN) == 2
    console.as_json({"product": STEERING, "half": "\ud800"})
    printed = capsys.readouterr().out
    assert harmless(printed)
    assert json.loads(printed) == {"product": STEERING, "half": "\ud800"}


@pytest.mark.parametrize("control", ["\x1b", "\n", "\r", "\x07", "\x7f", "\x85", "\x9b", "\u202e", "\u2066"])
def test_controls_are_refused_where_something_is_called(
    connection: Connection,
    settings: Settings,
    open_app: Any,  # noqa: F811
    control: str,
) -> None:
    bad = f"a{control}b"
    for named in (
        {"product_id": bad},
        {"tenant": bad},
        {"category": bad},
        {"attributes": {bad: 1}},
        {"categories": [bad]},
    ):
        arguments: dict[str, Any] = {"product_id": "p", "settings": settings, **named}
        with pytest.raises(UsageError, match="control character"):
            add(connection, ADDRESS, **arguments)
    for changes in ({"category": bad}, {"attributes": {bad: 1}}):
        with pytest.raises(UsageError, match="control character"):
            change(connection, product_id="p", **changes)
    with pytest.raises(UsageError, match="control character"):
        merchandise.pin(connection, tenant="default", product_id=bad)
    browser = open_app.test_client()
    for named in ({"product_id": bad}, {"category": bad}, {"attributes": {bad: 1}}):
        image = {"product_id": "p", "url": ADDRESS, **named}
        answer = browser.post("/v1/images", json={"images": [image]})
        assert answer.status_code == 400, answer.text
    Filters(category=bad, product_ids=[bad]).as_json()  # may be looked for: SQL may have written it
    assert connection.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (0,)
