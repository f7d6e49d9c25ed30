"""The command line as people and programs meet it: what it prints, what it exits with, and what bad input harms."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from imgsearch.cli.console import progress
from imgsearch.spaces.space import Space
from tests.terminal import Run

Connection = psycopg.Connection[Any]


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
        ("--created-after", "yesterday", "is not a time"),
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
    assert len(top) <= 26
    below = {
        group.name: {c.name or c.callback.__name__ for c in group.typer_instance.registered_commands}  # type: ignore[union-attr]
        for group in app.registered_groups
    }
    assert below["index"] >= {
        "build",
        "drop",
        "reindex",
        "vacuum",
        "prewarm",
        "promote",
        "demote",
        "tune",
        "recall",
    }
    assert set(top) & set().union(*below.values()) == {"add"}, "pictures, and spaces"
    connection.execute("INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('a', '1', 'x')")
    connection.execute("UPDATE imgsearch.job SET state = 'failed', error_code = 'corrupt', error = 'bad file'")
    [failed] = run("queue", "failures", "--json").document
    assert (failed["product_id"], failed["error_code"]) == ("1", "corrupt")
    assert run("queue", "failures", "--code", "empty").out.startswith("No image failed")
    assert run("queue", "refetch", "--json").document == {"refetched": 0}


def test_no_bar_is_drawn_into_a_log() -> None:
    assert progress().disable, "stderr of a test is no terminal"


def test_psql_gets_no_password_in_its_arguments(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has an account on the machine reads those."""
    psql = folder / "psql"
    psql.write_text('#!/bin/sh\nfor one in "$@" "$PGPASSWORD"; do echo "<$one>"; done\n')
    psql.chmod(0o755)
    url = "postgresql://shop:hu%20sh@db:5433/shop?sslmode=require&keepalives_idle=10"
    ours = {**os.environ, "IMGSEARCH_DATABASE_URL": url, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-m", "imgsearch", "psql", "-c", "TABLE a"],
        env=ours,
        capture_output=True,
        text=True,
        check=True,
    )
    address, *rest = done.stdout.splitlines()
    assert rest == ["<-c>", "<TABLE a>", "<hu sh>"]
    for part in ("user=shop", "host=db", "port=5433", "dbname=shop", "sslmode=require", "keepalives_idle=10"):
        assert part in address
    assert "hu" not in address
