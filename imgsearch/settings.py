"""What can be set, where it is read from, and what it means: one class.

Order of precedence: values given in code (or the framework's config) > environment > `.env` > default.
Settings are read once per process or app, checked as a whole, and passed down; they never change afterwards.

Plain pydantic, not pydantic-settings: a variable and its unprefixed fallback must count within one source before the
next source is looked at, and that library merges them across sources. It would also cost 45 ms more at import.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from imgsearch import setting_file
from imgsearch.database_url import libpq_url
from imgsearch.errors import SettingsError
from imgsearch.rerank_settings import RerankSettings
from imgsearch.server_url import broker_url, store_url

DEFAULT_MODEL = "google/siglip2-base-patch16-256"
PREFIX = "IMGSEARCH_"
# Unprefixed variables that many hosts set already.
FILE = "_FILE"  # IMGSEARCH_DATABASE_URL_FILE: a file that holds it, as secrets of containers are
ADDRESSES = {libpq_url: "a database", broker_url: "a broker", store_url: "a picture store"}
FALLBACKS = {"database_url": "DATABASE_URL", "redis_url": "REDIS_URL"}


def default_home() -> str:
    """Return the data folder of this user; root gets /var/lib, because Postgres will not run as root.

    The embedded server then runs as a system user of its own, which could not reach a folder below /root.
    """
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return "/var/lib/imgsearch"
    return str(Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "imgsearch")


def _folder(text: object) -> Path:
    return Path(str(text)).expanduser().absolute()


def _pictures(known: Mapping[str, Path]) -> str:
    return (known["home"] / "pictures").as_uri()


def _names(text: object) -> object:
    return [one.strip() for one in text.split(",") if one.strip()] if isinstance(text, str) else text


def _address(text: object) -> object:
    if not isinstance(text, str):
        return text
    host, colon, port = text.rpartition(":")
    if not host or not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError("write host:port, as 127.0.0.1:8000")
    return host.strip("[]"), int(port)


def _per_core(number: int) -> int:
    return number or os.cpu_count() or 1


Names = Annotated[frozenset[str], BeforeValidator(_names)]


class Settings(RerankSettings):
    """Everything that can be set. Immutable, so that one object may serve every thread of a process."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)  # an address holds a password
    _given: dict[str, str] = PrivateAttr(default_factory=dict)

    database_url: Annotated[str, AfterValidator(libpq_url)] = Field(
        "", repr=False, description="Postgres with pgvector; empty: the embedded server under IMGSEARCH_HOME"
    )
    direct_url: Annotated[str, AfterValidator(libpq_url)] = Field(
        "",
        repr=False,
        description="the same database around a pooler, for migrations, upkeep and workers; "
        "empty: IMGSEARCH_DATABASE_URL",
    )
    primary_url: Annotated[str, AfterValidator(libpq_url)] = Field(
        "",
        repr=False,
        description="the server that may be written to, where IMGSEARCH_DATABASE_URL is a replica; "
        "for new questions and writes",
    )
    prepared_statements: Literal["auto", "on", "off"] = Field(
        "auto", description="`auto`: prepared unless a pooler is met; `on` where it keeps them (PgBouncer from 1.21)"
    )
    redis_url: Annotated[str, AfterValidator(broker_url)] = Field(
        "", repr=False, description="Celery's broker; empty: the embedded server under IMGSEARCH_HOME"
    )
    model: str = Field(
        "",
        description="hub name or folder of a model (docs/models.md), `demo`, or an encoder of your own as "
        f"`package.module:Name`; empty: the active space's, else {DEFAULT_MODEL}",
    )
    model_revision: str = Field("", description="revision of the model on the hub; empty: its main branch")
    home: Annotated[Path, BeforeValidator(_folder)] = Field(
        default_factory=lambda: _folder(default_home()),
        description="where embedded servers keep their data; empty: the user's data folder",
    )
    storage_url: Annotated[str, AfterValidator(store_url)] = Field(
        default_factory=_pictures,
        description="picture store: file:///…, s3://bucket/prefix, gs://…; empty: IMGSEARCH_HOME/pictures",
    )
    query_timeout: float = Field(10, ge=0, le=600, description="seconds to wait for a worker to embed a new query")
    lease_seconds: float = Field(
        15,
        ge=1,
        le=3600,
        description="a claimed picture returns to the queue this long after its worker's last heartbeat",
    )
    max_attempts: int = Field(
        5, ge=1, le=100, description="an image that failed this many times is listed in imgsearch.failures"
    )
    batch: int = Field(32, ge=1, le=1024, description="maximum number of images per forward pass")
    decoders: Annotated[int, AfterValidator(_per_core)] = Field(
        0, ge=0, le=256, validate_default=True, description="decode processes of a worker; 0: one per core"
    )
    threads: int = Field(
        0, ge=0, le=256, description="torch threads of a worker; 0: one per core, a single one for a small model"
    )
    device: str = Field("auto", description="where the model runs: auto, cpu, cuda, cuda:1, …")
    fetch_allow: Names = Field(
        frozenset(),
        description="comma-separated intranet hosts that may be fetched though their address is private; "
        "with a port (`host:8123`) also from it: others than 80 and 443 are refused",
    )
    fetch_folders: Annotated[tuple[Path, ...], BeforeValidator(_names)] = Field(
        (), description="comma-separated folders below which workers may read pictures named file:///…"
    )
    http_bind: Annotated[tuple[str, int], BeforeValidator(_address)] = Field(
        ("127.0.0.1", 8000),
        description="where `imgsearch serve` listens; another address than loopback needs keys",
    )
    http_keys: Literal["auto", "required"] = Field(
        "auto", description="`required`, or `auto`: required unless `imgsearch serve` listens on loopback"
    )
    http_body: int = Field(33554432, ge=1024, le=2**31, description="most bytes of one HTTP request")
    http_threads: int = Field(
        0,
        ge=0,
        le=1024,
        description="threads of one server process; a half of them may wait for query workers, a quarter for pictures "
        "from the web; 0: 32 in `imgsearch serve`, 8 are assumed in an app of yours",
    )
    http_connections: int = Field(
        4096,
        ge=16,
        le=65536,
        description="connections of `imgsearch serve` at once; one address has the eighth part of them",
    )
    http_rate: float = Field(
        100, ge=0, le=1e6, description="requests per second of one key, in bursts of twice as many; 0: no limit"
    )
    http_rate_store: Literal["memory", "redis"] = Field(
        "memory", description="where requests are counted: `memory` of each process, or `redis` for all together"
    )
    slow_search_ms: float = Field(
        1000, ge=0, le=600000, description="searches that take longer are explained in the log, imgsearch.slow; 0: none"
    )
    slow_search_texts: Literal["hidden", "shown"] = Field(
        "hidden", description="whether the log of slow searches shows what was searched for and the filters' values"
    )
    http_thumbnail_hours: int = Field(
        1,
        ge=1,
        le=720,
        description="addresses of thumbnails work for so many hours at least, and twice as many at most",
    )
    trusted_proxies: int = Field(
        0,
        ge=0,
        le=10,
        description="number of proxies before `imgsearch serve` whose X-Forwarded-For, -Proto, -Prefix are believed",
    )
    http_cors: Names = Field(
        frozenset(), description="comma-separated origins (https://shop.example) whose pages may call the HTTP API"
    )

    def environment(self) -> dict[str, str]:
        """Return what was set (not the defaults) as environment variables, for a process of ours."""
        return {PREFIX + name.upper(): text for name, text in self._given.items()}


@dataclass(frozen=True)
class Row:
    """One row of the table of settings, as people read it."""

    variable: str
    fallback: str | None  # an unprefixed variable that many hosts set already
    default: str
    help: str


def table() -> list[Row]:
    """Return every setting with its variable, its default as text, and one line of help."""
    return [
        Row(PREFIX + name.upper(), FALLBACKS.get(name), _default(field), field.description or "")
        for name, field in sorted(Settings.model_fields.items(), key=lambda one: one[0] in RerankSettings.model_fields)
    ]


def load_settings(given: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings: `given` (keys with or without IMGSEARCH_), then the environment, then `.env` here.

    IMGSEARCH_…_FILE names a file that holds the value. `environ`: read this instead of the environment and `.env`.
    Empty values count as not set.
    Raises one SettingsError that lists everything that is wrong, with the cure of each.
    """
    found: dict[str, str] = {}
    for source in reversed(_sources(environ)):
        for name in Settings.model_fields:
            if value := _value(source, name):
                found[name] = value
    for key, own in (given or {}).items():
        found[key.removeprefix(PREFIX).lower()] = str(own)
    found = {name: text for name, text in found.items() if text}
    try:
        settings = Settings.model_validate(found)
    except ValidationError as error:
        raise _complaint(error) from error
    settings._given = found  # noqa: SLF001 - its own module
    return settings


@cache
def process_settings() -> Settings:
    """Return the settings of this process, read once: for what has no app or caller to get them from."""
    return load_settings()


def _value(source: Mapping[str, str | None], name: str) -> str | None:
    """Return what a source says of a setting: the value, else what the file that …_FILE names holds.

    Raises SettingsError.
    """
    for variable in (PREFIX + name.upper(), FALLBACKS.get(name, "")):
        if value := source.get(variable):
            return value
        if variable and (path := source.get(variable + FILE)):
            return setting_file.read(Path(path).expanduser(), f"{variable}{FILE} is {path!r}, which").strip()
    return None


def _sources(environ: Mapping[str, str] | None) -> list[Mapping[str, str | None]]:
    if environ is not None:
        return [environ]
    return [os.environ, setting_file.dotenv()]


def _default(field: FieldInfo) -> str:
    default = field.default
    if isinstance(default, tuple):
        return ":".join(map(str, default))
    if field.default_factory is not None or not isinstance(default, str | int | float):
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default)


def _complaint(error: ValidationError) -> SettingsError:
    # A default that could not be made because another setting is wrong is no fault of its own.
    problems = [_problem(one) for one in error.errors() if one["type"] != "default_factory_not_called"]
    if len(problems) == 1:
        return SettingsError(problems[0])
    return SettingsError("\n  ".join([f"{len(problems)} settings are wrong:", *problems]))


def _problem(error: ErrorDetails) -> str:
    name = str(error["loc"][0])
    variable = PREFIX + name.upper()
    if error["type"] == "extra_forbidden":
        return f"There is no setting {variable}; `imgsearch --help` lists them all."
    rules = {getattr(rule, "func", None) for rule in Settings.model_fields[name].metadata}
    of = next((text for rule, text in ADDRESSES.items() if rule in rules), "")
    shown = f"no address of {of}" if of else repr(error["input"])  # an address may hold a password
    return f"{variable} is {shown}; {_cure(Settings.model_fields[name], error)}."


def _cure(field: FieldInfo, error: ErrorDetails) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    limits = [getattr(rule, side) for side in ("ge", "le") for rule in field.metadata if hasattr(rule, side)]
    if limits:
        kind = "a whole number" if field.annotation is int else "a number"
        return f"set it to {kind} from {limits[0]:g} to {limits[1]:g}"
    message = error["msg"]
    return message[0].lower() + message[1:]
