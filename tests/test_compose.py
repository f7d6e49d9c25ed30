"""The compose file, done here: the same secrets, roles, commands, environment and health checks on embedded servers.

What a container adds is left out: another file system, other users, other networks. That nothing but the volumes is
written is tried as far as a process can be told: its home folder cannot be made.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis
import yaml
from psycopg.conninfo import conninfo_to_dict

from imgsearch.dev.embedded import Servers
from imgsearch.dev.embedded.redis import _program
from imgsearch.dev.embedded.wheel import programs
from imgsearch.dev.testing import FAKE
from tests import commands
from tests.own_server import named, with_database
from tests.processes import eventually
from tests.stack import COMPOSE, ROOT, SERVICES, Stack
from tests.test_readme import jpeg

pytestmark = pytest.mark.slow  # all of them together

OURS = ("migrate", "worker", "query-worker", "beat", "web")
DATABASE = named("imgsearch_compose")


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What docker/secrets.sh makes."""
    folder = tmp_path_factory.mktemp("compose") / "secrets"
    for _ in range(2):  # the second time changes nothing
        subprocess.run([ROOT / "docker/secrets.sh", folder], check=True)
    return folder


@pytest.fixture(scope="module")
def stack(servers: Servers, home: Path, secrets: Path, admin: psycopg.Connection[Any]) -> Iterator[Stack]:
    """Everything, started in the order of the file: a database made by roles.sql, migrate, and what waits for it."""
    url = with_database(servers.database_url, DATABASE)
    socket_folder = conninfo_to_dict(url)["host"]
    admin.execute(f"CREATE DATABASE {DATABASE}")
    psql = [
        str(programs(home / "postgres").home / "psql"),
        url,
        "-v",
        "ON_ERROR_STOP=1",
        "-f",
        ROOT / "docker/roles.sql",
    ]
    subprocess.run(psql, env={**os.environ, "SECRETS": str(secrets)}, check=True, capture_output=True)
    (secrets / "redis_url").unlink()
    (secrets / "redis_url").write_text(servers.redis_url)
    for file in (secrets / f"{role}_url" for role in ("owner", "worker", "web")):
        text = file.read_text().replace("@postgres/imgsearch", f"@/{DATABASE}?host={socket_folder}")
        file.unlink()
        file.write_text(text)
    translated = {
        "/run/secrets": str(secrets),
        "/pictures": str(secrets.parent / "pictures"),
        "/models": str(secrets.parent / "models"),
    }
    made = Stack(secrets.parent, translated, {"IMGSEARCH_MODEL": FAKE})
    try:
        migrated = made.run("migrate", check=False)
        assert migrated.returncode == 0, migrated.stderr
        for service in ("worker", "query-worker", "beat", "web"):
            if service in ("worker", "web"):
                assert not made.healthy(service), "nothing listens yet"
            made.start(service)
        for service in made.processes:
            made.wait(service)
        yield made
    finally:
        codes = made.stop()
        admin.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
        admin.execute("DROP ROLE shop_owner, shop_worker, shop_web")
    assert set(codes.values()) <= {0, -signal.SIGTERM}, codes


def test_from_an_upload_to_an_answer_by_the_roles_and_commands_of_the_file(stack: Stack, secrets: Path) -> None:
    made = stack.run(
        "migrate", ["imgsearch", "key", "create", "--tenant", "acme", "--scope", "write", "--json"], check=True
    )
    key = json.loads(made.stdout)["key"]
    web = f"http://127.0.0.1:{stack.port('web', '8000')}"
    with httpx.Client(base_url=web, headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False) as shop:
        assert httpx.post(f"{web}/v1/search", json={"text": "red"}, trust_env=False).status_code == 401
        files = [("picture", (f"{n}.jpg", jpeg((200, n, n)), "image/jpeg")) for n in range(3)]
        listed = [{"product_id": f"p{n}"} for n in range(3)]
        added = shop.post("/v1/images/upload", files=files, data={"request": json.dumps({"images": listed})})
        assert added.status_code == 202, added.text
        wanted = len(added.json()["images"])
        found = eventually(
            lambda: (
                (a := shop.post("/v1/search", json={"text": "red shoe"})).status_code == 200
                and len(a.json()["rows"]) == wanted
                and a.json()
            ),
            what="the images in a search",
        )
        assert found["resolved"]["kind"] == "text"
        assert httpx.get(f"{web}/readyz", trust_env=False).json()["ready"]
    metrics = httpx.get(f"http://127.0.0.1:{stack.port('web', '9101')}/metrics", trust_env=False).text
    assert 'imgsearch_search_pages_total{outcome="end",strategy="exact"}' in metrics
    assert (
        "imgsearch_images_ready_total 3"
        in httpx.get(f"http://127.0.0.1:{stack.port('worker', '9100')}/metrics", trust_env=False).text
    )
    assert any((stack.folder / "pictures").rglob("*")), "pictures are in the volume"
    assert "imgsearch.sweep" in stack.log("beat").read_text() or stack.healthy("beat")


def test_health_checks_notice_what_hangs(stack: Stack) -> None:
    services = ("worker", "query-worker", "web")
    for service in services:
        stack.processes[service].send_signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor() as at_once:
            assert list(at_once.map(stack.healthy, services)) == [False] * 3, "a process that hangs is not healthy"
    finally:
        for service in services:
            stack.processes[service].send_signal(signal.SIGCONT)
    for service in services:
        stack.wait(service)


def test_nothing_logs_in_as_the_superuser_and_each_role_has_what_it_needs_alone(stack: Stack, secrets: Path) -> None:
    users = {
        s: conninfo_to_dict((secrets / f"{s}_url").read_text().strip())["user"] for s in ("owner", "worker", "web")
    }
    assert users == {"owner": "shop_owner", "worker": "shop_worker", "web": "shop_web"}
    for name in OURS:
        given = SERVICES[name].get("secrets", [])
        assert not {"superuser_password", "owner_url"} & set(given) or name == "migrate"
        assert [SERVICES[name]["environment"].get("IMGSEARCH_DATABASE_URL_FILE")] == [
            f"/run/secrets/{one}" for one in given if one != "redis_url"
        ] or (name == "beat" and given == ["redis_url"])
        assert "superuser_password" not in given
    for role, refused in (
        ("worker", "SELECT * FROM imgsearch.api_key"),
        ("worker", "DROP TABLE imgsearch.image"),
        ("web", "SELECT * FROM imgsearch.api_key"),
        ("web", "UPDATE imgsearch.space SET share = 1"),
        ("web", "CREATE TABLE imgsearch.mine (a integer)"),
        ("owner", "CREATE ROLE another"),
    ):
        with psycopg.connect((secrets / f"{role}_url").read_text().strip()) as connection:
            [superuser] = (
                connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() or ()
            )
            assert not superuser
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(refused)  # type: ignore[arg-type]
    with psycopg.connect((secrets / "web_url").read_text().strip()) as connection:
        assert connection.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (0,), "no tenant, no image"


@pytest.mark.parametrize("service", ["worker", "web"])
def test_a_role_may_check_the_schema_before_its_process_begins(stack: Stack, service: str) -> None:
    """As the pods of examples/kubernetes do, whose measure of recall is a worker's, too."""
    assert stack.run(service, ["imgsearch", "db", "check"], check=False).returncode == 0
    if service == "worker":
        measured = stack.run(
            service, ["imgsearch", "index", "recall", "--keep", "--seconds", "1", "--json"], check=False
        )
        assert measured.returncode == 0, measured.stderr


def test_the_files_secrets_are_made_once_and_for_their_owner_alone(secrets: Path, tmp_path: Path) -> None:
    assert {f"./docker/secrets/{path.name}" for path in secrets.iterdir()} == {
        secret["file"] for secret in COMPOSE["secrets"].values()
    }
    assert secrets.stat().st_mode & 0o077 == 0
    assert len((secrets / "web_password").read_text()) == 48
    assert len({path.read_text() for path in secrets.glob("*_password")}) == 5


def test_redis_of_the_file_takes_its_password_alone(tmp_path: Path) -> None:
    subprocess.run([ROOT / "docker/secrets.sh", tmp_path / "secrets"], check=True)
    [_, _, script] = SERVICES["redis"]["command"]
    [_, check] = SERVICES["redis"]["healthcheck"]["test"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = _program().parent
    here = {"/run/secrets": str(tmp_path / "secrets"), "$$": "$", "redis-server ": f"redis-server --port {port} "}
    for name, place in {**here, "redis-cli ": f"redis-cli -p {port} "}.items():
        script, check = script.replace(name, place), check.replace(name, place)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
    server = subprocess.Popen(["sh", "-c", script], env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        text = (tmp_path / "secrets/redis_url").read_text().strip().replace("redis:6379", f"127.0.0.1:{port}")
        eventually(lambda: _answers(text), what="an answer to the password")
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port).ping()
        assert "requirepass" not in (tmp_path / "secrets/redis_url").read_text()
        assert "REDISCLI_AUTH" in check
    finally:
        server.terminate()
        server.wait(10)


def _answers(address: str) -> bool:
    try:
        return bool(redis.from_url(address).ping())
    except redis.ConnectionError:
        return False


def test_every_setting_command_and_order_of_the_file_is_real() -> None:
    overlay = yaml.safe_load((ROOT / "docker-compose.gpu.yml").read_text())["services"]
    for name in OURS:
        service = SERVICES[name]
        given = {**service["environment"], **overlay.get(name, {}).get("environment", {})}
        ours = {variable.removesuffix("_FILE") for variable in given if variable.startswith("IMGSEARCH_")}
        assert ours <= commands.SETTINGS, name
        program, *words = service["command"]
        assert program == "celery" or commands.wrong(words) is None
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        waits = {one: how["condition"] for one, how in service["depends_on"].items()}
        first = {"postgres": "service_healthy"} if name == "migrate" else {"migrate": "service_completed_successfully"}
        assert first.items() <= waits.items()
        assert name == "migrate" or service["healthcheck"]["test"]
    assert SERVICES["web"]["ports"]
    assert COMPOSE["networks"]["data"] == {"internal": True}
    assert "ports" not in SERVICES["postgres"]
    arguments = re.findall(r"^ARG (\w+)=(\w+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert arguments == [("TORCH", "cpu")], "no CUDA unless it is asked for"
    assert {one["build"]["args"]["TORCH"] for one in (SERVICES[name] for name in OURS)} == {"cpu"}
    assert overlay["worker"]["build"]["args"]["TORCH"] == "${TORCH:-cu128}"
    assert overlay["worker"]["image"] != SERVICES["worker"]["image"], "the query worker keeps the image without CUDA"


def test_the_page_names_commands_services_and_files_that_are_there() -> None:
    page = (ROOT / "docs/compose.md").read_text() + (ROOT / "README.md").read_text()
    runs = re.findall(r"^docker compose.* run --rm (\S+) imgsearch ([^#\n]+)", page, re.MULTILINE)
    assert {service for service, _ in runs} == {"migrate"}
    assert [commands.wrong(shlex.split(words)) for _, words in runs] == [None] * len(runs)
    for name in re.findall(r"docker compose (?:exec|logs|restart|up -d --scale) (\w[\w-]*)", page):
        assert name in SERVICES
    for path in re.findall(r"(?:-f |^)(docker[\w./-]+\.(?:yml|sh|sql))", page, re.MULTILINE):
        assert (ROOT / path).exists(), path
    variables = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    variables |= set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.gpu.yml").read_text()))
    table = page.split("## What can be set")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == variables
