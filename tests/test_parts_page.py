"""docs/regions.md is true where it speaks of parts of the catalogue: its commands and statements, beside a worker."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from imgsearch import db
from imgsearch.ingest import upload
from imgsearch.ops import shops
from imgsearch.settings import Settings
from imgsearch.storage import open_store
from tests import tiny_detectors
from tests.processes import WorkerProcess, eventually
from tests.street import PHOTO, png, product
from tests.terminal import Run
from tests.test_readme import DOCS, blocks

Connection = psycopg.Connection[Any]
SECTION = DOCS["regions.md"].split("## Parts of the catalogue")[1].split("\n## ")[0]
COMMANDS = [
    shlex.split(line.removeprefix("$ "))[1:] for block in blocks("console", SECTION) for line in block.splitlines()
]
STATEMENTS = [
    [one for one in block.split(";") if one.partition("--")[0].strip() or "SELECT" in one]
    for block in blocks("sql", SECTION)
]
HUB, WORDS = "PekingU/rtdetr_v2_r18vd", "google/owlv2-base-patch16-ensemble"


@pytest.fixture
def pictures(connection: Connection, settings: Settings) -> int:
    store = open_store(settings.storage_url)
    for number, shown in enumerate([PHOTO, png(product("red"))]):
        upload.add(connection, shown, product_id=f"p{number}", tenant="acme", store=store)
    return 2


@pytest.fixture
def done(connection: Connection) -> Callable[[int], None]:
    """Wait until all pictures were looked at as the shop asks now."""

    def wait(many: int) -> None:
        eventually(lambda: shops.show(connection, "acme")["with_regions"] == many, 240, "a look at every picture")

    return wait


@pytest.mark.slow
def test_the_section_runs(
    connection: Connection,
    settings: Settings,
    worker: WorkerProcess,
    pictures: int,
    done: Callable[[int], None],
    run: Run,
    tmp_path: Path,
) -> None:
    detector, words = tiny_detectors.yolos(tmp_path / "detector"), tiny_detectors.owl(tmp_path / "words")

    def go(command: list[str]) -> str:
        put = [word.replace(HUB, str(detector)).replace(WORDS, str(words)) for word in command]
        ran = run(*put, **settings.environment())
        assert ran.code == 0, (command, ran.err)
        return ran.out

    set_, show, by_names, by_words, off = COMMANDS
    go(set_)
    done(pictures)
    assert "with regions" in go(show)
    assert connection.execute("SELECT count(*) > 0 FROM imgsearch.regions").fetchone() == (True,)

    go(by_names)
    done(pictures)
    listed, by_thing = STATEMENTS[0]
    rows = connection.execute(listed.encode()).fetchall()
    assert [(image, place, label) for image, place, *_, label, _ in rows] == [(1, 1, "shoe"), (2, 1, "shoe")]
    assert rows[0][2:6] == pytest.approx(tiny_detectors.BOX, abs=1e-3)
    with db.connect(settings, autocommit=True) as fresh:
        fresh.execute("CALL imgsearch.embed('red canvas shoe')")
        assert {row[0] for row in fresh.execute(by_thing.encode())} == {"p0", "p1"}

    go(by_words)
    done(pictures)
    told = connection.execute("SELECT DISTINCT label FROM imgsearch.regions").fetchall()
    assert {label for (label,) in told} <= {"hand bag", "shoe"}
    for statement in STATEMENTS[1]:
        connection.execute(statement.encode())

    go(off)
    none = "SELECT count(*) FROM imgsearch.region_state"
    eventually(lambda: connection.execute(none).fetchone() == (0,), what="nothing of them")
    assert connection.execute("SELECT count(*) FROM imgsearch.regions").fetchone() == (0,)
    told = connection.execute("SELECT DISTINCT attributes -> 'picture_things' FROM imgsearch.image").fetchall()
    assert told == [(None,)]
    for statement in STATEMENTS[2]:
        connection.execute(statement.encode())
    assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []


def test_the_numbers_of_the_section_are_those_of_the_code() -> None:
    from imgsearch_workers.model import detector
    from imgsearch_workers.proposers import link, proposed, proposer

    from imgsearch.ingest.regions import MAX_ATTEMPTS

    said = " ".join(SECTION.split())
    assert MAX_ATTEMPTS == 5
    assert "fails five times" in said
    assert proposer.MOST_DETECTORS == 2
    for number in (
        f"at most {detector.MOST_LABELS})",
        f"at most {link.SIDE} pixels",
        f"{proposed.LEAST_SIDE:.0%}".replace("%", " %"),
        f"cut at {proposed.LONGEST_LABEL} characters",
        f"hangs for {link.SECONDS:g} seconds",
    ):
        assert number in said, number
