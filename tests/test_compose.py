"""The compose file, done here: the same roles, the same commands and the same health checks on the embedded servers."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from imgsearch.dev.embedded.wheel import programs
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.processes import eventually

pytestmark = pytest.mark.slow  # all of them together

ROOT = Path(__file__).parent.parent
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
PORTS = {"worker": "9100", "query-worker": "9100", "web": "8000"}
LOGIN = re.compile(r"postgresql://(\w+):")


def login(service: str) -> str:
    """Return the role a service logs in as."""
    return LOGIN.match(SERVICES[service]["environment"]["IMGSEARCH_DATABASE_URL"])[1]  # type: ignore[index]


def environment_of(service: str, environment: dict[str, str]) -> dict[str, str]:
    url = environment["IMGSEARCH_DATABASE_URL"].replace("postgres@", f"{login(service)}@")
    assert url != environment["IMGSEARCH_DATABASE_URL"]
    return {**environment, "IMGSEARCH_DATABASE_URL": url}


def translated(argument: str, service: str, port: int) -> str:
    """Return an argument of the compose file as it is here: another port, and this interpreter."""
    return argument.replace(PORTS[service], str(port))


def healthy(service: str, port: int) -> bool:
    """Run the health check of a service."""
    kind, program, *arguments = SERVICES[service]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "python")
    command = [sys.executable, *(translated(one, service, port) for one in arguments)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def roles(settings: Settings, home: Path) -> Iterator[None]:
    """The login roles, made by the file that the compose file gives to a new database server."""
    assert "./docker/roles.sql:/docker-entrypoint-initdb.d/roles.sql:ro" in SERVICES["postgres"]["volumes"]
    psql = programs(home / "postgres").home / "psql"
    passwords = {"WORKER_PASSWORD": "it's one", "WEB_PASSWORD": "another"}
    assert set(passwords) <= set(SERVICES["postgres"]["environment"])
    command = [str(psql), settings.database_url, "-v", "ON_ERROR_STOP=1", "-f", str(ROOT / "docker/roles.sql")]
    subprocess.run(command, env={**os.environ, **passwords}, check=True, capture_output=True, text=True)
    yield
    with psycopg.connect(settings.database_url, autocommit=True) as admin:
        admin.execute("DROP OWNED BY shop_worker, shop_web")
        admin.execute("DROP ROLE shop_worker, shop_web")


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_only_the_migration_has_the_owners_rights() -> None:
    owner = SERVICES["postgres"]["environment"]["POSTGRES_USER"]
    ours = [name for name, service in SERVICES.items() if "IMGSEARCH_DATABASE_URL" in service.get("environment", {})]
    assert {name for name in ours if login(name) == owner} == {"migrate"}
    assert {login(name) for name in ("worker", "query-worker", "beat")} == {"shop_worker"}
    assert login("web") == "shop_web"
    assert SERVICES["web"]["ports"]


@pytest.mark.parametrize("service", ["worker", "query-worker"])
def test_a_worker_works_as_its_own_role_and_its_health_check_can_fail(
    service: str, roles: None, space: Space, environment: dict[str, str], tmp_path: Path, port: int
) -> None:
    program, *arguments = SERVICES[service]["command"]
    assert program == "imgsearch"
    command = [sys.executable, "-m", program, *(translated(one, service, port) for one in arguments)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment_of(service, environment), stdout=log, stderr=log, cwd=ROOT)
    try:
        assert not healthy(service, port), "nothing listens yet"
        eventually(lambda: healthy(service, port) or process.poll() is not None, what="the worker's health")
        assert process.poll() is None, (tmp_path / "log").read_text()
        process.send_signal(signal.SIGSTOP)
        assert not healthy(service, port), "a worker that hangs is not healthy"
        process.send_signal(signal.SIGCONT)
        assert healthy(service, port)
    finally:
        process.kill()
        process.wait()


def test_the_page_is_served_to_others_by_a_role_that_sees_one_tenant(
    roles: None, space: Space, environment: dict[str, str], tmp_path: Path, port: int
) -> None:
    """Bound to every address, as in the container: the page must refuse who has no key, though it cannot list keys."""
    program, *arguments = SERVICES["web"]["command"]
    command = [sys.executable, "-m", program, *(one.replace("8000", str(port)) for one in arguments)]
    assert f"0.0.0.0:{port}" in command
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment_of("web", environment), stdout=log, stderr=log, cwd=ROOT)
    try:
        eventually(lambda: healthy("web", port) or process.poll() is not None, what="the page's health")
        assert process.poll() is None, (tmp_path / "log").read_text()
        refused = subprocess.run(
            [sys.executable, "-c", f"import httpx; print(httpx.get('http://127.0.0.1:{port}/v1/status').status_code)"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert refused.stdout.strip() == "401"
    finally:
        process.kill()
        process.wait()
