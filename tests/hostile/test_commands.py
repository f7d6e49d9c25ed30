"""Every option of the commands that ask and write × hostile texts: an exit code and one message, never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import typer.main

from imgsearch.cli.app import app
from imgsearch.spaces.space import Space
from imgsearch.values import CONTROLS
from tests.hostile.table import TEXTS
from tests.shop import Row, fill
from tests.terminal import Run

Connection = psycopg.Connection[Any]
COMMANDS: dict[tuple[str, ...], list[str]] = {
    ("add",): ["--no-wait", "nowhere.csv"],
    ("search",): ["x", "--look-weight", "0"],
    ("product", "list"): [],
    ("product", "change"): ["p0", "--price", "3"],
    ("merchandise", "pin"): ["p0"],
    ("attach",): ["nothing"],
}
TRIED = {name: TEXTS[name] for name in ("lone surrogate", "escape", "12 kB")}


def command_of(path: tuple[str, ...]) -> Any:
    found: Any = typer.main.get_command(app)
    for name in path:
        found = found.commands[name]
    return found


def calls() -> Iterator[tuple[tuple[str, ...], list[str], str]]:
    """Yield each command with one hostile option or argument, and what that is called."""
    for path, usual in COMMANDS.items():
        for parameter in command_of(path).params:
            if getattr(parameter, "is_flag", False) or parameter.name in {"help", "timeout", "like", "unlike"}:
                continue
            for name, text in TRIED.items():
                where = f"{' '.join(path)} {parameter.name} = {name}"
                if parameter.param_type_name == "argument":
                    options = [part for part in usual if part.startswith("--")]
                    yield path, [*options, "--", text], where
                else:
                    yield path, [f"{max(parameter.opts, key=len)}={text}", *usual], where


@pytest.fixture
def shop(connection: Connection, space: Space) -> Connection:
    vectors = [[float(n == at) for at in range(space.dimension)] for n in range(3)]
    fill(connection, space, [Row(vector=vector, tenant="default") for vector in vectors])
    return connection


def test_no_option_ends_in_a_traceback(run: Run, shop: Connection) -> None:
    bad: list[str] = []
    count = 0
    for path, arguments, where in calls():
        count += 1
        try:
            ran = run(*path, *arguments, IMGSEARCH_QUERY_TIMEOUT="0.05")
        except BaseException as error:  # noqa: BLE001 - that is what is counted
            bad.append(f"{where}: {type(error).__name__}: {str(error)[:150]}")
            continue
        if "Traceback" in ran.out + ran.err or ran.code not in {0, 2, 3, 4, 6}:
            bad.append(f"{where}: {ran.code} {ran.err[-200:]}")
        elif set(ran.out + ran.err) & (CONTROLS - set("\n\t")):
            bad.append(f"{where}: steers the terminal")
        elif ran.code and not ran.err.strip() + ran.out.strip():
            bad.append(f"{where}: {ran.code} and says nothing")
    print(f"CLI: {count} tried, {len(bad)} bad")
    assert bad == []
