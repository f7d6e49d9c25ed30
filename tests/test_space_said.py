"""What is said of spaces: before one is dropped, when one is full, when something is missing from one."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from imgsearch_workers.process import worker
from imgsearch_workers.process.worker import Worker

from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import SpaceMismatch
from imgsearch.ops import doctor, lifecycle
from imgsearch.settings import Settings
from imgsearch.spaces import space as spaces
from imgsearch.spaces.space import Space
from tests.crowd import crowd
from tests.given import WIDE, add, drawn
from tests.loops import add_another
from tests.terminal import Run, run

__all__ = ["run"]

Connection = psycopg.Connection[Any]
GIVEN = "INSERT INTO imgsearch.embedding_2 SELECT * FROM imgsearch.embedding_1"


def states(connection: Connection) -> list[str]:
    return [str(one["state"]) for one in lifecycle.listed(connection)]


def test_before_a_space_is_dropped_somebody_is_asked(
    connection: Connection, space: Space, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd(connection, space, 30)
    add_another(connection)
    connection.execute(GIVEN)
    alone = run("space", "drop", "other")
    assert (alone.code, "30 vectors of the space other" in alone.err, "--yes" in alone.err) == (2, True, True)
    assert run("space", "drop", "other", "--json").code == 2
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    for answer, code, left in ((False, 2, 2), (True, 0, 1)):
        monkeypatch.setattr("typer.confirm", lambda *_, said=answer, **__: said)
        asked = run("space", "drop", "other")
        assert (asked.code, len(states(connection))) == (code, left), asked.err
        assert code == 0 or "Nothing was dropped" in asked.err
    assert run("space", "drop", "other", "--yes").code == 4, "there is none"


def test_a_program_drops_with_a_word(connection: Connection, space: Space, run: Run) -> None:
    add_another(connection)
    assert run("space", "drop", "other", "--yes", "--json").document == {"dropped": "other"}
    assert states(connection) == ["active"]


def test_a_full_space_is_ready_until_it_is_the_searched_one(
    connection: Connection, settings: Settings, space: Space, run: Run
) -> None:
    crowd(connection, space, 30)
    add_another(connection)
    assert states(connection) == ["active", "building"]
    connection.execute(GIVEN)
    connection.execute("DELETE FROM imgsearch.job")
    lifecycle.fill(settings, "other")
    assert states(connection) == ["active", "ready"]
    assert [line.split()[1] for line in run("space", "list").out.splitlines() if line.startswith("other")] == ["ready"]
    lifecycle.activate(connection, "other")
    assert states(connection) == ["standby", "active"]


@pytest.mark.parametrize("active", [True, False])
def test_the_doctor_names_vectors_that_nobody_gave(connection: Connection, settings: Settings, active: bool) -> None:
    if not active:
        spaces.ensure(connection, FakeEncoder().describe())
    lifecycle.add_given(connection, "mine", WIDE)
    if active:
        lifecycle.activate(connection, "mine")
    add(connection, settings, 1, space="mine")
    assert found(connection, "given vectors missing") == []
    for number in (2, 3):
        add(connection, settings, number, vector=None)
    [said] = found(connection, "given vectors missing")
    assert (said.severity, said.detail) == (
        "problem" if active else "advice",
        "space mine has vectors of 1 of 3 images",
    )
    listing = said.fix.split("  --")[0]
    assert {row[1] for row in connection.execute(listing.encode()).fetchall()} == {"p2", "p3"}
    for number in (2, 3):
        connection.execute(
            "SELECT imgsearch.set_vector('mine', 'acme', %s, 0, %s::real[])", (f"p{number}", drawn(number))
        )
    assert found(connection, "given vectors missing") == []


def found(connection: Connection, check_name: str) -> list[doctor.Finding]:
    return [one for one in doctor.examine(connection) if one.check_name == check_name]


def test_a_worker_of_a_first_space_over_many_images_says_what_is_left_to_do(
    connection: Connection, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri, attributes) SELECT 'acme', 'p' || n, 'store:x',"
        " jsonb_build_object('t', repeat('x', 900)) FROM generate_series(1, 6000) n"
    )
    assert "imgsearch space fill fakeencoder" in said(settings, caplog)
    lifecycle.maintenance.index_space(settings, 1)
    assert "imgsearch space fill" not in said(settings, caplog)


def test_a_worker_whose_model_is_of_another_commit_says_so(
    connection: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = replace(FakeEncoder().describe(), revision="a" * 40)
    spaces.ensure(connection, made)
    with monkeypatch.context() as moved:
        moved.setattr(worker, "described", lambda *_, **__: replace(made, revision="b" * 40))
        assert f"has revision {'b' * 40}" in said(settings, caplog)
        assert f"was made with {'a' * 40}: the weights are the same" in said(settings, caplog)
        moved.setattr(worker, "described", lambda *_, **__: replace(made, revision="b" * 40, fingerprint="c" * 64))
        with pytest.raises(
            SpaceMismatch, match=r"at b{12} \(c{12}\), the space fakeencoder was made by .* at a{12} \("
        ):
            said(settings, caplog)
        moved.setattr(worker, "described", lambda *_, **__: made)
        assert "revision" not in said(settings, caplog)


def said(settings: Settings, caplog: pytest.LogCaptureFixture) -> str:
    """Load a worker; return what it logged."""
    caplog.clear()
    one = Worker(settings, "images")
    try:
        with caplog.at_level(logging.INFO, "imgsearch.worker"):
            one.load()
    finally:
        for pool in one._pools:
            pool.close()
    return caplog.text
