"""docs/spaces.md is true: its commands, one after the other, change the model of a shop whose workers run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import psycopg

from imgsearch import search
from imgsearch.dev.testing import OTHER
from imgsearch.ops import lifecycle
from imgsearch.settings import Settings
from tests.processes import WorkerProcess
from tests.terminal import Run, run
from tests.test_readme import DOCS, blocks
from tests.test_space_life import MANY, around, both, filled

__all__ = ["around", "both", "filled", "run"]
JUDGED = "text,product_id,event\nred shoe,p1,purchase\nred shoe,p2,view\nstraw hat,p3,click\n"


def test_the_page_changes_the_model(
    both: Settings,
    around: dict[str, str],
    filled: WorkerProcess,
    connection: psycopg.Connection[Any],
    tmp_path: Path,
    run: Run,
) -> None:
    connection.execute("UPDATE imgsearch.space SET name = 'old'")
    judged = tmp_path / "judged.csv"
    judged.write_text(JUDGED)
    put = {"google/siglip2-base-patch16-256": OTHER, "judged.csv": str(judged)}
    commands = [
        line.removeprefix("$ ") for block in blocks("console", DOCS["spaces.md"]) for line in block.splitlines()
    ]
    verbs = [shlex.split(line)[1:] for line in commands]
    assert [v[1] for v in verbs if v[0] == "space"] == [
        "add", "add", "fill", "list", "compare", "activate", "rollback", "activate", "drop",
    ]  # fmt: skip
    made = next(n for n, verb in enumerate(verbs) if "--name" in verb) + 1

    def go(verb: list[str]) -> None:
        done = run(*(put.get(word, word) for word in verb), **both.environment())
        assert done.code == 0, (verb, done.err, done.out)

    for verb in verbs[:made]:
        go(verb)
    [command] = blocks("sh", DOCS["spaces.md"])
    options = shlex.split(command)[2:]
    with WorkerProcess(both, around, tmp_path / "second.log", "both", *options):
        for verb in verbs[made:]:
            go(verb)
        [left] = lifecycle.listed(connection)
        assert (left["name"], left["state"], left["embedded"]) == ("new", "active", MANY)
        assert len(search(connection, "red shoe")) == 10
    assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []
