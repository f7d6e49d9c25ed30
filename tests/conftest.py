"""Real servers for every test: one embedded Postgres and Redis per pytest process, a fresh migrated database per test.

Databases are copied file by file (STRATEGY file_copy): 23 ms where the default, through the WAL, takes 190; in memory
where there is room: 12. A test that wants a space gets a copy that holds one: making it there takes 40.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.dev.embedded.place import locked
from imgsearch.dev.embedded.redis import start_redis
from imgsearch.dev.testing import FAKE, FakeEncoder
from imgsearch.settings import Settings, load_settings, process_settings
from imgsearch.spaces.space import Space, ensure
from tests import own_server
from tests.given import mine  # noqa: F401  # a fixture
from tests.own_server import named, with_database
from tests.places import made_folder
from tests.processes import WorkerProcess
from tests.terminal import run  # noqa: F401  # a fixture

TEMPLATE = "imgsearch_template"
TEMPLATE_WITH_SPACE = "imgsearch_template_with_space"
_numbers = itertools.count(1)

# Containers like to set it; then each process that tests start compiles all of imgsearch again, and pytest rewrites
# the asserts of every test: 5 of the 21 s in which it collects them.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

for variable in list(os.environ):  # a developer's own settings must not reach the tests
    if variable.startswith("IMGSEARCH_") or variable in {"DATABASE_URL", "REDIS_URL"}:
        del os.environ[variable]


# What `make test-long` runs and `make test` leaves out: browsers, benches, soaks, every trap of the doctor, generated
# clients, models that change under real workers. They take two thirds of all time; CI runs both.
LONG = {
    *(
        "page",
        "rerank",
        "test_soak.py",
        "test_rolling.py",
        "test_failover.py",
        "test_bench.py",
        "test_bench_given.py",
        "test_models_page.py",
    ),
    *("test_bench_products.py", "test_doctor_fixes.py", "test_tuning.py", "test_demo_model.py"),
    *("test_generated_client.py", "test_typescript_client.py", "test_space_disk.py", "test_hostile_pictures.py"),
    *("test_worker_kinds.py", "test_largest.py", "test_waiting.py", "test_slow_clients.py", "test_compose.py"),
    *(
        "test_search_regions_plans.py",
        "test_parts_page.py",
        "test_detector.py",
        "test_region_fill.py",
        "test_worker_refuses.py",
    ),
    *("test_space_life.py", "test_space_waits.py", "test_space_beside.py", "test_space_follows.py"),
    *("test_space_upgrade.py", "test_worker_pinned.py", "test_worker_space.py", "test_worker_faults.py"),
    *("test_replicas.py", "test_alembic_host.py", "test_watching.py", "test_packaging.py", "test_encoder_kinds.py"),
    *("test_openapi.py", "test_large_products.py", "test_backup.py", "test_embedded.py", "test_pages_properties.py"),
    *("test_random_writes.py", "test_described.py", "test_spaces_page.py", "test_flask_shop.py"),
    *("test_recall_short.py", "test_alembic_recipe.py", "test_demo.py", "test_tenant_graphs_kept.py"),
}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pass over what `make test` leaves out anyway: to import it costs each process seconds."""
    long = {collection_path.name, collection_path.parent.name} & LONG and collection_path.name != "conftest.py"
    return True if long and config.option.markexpr == "not long" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is long, and begin with the files that hold a slow test: else one process is left with such a file.

    The page's stay together: a process that leaves them ends their shop and browser, and would start them again.
    """
    for item in items:
        if {item.path.name, item.path.parent.name} & LONG:
            item.add_marker(pytest.mark.long)
    slow = {_together(item) for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: _together(item) not in slow)


def _together(item: pytest.Item) -> Path:
    return item.path.parent if item.path.parent.name == "page" else item.path


@pytest.fixture(autouse=True)
def fresh_settings() -> None:
    """Let each test change the environment: a process reads its settings once."""
    process_settings.cache_clear()


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A short path outside pytest's own folders: Postgres runs as another user, and socket paths are limited."""
    folder = made_folder("imgs-")
    yield folder
    embedded.stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that Postgres's own system user can pass.

    pytest's cannot: every pytest that starts shuts /tmp/pytest-of-<user> for others, also below a running server.
    """
    made = made_folder("imgs-")
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def servers(home: Path) -> Iterator[embedded.Servers]:
    """Embedded servers, or, where IMGSEARCH_TEST_URL says so, a Postgres of one's own."""
    if not own_server.URL:
        yield embedded.start(home, memory_mb=2048, durable=False)
        return
    with locked(home):
        redis_url = start_redis(home)
    yield embedded.Servers(own_server.URL, redis_url)
    own_server.clean()


@pytest.fixture(scope="session")
def template(servers: embedded.Servers) -> str:
    """A migrated database that tests are copied from."""
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {} STRATEGY file_copy").format(Identifier(named(TEMPLATE))))
    schema.upgrade(load_settings({"DATABASE_URL": with_database(servers.database_url, TEMPLATE)}, environ={}))
    return TEMPLATE


@pytest.fixture(scope="session")
def template_with_space(admin: psycopg.Connection[Any], servers: embedded.Servers, template: str) -> str:
    """The same with what `space` makes."""
    copied(admin, TEMPLATE_WITH_SPACE, template)
    settings = load_settings({"DATABASE_URL": with_database(servers.database_url, TEMPLATE_WITH_SPACE)}, environ={})
    with db.connect(settings, autocommit=True) as connection:
        ensure(connection, FakeEncoder().describe())
    return TEMPLATE_WITH_SPACE


@pytest.fixture(scope="session")
def admin(servers: embedded.Servers) -> Iterator[psycopg.Connection[Any]]:
    """A connection that databases are made and dropped by."""
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        yield connection


def copied(admin: psycopg.Connection[Any], name: str, template: str) -> None:
    """Make a database as a copy of another; settings of a database are not copied."""
    new = Identifier(named(name))
    admin.execute(SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(new, Identifier(named(template))))
    admin.execute(SQL("ALTER DATABASE {} SET hnsw.iterative_scan = 'strict_order'").format(new))
    admin.execute(SQL("ALTER DATABASE {} SET hnsw.ef_search = '100'").format(new))


@pytest.fixture
def settings(
    admin: psycopg.Connection[Any],
    servers: embedded.Servers,
    template: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Settings]:
    """Settings of a fresh, migrated database and an empty picture store."""
    name = f"t{next(_numbers)}"
    if template == TEMPLATE and "space" in request.fixturenames:
        template = request.getfixturevalue("template_with_space")
    copied(admin, name, template)
    yield load_settings(
        {
            "DATABASE_URL": with_database(servers.database_url, name),
            "REDIS_URL": servers.redis_url,
            "HOME": str(tmp_path / "home"),
            "STORAGE_URL": (tmp_path / "pictures").as_uri(),
            "MODEL": FAKE,
        },
        environ={},
    )
    admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(named(name))))


@pytest.fixture
def connection(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """A psycopg connection in autocommit."""
    with db.connect(settings, autocommit=True) as connected:
        yield connected


@pytest.fixture
def space(connection: psycopg.Connection[Any]) -> Space:
    """An active space of the light stand-in encoder."""
    return ensure(connection, FakeEncoder().describe())


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """The environment a subprocess of imgsearch needs to work on this test's database."""
    keep = {key: value for key, value in os.environ.items() if not key.startswith("IMGSEARCH_")}
    return keep | settings.environment()


def with_settings(settings: Settings, **values: str) -> Settings:
    """Return `settings` with some values changed."""
    return load_settings({**settings.environment(), **values}, environ={})


@pytest.fixture
def worker(settings: Settings, environment: dict[str, str], tmp_path: Path) -> Iterator[WorkerProcess]:
    """A real Celery worker process with the light stand-in encoder, for both queues."""
    with WorkerProcess(settings, environment, tmp_path / "worker.log") as process:
        yield process


def behind(settings: Settings) -> None:
    """Make it look as if the functions of this release had not been applied yet."""
    with db.connect(settings, autocommit=True) as connection:
        connection.execute("UPDATE imgsearch.schema_version SET digest = 'of another day' WHERE step = 'functions'")
