"""docs/evaluation.md is true: its file is read, its commands run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import psycopg
import pytest

from imgsearch.evaluation import benchmark
from imgsearch.evaluation.judged import EVENTS, read
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.answering import answering
from tests.evaluation.test_evaluation import DIMENSION, second, vectors
from tests.shop import Row, embed, fill
from tests.terminal import Run

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_every_command_runs(
    run: Run,
    settings: Settings,
    connection: psycopg.Connection[Any],
    space: Space,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [Row(vector=vector, product=f"p{n}") for n, vector in enumerate(vectors(30))]
    ids = fill(connection, space, rows)
    other = second(connection, "other")
    shas = dict(connection.execute("SELECT image_id, sha256 FROM imgsearch.image").fetchall())
    with connection.cursor() as cursor:
        embed(cursor, other, [("acme", i, shas[i], v) for i, v in zip(ids, vectors(30, seed=9), strict=True)])
    monkeypatch.chdir(tmp_path)
    [file] = blocks("csv")
    Path("judged.csv").write_text(file, encoding="utf-8")
    assert len(read(Path("judged.csv")).questions) == 2
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(commands) == 4
    with answering(settings, space), answering(settings, other):
        for command in commands:
            found = run(*shlex.split(command)[1:])
            assert found.code == 0, (command, found.err)
    assert other.dimension == DIMENSION


def test_its_tables_are_the_codes_own() -> None:
    assert {
        name: f"`{name}` " in PAGE or f"`{name}`" in PAGE for name in (*EVENTS, *benchmark.READERS)
    } == dict.fromkeys((*EVENTS, *benchmark.READERS), True)
    said = re.search(r"`purchase` counts (\d), `cart` (\d), `click` (\d), `view` (\d)", PAGE)
    assert said is not None
    assert [float(one) for one in said.groups()] == list(EVENTS.values())
