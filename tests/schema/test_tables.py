"""What tables promise one another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from imgsearch import ImageId, nearest
from imgsearch.schema import source
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.sqlalchemy.models import Image
from tests.crowd import crowd

Connection = psycopg.Connection[Any]
TABLES = Path(source.__file__).parent / "tables"


def columns(connection: Connection, table: str) -> dict[str, tuple[str, bool]]:
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        (table,),
    ).fetchall()
    return {name: (kind, required) for name, kind, required in rows if not name.startswith("bits")}


def test_the_sample_has_every_column_that_pictures_are_filtered_on(connection: Connection, space: Space) -> None:
    """A condition that is asked of image is asked of the sample too; promotion gives both the same column."""
    assert columns(connection, "imgsearch.image_sample") == columns(connection, "imgsearch.image")
    connection.execute("SELECT imgsearch.promote_attribute('colour', 'text')")
    assert columns(connection, "imgsearch.image_sample") == columns(connection, "imgsearch.image")
    assert "attachment_id" in columns(connection, "imgsearch.image_sample")


def test_nearest_takes_a_condition_on_any_column(settings: Settings, connection: Connection, space: Space) -> None:
    crowd(connection, space, 200)
    connection.execute("UPDATE imgsearch.image SET attachment_id = 3 WHERE image_id % 2 = 0")
    connection.execute("SELECT imgsearch.refresh_sample()")
    sampled = connection.execute("SELECT count(*) FILTER (WHERE attachment_id = 3) FROM imgsearch.image_sample")
    assert sampled.fetchone() == (100,), "the sample holds what the pictures hold"
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(settings.database_url or ""))
    with Session(engine) as session:
        statement = nearest(select(Image.image_id).where(Image.attachment_id == 3), ImageId(2), limit=10)
        found = session.execute(statement).all()
    assert len(found) == 10
    assert all(row.image_id % 2 == 0 for row in found)


def test_no_step_was_edited_after_its_digest_was_written_down() -> None:
    """An upgrade refuses a database that an earlier text of a step was applied to: after a release a step stays."""
    lines = [line.split() for line in (TABLES / "digests.txt").read_text().splitlines()]
    noted = {name: digest for digest, name in lines}
    assert noted == {step.name: step.digest for step in source.steps()}, (
        "add the next step instead; before the first release renew its line: CONTRIBUTING.md"
    )
