"""docs/upgrade.md is true: its commands bring a schema forward, and its statements tell that they did."""

from __future__ import annotations

import json
import shlex
from typing import Any

import psycopg
import pytest

from imgsearch.schema.step import Step
from imgsearch.settings import Settings
from tests.conftest import behind
from tests.schema.rehearsal import stepped
from tests.terminal import Run
from tests.test_readme import DOCS, blocks

PAGE = DOCS["upgrade.md"]


def commands() -> list[list[str]]:
    return [
        shlex.split(line.removeprefix("$ "))[1:] for block in blocks("console", PAGE) for line in block.splitlines()
    ]


def test_the_page_brings_a_schema_forward(settings: Settings, connection: psycopg.Connection[Any], run: Run) -> None:
    connection.execute("ALTER VIEW imgsearch.spaces SET (security_barrier = true)")
    behind(settings)
    said = {}
    for command in commands():
        done = run(*command, **settings.environment())
        assert done.code == 0, (command, done.err)
        said[" ".join(command)] = done
    shown = said["db upgrade --plan"].out
    assert "functions" in shown
    assert "ACCESS EXCLUSIVE: spaces" in shown
    assert "Searches and writers go on" in shown
    planned = json.loads(said["db upgrade --plan --json"].out)
    assert planned["online"]
    assert planned["lines"][0]["locks"] == {"imgsearch.spaces": "ACCESS EXCLUSIVE"}
    assert "functions, views, triggers, rights:" in said["db upgrade"].err
    assert "Schema: OK" in said["db check"].out
    [version, violations] = [s for block in blocks("sql", PAGE) for s in block.split(";") if s.strip()]
    assert connection.execute(version.encode()).fetchall()[0][0] == "functions"
    assert connection.execute(violations.encode()).fetchall() == []
    assert "Nothing is to be done" in run("db", "upgrade", "--plan", **settings.environment()).out


def test_a_plan_of_before_the_promise_says_to_stop(
    settings: Settings, connection: psycopg.Connection[Any], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepped(monkeypatch, Step("9999_at_once", "SELECT 1;"))
    shown = run("db", "upgrade", "--plan", **settings.environment()).out
    assert "9999_at_once" in shown
    assert "stop what writes and searches first" in shown
    connection.execute("DROP SCHEMA imgsearch CASCADE")
    connection.execute("DROP SCHEMA imgsearch_internal CASCADE")
    assert "nobody waits" in run("db", "upgrade", "--plan", **settings.environment()).out


def test_somebody_in_the_way_is_an_exit_code(settings: Settings, connection: psycopg.Connection[Any], run: Run) -> None:
    connection.execute("ALTER VIEW imgsearch.spaces SET (security_barrier = true)")
    behind(settings)
    with psycopg.connect(settings.database_url or "") as shop:
        shop.execute("SELECT 1 FROM imgsearch.spaces")
        pid = shop.info.backend_pid
        done = run("db", "upgrade", "--patience", "0.2", **settings.environment())
    assert done.code == 5
    assert f"pg_terminate_backend({pid})" in done.err.replace("\n", " ")
    assert "Traceback" not in done.err
