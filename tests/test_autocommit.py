"""Procedures that commit as they go: inside a transaction each is refused before it commits, with what to do."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from imgsearch.db.sqlstate import translate
from imgsearch.dev.embedded.wheel import programs
from imgsearch.errors import QueryTimeout, UsageError
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space

CALLS = {
    "embed": "CALL imgsearch.embed('ostrich', 0.01)",
    "embed a region": "CALL imgsearch.embed(1, ARRAY[0.1, 0.1, 0.5, 0.5]::double precision[])",
    "rerank": """CALL imgsearch.rerank(ARRAY[1]::bigint[], '["k_reciprocal"]')""",
    "backfill": "CALL imgsearch.backfill('shop.product')",
}


def refusal(connection: psycopg.Connection[Any], call: str) -> BaseException:
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(call)
    return translate(caught.value) or caught.value


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_a_call_inside_a_transaction_says_how_to_leave_it(connection: psycopg.Connection[Any], call: str) -> None:
    with connection.transaction(force_rollback=True):
        error = refusal(connection, call)
    assert isinstance(error, UsageError), error
    assert "inside a transaction" in str(error)
    assert "autocommit" in str(error)
    assert connection.execute("SELECT count(*) FROM imgsearch.query_vector").fetchone() == (0,)


@pytest.mark.parametrize("prepare", [False, True])
def test_autocommit_is_never_taken_for_a_transaction(
    connection: psycopg.Connection[Any], space: Space, prepare: bool
) -> None:
    """With values apart from the statement, too: that is several messages to the server, and one transaction."""
    with pytest.raises(psycopg.Error) as caught:
        connection.execute("CALL imgsearch.embed(%s, %s)", ("ostrich", 0.01), prepare=prepare)
    assert isinstance(translate(caught.value), QueryTimeout), caught.value


def test_psql_in_manual_commit_is_told_before_and_behind_the_call(settings: Settings, space: Space, home: Path) -> None:
    """The error that asks for the CALL says what manual commit needs, and so does the CALL; what it says, works."""
    psql = programs(home / "postgres").home / "psql"
    lines = (
        r"\set AUTOCOMMIT off",
        "SELECT imgsearch.vec('ostrich');",
        "ROLLBACK;",
        "CALL imgsearch.embed('ostrich', 0.01);",
        "ROLLBACK;",
        r"\set AUTOCOMMIT on",
        "CALL imgsearch.embed('ostrich', 0.01);",
    )
    ran = subprocess.run(
        [psql, "-X", settings.database_url], input="\n".join(lines), capture_output=True, text=True, check=True
    )
    first, manual, automatic = ran.stderr.split("ERROR:")[1:]
    assert "CALL imgsearch.embed('ostrich');" in first
    assert r"ROLLBACK and \set AUTOCOMMIT on" in first
    assert "cannot run inside a transaction" in manual
    assert r"\set AUTOCOMMIT on" in manual
    assert "no worker embedded" in automatic
