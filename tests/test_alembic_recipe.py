"""The recipe of `imgsearch.sqlalchemy.alembic`, word for word, with the files that `alembic init` writes today."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from imgsearch import db, schema
from imgsearch.settings import Settings
from imgsearch.sqlalchemy import alembic
from tests.test_alembic_host import MODELS
from tests.test_migrations import empty  # noqa: F401  # a fixture
from tests.test_packaging import wheel  # noqa: F401  # a fixture

ROOT = Path(__file__).parent.parent
SEPARATOR = "path_separator = os\n"


def blocks() -> list[str]:
    """Return what the recipe has people write: lines of alembic.ini, of env.py, and commands."""
    paragraphs = textwrap.dedent(alembic.__doc__ or "").split("\n\n")
    return [textwrap.dedent(part) for part in paragraphs if part.startswith("    ")]


def run(shop: Path, settings: Settings, *command: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"DATABASE": settings.database_url.replace("postgresql://", "postgresql+psycopg://")}
    environ["PYTHONPATH"] = os.pathsep.join([str(shop), str(shop / "site"), str(ROOT)])
    whole = [sys.executable, "-m", *command]
    return subprocess.run(whole, cwd=shop, env=environ, capture_output=True, text=True, check=False)


def done(shop: Path, settings: Settings, *command: str) -> str:
    ran = run(shop, settings, *command)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@pytest.fixture
def shop(tmp_path: Path, empty: Settings) -> Path:  # noqa: F811
    """A shop with what `alembic init` writes, its models and its address, and our lines of env.py."""
    (tmp_path / "site").mkdir()
    done(tmp_path, empty, "alembic", "init", "alembic")
    env = tmp_path / "alembic" / "env.py"
    text = env.read_text()
    line = "target_metadata = None"
    assert line in text
    text = text.replace(line, "from models import Base\ntarget_metadata = Base.metadata")
    text = text.replace("config = context.config\n", "config = context.config\nimport os\n", 1)
    text = text.replace("engine_from_config(", "engine_from_config({'sqlalchemy.url': os.environ['DATABASE']} or ")
    [importing, configuring] = blocks()[1].splitlines()
    ours = configuring.removeprefix("context.configure(..., ").removesuffix(")")
    text = text.replace("target_metadata=target_metadata\n", f"target_metadata=target_metadata, {ours}\n")
    assert ours in text
    env.write_text(f"{importing}\n{text}")
    (tmp_path / "models.py").write_text(MODELS)
    return tmp_path


def write_places(shop: Path, lines: str) -> None:
    ini = shop / "alembic.ini"
    text = ini.read_text()
    assert text.count(SEPARATOR) == 1, "alembic init writes another file today"
    ini.write_text(text.replace(SEPARATOR, lines + "\n"))


@pytest.mark.slow
@pytest.mark.parametrize("installed", ["editable", "wheel"])
def test_the_recipe_runs_as_it_is_written(
    shop: Path,
    empty: Settings,  # noqa: F811
    installed: str,
    request: pytest.FixtureRequest,
) -> None:
    if installed == "wheel":
        zipfile.ZipFile(request.getfixturevalue("wheel")).extractall(shop / "site")
    write_places(shop, blocks()[0])
    assert f"imgsearch_{schema.head()[:4]} (imgsearch) (head)" in done(shop, empty, "alembic", "heads")
    commands = [line.split() for line in blocks()[2].splitlines()]
    assert [command[:2] for command in commands] == [["alembic", "upgrade"], *[["alembic", "revision"]] * 2]
    upgrade, first, later = commands
    done(shop, empty, *upgrade)
    with db.connect(empty, autocommit=True) as connection:
        schema.check(connection)
    done(shop, empty, *first)
    done(shop, empty, *upgrade)
    assert "No new upgrade operations detected" in done(shop, empty, "alembic", "check")
    models = shop / "models.py"
    models.write_text(models.read_text() + "    title: Mapped[str | None]\n")
    done(shop, empty, *later)
    done(shop, empty, *upgrade)
    assert "No new upgrade operations detected" in done(shop, empty, "alembic", "check")
    versions = sorted((shop / "alembic" / "versions").glob("*.py"))
    assert len(versions) == 2, "both are the shop's"
    assert not any("drop_table" in path.read_text().split("def downgrade")[0] for path in versions)
    with db.connect(empty, autocommit=True) as connection:
        [(columns,)] = connection.execute(
            "SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute"
            " WHERE attrelid = 'product'::regclass AND attnum > 0"
        ).fetchall()
    assert columns == ["id", "photo", "price", "title"]


@pytest.mark.parametrize(
    "lines",
    [
        SEPARATOR + "version_locations = %(here)s/alembic/versions imgsearch:migrations/versions",
        SEPARATOR + "version_locations = %(here)s/alembic/versions:imgsearch:migrations/versions",
        "path_separator = newline\nversion_locations = \n  %(here)s/alembic/versions\n  imgsearch:migration/versions",
        "path_separator = newline\nversion_locations = \n  %(here)s/alembic/versions\n  imgsearch:page/templates",
        "path_separator = newline\nversion_locations = \n  %(here)s/alembic/versions\n  /nowhere/imgsearch/versions",
    ],
)
def test_places_that_lead_nowhere_are_an_error_with_the_lines_to_write(
    shop: Path,
    empty: Settings,  # noqa: F811
    lines: str,
) -> None:
    """Alembic itself passes over them: nothing happened."""
    write_places(shop, lines)
    refused = run(shop, empty, "alembic", "upgrade", "heads")
    assert refused.returncode != 0
    assert "imgsearch.errors.UsageError: Alembic finds no revision of imgsearch" in refused.stderr
    assert "path_separator = newline" in refused.stderr


def test_a_shop_whose_schema_imgsearch_upgrades_needs_no_places(shop: Path, empty: Settings) -> None:  # noqa: F811
    schema.upgrade(empty)
    done(shop, empty, "alembic", "revision", "--autogenerate", "-m", "first")
    done(shop, empty, "alembic", "upgrade", "head")
    assert "No new upgrade operations detected" in done(shop, empty, "alembic", "check")
