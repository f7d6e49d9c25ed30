"""Where the service listens and for whom, as a person at a terminal meets it."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from imgsearch.errors import UsageError
from imgsearch.flask import serving
from imgsearch.ops import api_keys as keys
from imgsearch.settings import Settings
from tests.conftest import with_settings
from tests.processes import eventually

Connection = psycopg.Connection[Any]
KeyOf = Callable[..., str]


def test_another_address_than_loopback_needs_keys_and_a_wall(
    settings: Settings, connection: Connection, key_of: KeyOf
) -> None:
    assert serving.guard(settings, "127.0.0.1") is True
    assert serving.guard(settings, "::1") is True
    assert serving.guard(with_settings(settings, HTTP_KEYS="required"), "127.0.0.1") is False
    for host in ("0.0.0.0", "::", "192.168.1.5", "shop.example"):  # noqa: S104
        with pytest.raises(UsageError, match="imgsearch key create"):
            serving.guard(settings, host)
    ended = keys.rotate(connection, key_of("acme"), grace=timedelta())
    keys.revoke(connection, ended)
    with pytest.raises(UsageError, match="imgsearch key create"):
        serving.guard(settings, "0.0.0.0")  # noqa: S104  # there are keys, and none works
    key_of("acme")
    assert serving.guard(settings, "0.0.0.0") is False  # noqa: S104
    assert serving.guard(with_settings(settings, TRUSTED_PROXIES="1"), "127.0.0.1") is False, "a proxy brings strangers"
    connection.execute("DROP ROLE IF EXISTS alone")
    connection.execute("CREATE ROLE alone LOGIN IN ROLE imgsearch_admin")
    alone = with_settings(settings, DATABASE_URL=settings.database_url.replace("postgres@", "alone@"))
    with pytest.raises(UsageError, match="GRANT imgsearch_writer TO alone"):
        serving.guard(alone, "0.0.0.0")  # noqa: S104
    connection.execute("DROP ROLE alone")


def test_serve_listens_says_so_and_leaves_when_asked(environment: dict[str, str], settings: Settings) -> None:
    command = [sys.executable, "-m", "imgsearch", "serve", "--bind"]
    refused = subprocess.run([*command, "0.0.0.0:0"], env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "imgsearch key create" in refused.stderr
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = subprocess.run(
            [*command, f"127.0.0.1:{taken.getsockname()[1]}"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert busy.returncode == 2
    assert "--bind" in busy.stderr
    with subprocess.Popen([*command, "127.0.0.1:0"], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "without keys, for this machine alone" in line
        where = re.search(r"http://127\.0\.0\.1:\d+/", line)[0]  # type: ignore[index]
        assert (settings.home / "page.url").read_text() == where
        import httpx

        assert eventually(lambda: httpx.get(f"{where}healthz").status_code == 200)
        process.terminate()
        assert process.wait(10) == 0
    assert not (settings.home / "page.url").exists()
