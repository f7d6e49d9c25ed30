"""What people install: a wheel that carries its migrations, and a compose file that is well-formed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from imgsearch import schema
from imgsearch.settings import Settings, table

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from this checkout, with the build backend that is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    [made] = folder.glob("*.whl")
    return made


def test_the_wheel_carries_migrations_sql_and_the_demo(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "imgsearch/migrations/env.py",
        "imgsearch/schema/tables/0001_baseline.sql",
        "imgsearch_workers/model/encoder.py",
        "imgsearch/py.typed",
    } <= names
    versions = {f"imgsearch/migrations/versions/{path.name}" for path in (ROOT / "migrations/versions").glob("*.py")}
    assert versions
    assert versions <= names
    assert not [name for name in names if name.startswith(("tests/", "bench/", "examples/", "migrations/"))]


def test_an_empty_environment_with_the_wheel_can_upgrade_a_database(
    wheel: Path, settings: Settings, tmp_path: Path
) -> None:
    """The wheel alone, outside the checkout: dependencies come from this environment, the package from the wheel."""
    schema.remove(settings)
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    site = next((venv / "lib").glob("python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    ours = next(Path(entry) for entry in sys.path if entry.endswith("site-packages"))
    # A path file, read after the wheel's own folder: everything but imgsearch itself is found there.
    (site / "dependencies.pth").write_text(f"{ours}\n")
    environ = {k: v for k, v in os.environ.items() if not k.startswith("IMGSEARCH_") and k != "PYTHONPATH"}
    environ["IMGSEARCH_DATABASE_URL"] = settings.database_url
    python = str(venv / "bin" / "python")
    where = subprocess.run(
        [python, "-c", "import imgsearch; print(imgsearch.__file__)"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(site) in where.stdout
    done = subprocess.run(
        [python, "-m", "imgsearch", "db", "upgrade"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == f"The schema is at {schema.head()}.", done.stderr
    with psycopg.connect(settings.database_url) as connection:
        assert schema.current(connection) == schema.head()


def services(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / name).read_text())["services"]  # type: ignore[no-any-return]


def test_the_compose_file_starts_every_process_healthily() -> None:
    found = services("docker-compose.yml")
    assert set(found) >= {"postgres", "redis", "migrate", "worker", "query-worker", "beat"}
    for name, service in found.items():
        assert "healthcheck" in service or name == "migrate", name
        for needed in service.get("depends_on", {}):
            assert needed in found
        assert "devices" not in str(service), "a GPU reservation would fail `up` on a machine without one"
    assert "nvidia" in str(services("docker-compose.gpu.yml")["worker"])
    assert found["migrate"]["restart"] == "no"


def test_the_compose_file_sets_only_settings_that_exist() -> None:
    text = (ROOT / "docker-compose.yml").read_text() + (ROOT / "docker-compose.gpu.yml").read_text()
    known = {setting.variable for setting in table()} | {"IMGSEARCH_GPUS"}
    assert set(re.findall(r"IMGSEARCH_[A-Z_]+", text)) <= known


def test_every_direct_dependency_is_pinned() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {
        re.split(r"[=\[]", line)[0].lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    wanted = project["dependencies"] + [d for extra in project["optional-dependencies"].values() for d in extra]
    names = {re.split(r"[><=\[ ]", dependency)[0].lower() for dependency in wanted} - {"imgsearch"}
    assert names - pinned == set()


@pytest.mark.parametrize("name", ["docker-compose.yml", "docker-compose.gpu.yml"])
def test_the_compose_files_follow_the_compose_specification(name: str) -> None:
    import jsonschema

    schema = json.loads((ROOT / "tests/vendor/compose-spec.json").read_text())
    jsonschema.validate(yaml.safe_load((ROOT / name).read_text()), schema)
