"""Settings: where they are read from, that all errors come at once, that they are read once and never change."""

from __future__ import annotations

import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from imgsearch.cli.app import app
from imgsearch.dev import embedded
from imgsearch.errors import DatabaseError, SettingsError
from imgsearch.servers import database_url, redis_url
from imgsearch.settings import Settings, load_settings, process_settings, table

ROOT = Path(__file__).parent.parent


@pytest.fixture
def dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to stand in, without settings in the environment; returns its `.env`."""
    monkeypatch.chdir(tmp_path)
    for row in table():
        monkeypatch.delenv(row.variable, raising=False)
        if row.fallback:
            monkeypatch.delenv(row.fallback, raising=False)
    process_settings.cache_clear()
    yield tmp_path / ".env"
    process_settings.cache_clear()


def test_values_have_types_and_defaults() -> None:
    settings = load_settings({"HOME": "/tmp/x", "LEASE_SECONDS": "7", "HTTP_BIND": "[::1]:80"}, environ={})
    assert settings.lease_seconds == 7
    assert settings.storage_url == "file:///tmp/x/pictures"
    assert settings.http_bind == ("::1", 80)
    assert settings.decoders >= 1
    assert load_settings({"FETCH_ALLOW": "a.lan, b.lan,"}, environ={}).fetch_allow == {"a.lan", "b.lan"}
    assert load_settings({"FETCH_FOLDERS": "/b,/a"}, environ={}).fetch_folders == (Path("/b"), Path("/a"))


def test_code_comes_before_the_environment_before_dotenv_and_fallbacks_count_within_a_source(
    dotenv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dotenv.write_text("IMGSEARCH_DATABASE_URL=postgres://dotenv/a\nIMGSEARCH_BATCH=3\nIMGSEARCH_MODEL=mine\n")
    assert load_settings().database_url == "postgresql://dotenv/a"
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://environment/b")
    monkeypatch.setenv("IMGSEARCH_BATCH", "4")
    monkeypatch.setenv("IMGSEARCH_MODEL", "")
    found = load_settings()
    assert (found.database_url, found.batch, found.model) == ("postgresql://environment/b", 4, "mine")
    monkeypatch.setenv("IMGSEARCH_DATABASE_URL", "postgresql://own/c")
    assert load_settings().database_url == "postgresql://own/c"
    given = load_settings({"IMGSEARCH_DATABASE_URL": "postgresql://given/d", "BATCH": 5})
    assert (given.database_url, given.batch) == ("postgresql://given/d", 5)
    assert load_settings(environ={}).batch == 32


def test_all_errors_come_at_once_each_with_its_cure() -> None:
    wrong = {
        "BATCH": "many",
        "LEASE_SECONDS": "nan",
        "HTTP_BIND": "nowhere",
        "HTTP_KEYS": "maybe",
        "NOSUCH": "1",
    }
    with pytest.raises(SettingsError) as caught:
        load_settings(wrong, environ={})
    assert str(caught.value).splitlines() == [
        "5 settings are wrong:",
        "  IMGSEARCH_LEASE_SECONDS is 'nan'; set it to a number from 1 to 3600.",
        "  IMGSEARCH_BATCH is 'many'; set it to a whole number from 1 to 1024.",
        "  IMGSEARCH_HTTP_BIND is 'nowhere'; write host:port, as 127.0.0.1:8000.",
        "  IMGSEARCH_HTTP_KEYS is 'maybe'; input should be 'auto' or 'required'.",
        "  There is no setting IMGSEARCH_NOSUCH; `imgsearch --help` lists them all.",
    ]
    with pytest.raises(SettingsError, match=r"^IMGSEARCH_BATCH is '5000'; set it to a whole number from 1 to 1024\.$"):
        load_settings({"BATCH": "5000"}, environ={})


def test_settings_never_change_and_can_be_handed_to_another_process() -> None:
    settings = load_settings({"BATCH": "7", "HTTP_BIND": "[::1]:80"}, environ={})
    with pytest.raises(ValidationError):
        settings.batch = 8
    assert settings.environment() == {"IMGSEARCH_BATCH": "7", "IMGSEARCH_HTTP_BIND": "[::1]:80"}
    assert load_settings(environ=settings.environment()) == settings
    assert {settings: 1}


def test_a_process_reads_its_settings_once(dotenv: Path) -> None:
    dotenv.write_text("IMGSEARCH_BATCH=3\n")
    assert process_settings().batch == 3
    dotenv.write_text("IMGSEARCH_BATCH=4\n")
    assert process_settings() is process_settings()
    assert process_settings().batch == 3


def test_one_place_says_which_postgres_and_which_redis(tmp_path: Path, home: Path, servers: embedded.Servers) -> None:
    configured = load_settings({"DATABASE_URL": "postgres://a/b", "REDIS_URL": "redis://c", "HOME": home}, environ={})
    assert (database_url(configured), redis_url(configured)) == ("postgresql://a/b", "redis://c")
    here = load_settings({"HOME": home}, environ={})
    assert (database_url(here), redis_url(here)) == (servers.database_url, servers.redis_url)
    nothing = load_settings({"HOME": tmp_path / "empty"}, environ={})
    assert redis_url(nothing) == ""
    with pytest.raises(DatabaseError, match="imgsearch up"):
        database_url(nothing)


def test_only_one_module_looks_for_the_embedded_servers() -> None:
    asking = [
        str(path.relative_to(ROOT))
        for folder in ("imgsearch", "workers")
        for path in (ROOT / folder).rglob("*.py")
        if "embedded.running(" in path.read_text() and "dev" not in path.parts
    ]
    assert asking == ["imgsearch/servers.py"]


def test_the_help_and_the_readme_show_every_setting() -> None:
    readme = (ROOT / "README.md").read_text()
    shown = str(app.info.epilog)
    assert len(table()) == len(Settings.model_fields)
    for row in table():
        assert row.help
        assert row.variable in readme
        assert f"{row.variable:<26} {row.help} [{row.default or 'empty'}]" in shown


def test_a_worker_with_a_wrong_setting_ends_before_it_loads_anything(dotenv: Path) -> None:
    dotenv.write_text("IMGSEARCH_BATCH=many\nIMGSEARCH_THREADS=-1\n")
    code = (
        "import runpy, sys, atexit\n"
        "sys.argv = ['imgsearch_workers']\n"
        "atexit.register(lambda: print('torch' in sys.modules, flush=True))\n"
        "from imgsearch_workers.__main__ import main\n"
        "sys.exit(main([]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == SettingsError.exit_code
    assert "IMGSEARCH_BATCH is 'many'" in done.stderr
    assert "IMGSEARCH_THREADS is '-1'" in done.stderr
    assert done.stdout.strip() == "False"


def test_a_setting_may_stand_in_a_file_and_what_is_given_itself_comes_first(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgres://secret/a\n")
    environ = {"IMGSEARCH_DATABASE_URL_FILE": str(secret), "IMGSEARCH_BATCH": "3"}
    assert load_settings(environ=environ).database_url == "postgresql://secret/a"
    assert load_settings(environ={"DATABASE_URL_FILE": str(secret)}).database_url == "postgresql://secret/a"
    assert (
        load_settings(environ={**environ, "IMGSEARCH_DATABASE_URL": "postgresql://b"}).database_url == "postgresql://b"
    )
    with pytest.raises(SettingsError, match=r"IMGSEARCH_REDIS_URL_FILE is '/nowhere', which cannot be read"):
        load_settings(environ={"IMGSEARCH_REDIS_URL_FILE": "/nowhere"})


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgres//shop:hush@db/shop", "write postgresql://user:password@host:5432/name"),
        ("postgresql://shop:hu sh@db/shop", "%20 for a space"),
        ("postgresql://shop:hush@db/shop?sslmod=require", 'invalid URI query parameter: "sslmod"'),
    ],
)
def test_an_address_that_nobody_can_read_is_refused_and_not_repeated(url: str, said: str) -> None:
    for name in ("DATABASE_URL", "PRIMARY_URL", "DIRECT_URL"):
        with pytest.raises(SettingsError, match=f"IMGSEARCH_{name} is no address of a database") as refused:
            load_settings({name: url}, environ={})
        assert said in str(refused.value)
        assert "hu" not in "".join(traceback.format_exception(refused.value))
