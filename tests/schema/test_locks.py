"""What each step says it locks is what Postgres locks, and what the release before reads stays as it was."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest

from bench import rolling_upgrade
from imgsearch.db import sql
from imgsearch.errors import UsageError
from imgsearch.schema import applied, objects, source, window
from imgsearch.schema.step import HOWS, Part, Step, in_transaction, index_of, part
from imgsearch.settings import Settings
from tests.test_migrations import empty  # noqa: F401  # a fixture

Connection = psycopg.Connection[Any]
# Weaker modes conflict with no reader and no writer.
MODES = ("SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE")
HELD = """SELECT l.relation::regclass::text, l.mode FROM pg_locks l
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.relation = ANY (%s)"""
THERE = "SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text ~ '^imgsearch'"
# In a step that is online only where nothing of the release before reads it: that is for `tests/test_rolling.py`.
BREAKS = r"\b(DROP (COLUMN|TABLE|CONSTRAINT|SCHEMA|TYPE|VIEW)|RENAME|ALTER COLUMN \w+ (SET DATA )?TYPE|SET NOT NULL)\b"
# In one statement another index comes to hold the same constraint: nobody ever sees the table without.
EXCHANGED = r"DROP CONSTRAINT (\w+),\s+ADD CONSTRAINT \1 UNIQUE USING INDEX \w+"
LONG = r"\bCREATE (UNIQUE )?INDEX (?!CONCURRENTLY)|\bADD (CONSTRAINT|CHECK|FOREIGN|PRIMARY|UNIQUE)|\bVALIDATE\b"


def strongest(connection: Connection, tables: list[int]) -> dict[str, str]:
    found: dict[str, str] = {}
    for relation, mode in connection.execute(HELD, [tables]).fetchall():
        spelled = re.sub(r"(?<!^)(?=[A-Z])", " ", mode.removesuffix("Lock")).upper()
        if spelled in MODES and MODES.index(spelled) >= MODES.index(found.get(relation, MODES[0])):
            found[relation] = spelled
    return found


def test_every_step_locks_what_it_says(empty: Settings) -> None:  # noqa: F811
    with psycopg.connect(empty.database_url or "") as connection:
        connection.execute("CREATE EXTENSION vector")
        for name in ("create_schemas", "create_internal", "create_version"):
            sql.run(connection, "schema", name)
        connection.commit()
        for step in (*source.steps(), rolling_upgrade.step()):
            for text, stated in zip(step.texts, step.parts, strict=True):
                tables = [oid for (oid,) in connection.execute(THERE).fetchall()]
                with applied.settings(connection):
                    objects.run(connection, in_transaction(text))
                locked = strongest(connection, tables)
                connection.commit()
                if stated.how == "index":  # CONCURRENTLY, it waits for writers and stops none
                    locked = dict.fromkeys(locked, "SHARE UPDATE EXCLUSIVE")
                strong = {t: mode for t, mode in (stated.locks or {}).items() if mode in MODES}
                assert locked == strong, f"{step.name}: locks.toml says otherwise"


def test_a_step_that_is_online_takes_nothing_away_and_scans_nothing_under_a_strong_lock() -> None:
    for step in (*source.steps(), rolling_upgrade.step()):
        if step.online:
            assert refused(step) == [], (
                f"{step.name}: expand now, drop one release later (docs/decisions/0023-rolling.md)"
            )


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE imgsearch.image DROP COLUMN category;",
        "ALTER TABLE imgsearch.image RENAME COLUMN category TO kind;",
        "ALTER TABLE imgsearch.image ALTER COLUMN position TYPE bigint;",
        "ALTER TABLE imgsearch.image ALTER COLUMN category SET NOT NULL;",
        "CREATE INDEX slow ON imgsearch.image (category);",
        "ALTER TABLE imgsearch.image ADD CONSTRAINT c CHECK (price > 0);",
        "ALTER TABLE imgsearch.image DROP CONSTRAINT c, ADD CONSTRAINT d UNIQUE USING INDEX i;",
    ],
)
def test_what_would_break_or_block_is_noticed(text: str) -> None:
    assert refused(Step("9999_bad", text, (Part(),), online=True))


def refused(step: Step) -> list[str]:
    """What of a step the release before, or a shop under load, would not bear."""
    created = set(re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?([\w.]+)", step.text))
    said = []
    for text, stated in zip(step.texts, step.parts, strict=True):
        for one in re.split(r";\s*\n|;\s*$", re.sub(r"--.*|'[^']*'", "", text)):
            one = re.sub(EXCHANGED, "", one)
            new = any(re.search(rf"\b{re.escape(table)}\b", one) for table in created)
            if (re.search(BREAKS, one) and not new) or (
                stated.how == "brief" and re.search(LONG, one) and not new and "NOT VALID" not in one
            ):
                said.append(one)
    return said


def test_every_step_states_its_parts() -> None:
    for step in source.steps():
        assert len(step.texts) == len(step.parts)
        assert step.online == (step.name > "0002"), "every step behind the baseline is"
        for text, one in zip(step.texts, step.parts, strict=True):
            assert one.how in HOWS
            assert (one.table is None) == (one.seconds_per_million == 0), "of which table's rows?"
            if one.how == "index":
                index_of(text)
    with pytest.raises(UsageError, match=r"locks\.toml states 1"):
        _ = Step("9999_two", "SELECT 1;\n-- part 2\nSELECT 2;\n").texts
    with pytest.raises(UsageError, match="brief, index, batches, validate"):
        part({"how": "quickly"})
    with pytest.raises(UsageError, match="CREATE INDEX CONCURRENTLY IF NOT EXISTS"):
        index_of("CREATE INDEX i ON imgsearch.image (price)")


def test_every_object_of_the_schema_is_known_by_its_comment(connection: Connection) -> None:
    """What an upgrade does not know it would drop."""
    with connection.transaction(), applied.settings(connection):
        assert objects.leftovers(connection) == []
        assert objects.changed(connection) == ()


def test_the_release_before_is_one_that_this_schema_promises_to_serve() -> None:
    assert window.OLDEST_CODE <= window.PREVIOUS < window.RELEASE
    assert re.fullmatch(r"[0-9a-f]{40}", window.PREVIOUS_COMMIT)
