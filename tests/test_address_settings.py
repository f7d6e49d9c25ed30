"""A setting that is an address or a file is checked at the start; the message names it, the cure, and no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgsearch.errors import SettingsError
from imgsearch.settings import load_settings
from tests.terminal import Run
from tests.test_settings import dotenv  # noqa: F401  # a fixture

DATABASES = {
    "postgresql://me:sesame/1@localhost:5432/shop": "%2F",
    "postgresql://me:12/sesame@localhost:5432/shop": "%2F",
    "postgresql://me:sesame@localhost:port/shop": "postgresql://user:password@host:5432/name",
    "postgresql://me:sesame@localhost/shop?sslmode=nonsense": "sslmode is one of",
    "postgresql://me:sesame@localhost/shop?nonsense=1": "nonsense",
    "host=localhost port=sesame": "postgresql://user:password@host:5432/name",
}
BAD = {
    "REDIS_URL": {
        "redis://:sesame#1@localhost:6379/0": "%23",
        "redis://:sesame/1@localhost:6379/0": "%2F",
        "redis://:12/sesame@localhost:6379/0": "%2F",
        "redis://:sesame?1@localhost:6379/0": "%3F",
        "redis://:sesame[1@localhost:6379/0": "%23",
        "redis://:sesame@localhost:port/0": "redis://:password@host:6379/0",
        "redis://:sesame@localhost:99999/0": "redis://:password@host:6379/0",
        "redis://:sesame @localhost:6379/0": "%20",
        "redis://:sesame@localhost/x": "a database of Redis is a number",
        "redis://:sesame@localhost/0/1": "a database of Redis is a number",
        "rediss://:sesame@localhost/0?ssl_cert_reqs=nonsense": "none, optional or required",
        "http://:sesame@localhost:6379/0": "redis://host:6379/0",
        "sesame@localhost:6379": "redis://host:6379/0",
        "redis+socket://": "redis+socket:///path",
    },
    "STORAGE_URL": {
        "/srv/sesame": "file:///absolute/path",
        "file://srv/sesame": "three slashes",
        "file:sesame": "three slashes",
        "file:///srv/sesame#1": "%23",
        "file:///srv/sesame?1": "%3F",
        "s3://key:sesame@bucket/x": "AWS_SECRET_ACCESS_KEY",
        "s3://": "s3://bucket/prefix",
        "s3:bucket/sesame": "s3://bucket/prefix",
        "ftp://host/sesame": "s3://bucket/prefix",
        "s3://[sesame": "s3://bucket/prefix",
    },
}
BAD |= dict.fromkeys(("DATABASE_URL", "DIRECT_URL", "PRIMARY_URL"), DATABASES)
GOOD = {
    "REDIS_URL": (
        *("redis://localhost", "redis://localhost:6379/", "redis://:pa%23ss@h:6379/15", "redis://u:p@[::1]:6379/0"),
        *("rediss://h:6380/0?ssl_cert_reqs=none", "rediss://h/0?ssl_cert_reqs=CERT_REQUIRED", "redis:///0"),
        *("redis+socket:///run/redis.sock?virtual_host=1", "unix:///run/redis.sock", "sentinel://h:26379/0"),
        "amqp://guest@h//",
    ),
    "STORAGE_URL": (
        *("file:///srv/pictures", "file:///srv/a%20b", "file://localhost/srv", "s3://bucket", "s3://bucket/a/b"),
        *("gs://bucket/a", "az://container/a", "abfss://container@account.dfs.core.windows.net/a", "memory://x"),
    ),
    "DATABASE_URL": (
        *("postgresql://me:p%2Fq@h:5432/shop", "postgresql://h1:1,h2:2/shop?target_session_attrs=any", "service=shop"),
        *("postgresql:///shop?host=/run/postgresql", "postgresql://me@h/a%40b?sslmode=verify-full", "dbname=shop"),
    ),
}


@pytest.mark.parametrize(("name", "url", "cure"), [(n, url, cure) for n in BAD for url, cure in BAD[n].items()])
def test_a_bad_address_is_refused_at_the_start_without_its_secret(name: str, url: str, cure: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({name: url}, environ={})
    assert f"IMGSEARCH_{name} is no address of a" in str(refused.value)
    assert cure in str(refused.value)
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize(("name", "url"), [(name, url) for name, urls in GOOD.items() for url in urls])
def test_a_good_address_is_taken_as_it_is(name: str, url: str) -> None:
    assert getattr(load_settings({name: url}, environ={}), name.lower()) == url


def test_an_address_is_not_shown_with_the_settings() -> None:
    assert "sesame" not in repr(load_settings({"REDIS_URL": "redis://:sesame@localhost/0"}, environ={}))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_a_file_in_another_encoding_is_named(dotenv: Path, encoding: str, run: Run) -> None:  # noqa: F811
    dotenv.write_bytes("IMGSEARCH_MODEL=möbel\n".encode(encoding))
    with pytest.raises(SettingsError, match=r"\.env .*save it as UTF-8"):
        load_settings()
    done = run("status")
    assert done.code == 2
    assert "save it as UTF-8" in done.err
    assert "Traceback" not in done.err
    with pytest.raises(SettingsError, match=r"IMGSEARCH_MODEL_FILE is .*save it as UTF-8"):
        load_settings(environ={"IMGSEARCH_MODEL_FILE": str(dotenv)})


def test_the_mark_that_some_editors_write_is_no_part_of_a_name_or_value(dotenv: Path) -> None:  # noqa: F811
    dotenv.write_bytes("IMGSEARCH_BATCH=3\n".encode("utf-8-sig"))
    assert load_settings().batch == 3
    secret = dotenv.with_name("secret")
    secret.write_bytes("mine\n".encode("utf-8-sig"))
    assert load_settings(environ={"IMGSEARCH_MODEL_FILE": str(secret)}).model == "mine"


def test_a_folder_named_as_a_file_is_said(dotenv: Path) -> None:  # noqa: F811
    with pytest.raises(SettingsError, match=r"IMGSEARCH_MODEL_FILE is .*cannot be read"):
        load_settings(environ={"IMGSEARCH_MODEL_FILE": str(dotenv.parent)})
