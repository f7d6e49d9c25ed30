"""A host application with an Alembic history of its own: two ways to the same schema, and autogenerate sees nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.settings import Settings
from tests.test_migrations import empty  # noqa: F401  # a fixture

OURS = Path(__file__).parent.parent / "imgsearch" / "migrations"
INI = """
[alembic]
script_location = %(here)s/alembic
path_separator = newline
version_locations =
    %(here)s/alembic/versions
    {ours}
"""
ENV = """
import os
from alembic import context
import psycopg
from sqlalchemy import create_engine
from imgsearch.sqlalchemy.alembic import include_object
from models import Base

engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(os.environ["URL"]))
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata, include_schemas=True,
                      include_object=include_object())
    with context.begin_transaction():
        context.run_migrations()
"""
MODELS = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
class Base(DeclarativeBase): ...
class Product(Base):
    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    photo: Mapped[str | None]
    price: Mapped[float]
"""
VERSION = """
import sqlalchemy as sa
from alembic import op
import imgsearch.sqlalchemy.alembic
revision, down_revision, branch_labels, depends_on = "host1", None, ("shop",), "imgsearch_0001"
def upgrade():
    op.create_table("product", sa.Column("id", sa.Integer, primary_key=True), sa.Column("photo", sa.String),
                    sa.Column("price", sa.Float, nullable=False))
    op.attach_imgsearch("product", key="id", image="photo", price="price")
def downgrade():
    op.detach_imgsearch("product")
    op.drop_table("product")
"""

LATER = """
from alembic import op
from imgsearch.sqlalchemy.alembic import upgrade_schema
revision, down_revision, branch_labels, depends_on = "host2", "host1", None, None
def upgrade():
    upgrade_schema(op.get_context())
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    versions = tmp_path / "alembic" / "versions"
    versions.mkdir(parents=True)
    (tmp_path / "alembic.ini").write_text(INI.format(ours=OURS / "versions"))
    (tmp_path / "alembic" / "env.py").write_text(ENV)
    (tmp_path / "alembic" / "script.py.mako").write_text((OURS / "script.py.mako").read_text())
    (tmp_path / "models.py").write_text(MODELS)
    (versions / "host1.py").write_text(VERSION)
    return tmp_path


def alembic(host: Path, settings: Settings, *arguments: str) -> str:
    environ = os.environ | {"URL": settings.database_url, "PYTHONPATH": f"{host}:{Path(__file__).parent.parent}"}
    done = subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=host,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def made(settings: Settings) -> list[Any]:
    """What stands in our schema, by name, kind and columns."""
    with psycopg.connect(settings.database_url) as connection:
        return connection.execute(
            "SELECT c.relname, c.relkind::text, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class c"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
            " WHERE c.relnamespace::regnamespace::text ~ '^imgsearch' AND c.relname NOT LIKE 'attached%'"
            " UNION ALL SELECT p.oid::regprocedure::text, 'f', md5(p.prosrc), p.proconfig::text FROM pg_proc p"
            " WHERE p.pronamespace::regnamespace::text ~ '^imgsearch'"
            " AND p.proname NOT SIMILAR TO 'attached_[0-9]+(_write)?'"
            " ORDER BY 1, 2, 3"
        ).fetchall()


@pytest.mark.slow
def test_both_ways_reach_the_same_schema_and_each_notices_the_other(
    host: Path,
    empty: Settings,  # noqa: F811
    settings: Settings,
    servers: embedded.Servers,
) -> None:
    alembic(host, empty, "upgrade", "heads")
    assert made(empty) == made(settings), "as `imgsearch db upgrade` made it"
    with db.connect(empty, autocommit=True) as connection:
        schema.check(connection)
        connection.execute("INSERT INTO product VALUES (1, 'https://x.example/1', 5)")
        assert connection.execute("SELECT price FROM imgsearch.image").fetchone() == (5.0,)
    assert schema.upgrade(empty) == schema.head(), "nothing was left to do"
    assert "No new upgrade operations detected" in alembic(host, empty, "check")
    alembic(host, empty, "downgrade", "shop@base")
    alembic(host, empty, "downgrade", "imgsearch@base")
    with db.connect(empty, autocommit=True) as connection:
        assert schema.current(connection) is None
    alembic(host, empty, "upgrade", "imgsearch@head")
    with db.connect(empty, autocommit=True) as connection:
        schema.check(connection)
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [
            (f"imgsearch_{schema.head()[:4]}",)
        ]


def test_a_database_that_imgsearch_upgraded_is_taken_as_it_is(host: Path, settings: Settings) -> None:
    with db.connect(settings, autocommit=True) as connection:
        connection.execute("INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('a', 'x', 'https://x/1')")
    alembic(host, settings, "upgrade", "heads")
    with db.connect(settings, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (1,)
        assert ("host1",) in connection.execute("SELECT version_num FROM alembic_version").fetchall()


@pytest.mark.slow
@pytest.mark.parametrize("per_migration", [True, False])
def test_a_step_of_a_host_commits_part_by_part_where_each_migration_is_a_transaction(
    host: Path,
    empty: Settings,  # noqa: F811
    per_migration: bool,
) -> None:
    """Seen by a transaction of the shop that is open: the host's own would stand behind it, and others behind that."""
    env = host / "alembic" / "env.py"
    env.write_text(env.read_text().replace("include_schemas=True", f"transaction_per_migration={per_migration}"))
    alembic(host, empty, "upgrade", "heads")
    with db.connect(empty, autocommit=True) as connection:
        connection.execute("DELETE FROM imgsearch.applied_object WHERE object ~ 'requeue'")
        connection.execute("UPDATE imgsearch.schema_version SET digest = 'older' WHERE step = 'functions'")
        connection.execute(
            "CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO public.transactions VALUES (pg_current_xact_id()) ON CONFLICT DO NOTHING; RETURN NEW; END $$;"
            "CREATE TABLE transactions (id xid8 PRIMARY KEY);"
            "CREATE TRIGGER seen BEFORE INSERT OR UPDATE ON imgsearch.schema_version"
            " FOR EACH ROW EXECUTE FUNCTION seen();"
            "CREATE TRIGGER seen BEFORE INSERT OR UPDATE ON imgsearch.applied_object"
            " FOR EACH ROW EXECUTE FUNCTION seen()"
        )
        (host / "alembic" / "versions" / "later.py").write_text(LATER)
        alembic(host, empty, "upgrade", "heads")
        schema.check(connection)
        [(many,)] = connection.execute("SELECT count(*) FROM transactions").fetchall()
        assert (many > 1) == per_migration


def test_two_runs_at_once_leave_one_schema(host: Path, empty: Settings) -> None:  # noqa: F811
    """Alembic itself knows no lock: one of two may lose, with a word, and the next try finds all there."""
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(alembic, host, empty, "upgrade", "heads") for _ in range(2)]
    lost = [str(run.exception()) for run in runs if run.exception()]
    assert len(lost) < 2, lost
    assert all("already exists" in said or "UniqueViolation" in said for said in lost), lost
    assert "(head)" in alembic(host, empty, "current")
    alembic(host, empty, "upgrade", "heads")
    with db.connect(empty, autocommit=True) as connection:
        schema.check(connection)
