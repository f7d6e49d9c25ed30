"""What can be set, where it is read from, and what it means: one table.

Order of precedence: values given in code (or the framework's config) > environment > `.env` > default.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imgsearch.errors import SettingsError

DEFAULT_MODEL = "google/siglip2-base-patch16-256"


@dataclass(frozen=True)
class Setting:
    """One row of the table: `name` without prefix, the default as text, and one line of help."""

    name: str
    default: str
    help: str
    fallback: str | None = None  # an unprefixed variable that many hosts set already

    @property
    def variable(self) -> str:
        return f"IMGSEARCH_{self.name}"


SETTINGS = (
    Setting(
        "DATABASE_URL", "", "Postgres with pgvector; empty: the embedded server under IMGSEARCH_HOME", "DATABASE_URL"
    ),
    Setting("REDIS_URL", "", "Celery's broker; empty: the embedded server under IMGSEARCH_HOME", "REDIS_URL"),
    Setting(
        "MODEL", "", f"hub name or folder of a SigLIP model, or `demo`; empty: the active space's, else {DEFAULT_MODEL}"
    ),
    Setting("MODEL_REVISION", "", "revision of the model on the hub; empty: its main branch"),
    Setting("STORAGE_URL", "", "picture store: file:///…, s3://bucket/prefix, gs://…; empty: IMGSEARCH_HOME/pictures"),
    Setting("HOME", "", "where embedded servers keep their data; empty: the user's data folder"),
    Setting("QUERY_TIMEOUT", "10", "seconds to wait for a worker to embed a new query"),
    Setting(
        "LEASE_SECONDS", "15", "a claimed picture returns to the queue this long after its worker's last heartbeat"
    ),
    Setting("MAX_ATTEMPTS", "5", "a picture that failed this often is set aside in imgsearch.failures"),
    Setting("BATCH", "32", "most pictures in one forward pass"),
    Setting("DECODERS", "0", "decode processes of a worker; 0: one per core"),
    Setting("THREADS", "0", "torch threads of a worker; 0: one per core, a single one for a small model"),
    Setting("DEVICE", "auto", "where the model runs: auto, cpu, cuda, cuda:1, …"),
    Setting("FETCH_ALLOW", "", "comma-separated intranet hosts that may be fetched though their address is private"),
    Setting("FETCH_FOLDERS", "", "comma-separated folders below which workers may read pictures named file:///…"),
    Setting("HTTP_BIND", "127.0.0.1:8000", "where `imgsearch serve` listens; another address than loopback needs keys"),
    Setting("HTTP_KEYS", "auto", "`required`, or `auto`: required unless `imgsearch serve` listens on loopback"),
    Setting("HTTP_BODY", "33554432", "most bytes of one HTTP request"),
    Setting("HTTP_RATE", "100", "requests per second of one key, in bursts of twice as many; 0: no limit"),
    Setting("HTTP_CORS", "", "comma-separated origins (https://shop.example) whose pages may call the HTTP API"),
)
_NAMES = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True)
class Settings:
    """Settings read once; `get` answers text, the properties answer the right type."""

    values: Mapping[str, str]

    def get(self, name: str) -> str:
        """Answer the value of a setting, or its default.

        Raises SettingsError for a name that is not in the table.
        """
        if name not in _NAMES:
            raise SettingsError(f"There is no setting IMGSEARCH_{name}; `imgsearch --help` lists them all.")
        return self.values.get(name) or _NAMES[name].default

    def _number(self, name: str, low: float, high: float) -> float:
        text = self.get(name)
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            raise SettingsError(f"IMGSEARCH_{name} is {text!r}; set it to a number from {low:g} to {high:g}.")
        return number

    @property
    def database_url(self) -> str:
        """A libpq URL, or "" for the embedded server. SQLAlchemy and Django spellings are understood."""
        return libpq_url(self.get("DATABASE_URL"))

    @property
    def redis_url(self) -> str:
        return self.get("REDIS_URL")

    @property
    def home(self) -> Path:
        return Path(self.get("HOME") or default_home()).expanduser().absolute()

    @property
    def storage_url(self) -> str:
        return self.get("STORAGE_URL") or (self.home / "pictures").as_uri()

    @property
    def query_timeout(self) -> float:
        return self._number("QUERY_TIMEOUT", 0, 600)

    @property
    def lease_seconds(self) -> float:
        return self._number("LEASE_SECONDS", 1, 3600)

    @property
    def max_attempts(self) -> int:
        return int(self._number("MAX_ATTEMPTS", 1, 100))

    @property
    def batch(self) -> int:
        return int(self._number("BATCH", 1, 1024))

    @property
    def decoders(self) -> int:
        return int(self._number("DECODERS", 0, 256)) or os.cpu_count() or 1

    @property
    def threads(self) -> int:
        return int(self._number("THREADS", 0, 256))

    @property
    def fetch_allow(self) -> frozenset[str]:
        return self._names("FETCH_ALLOW")

    @property
    def fetch_folders(self) -> tuple[Path, ...]:
        return tuple(Path(name) for name in sorted(self._names("FETCH_FOLDERS")))

    @property
    def http_bind(self) -> tuple[str, int]:
        """Host and port; port 0 means any free one."""
        host, colon, port = self.get("HTTP_BIND").rpartition(":")
        if not host or not colon or not port.isdecimal() or int(port) > 65535:
            raise SettingsError(
                f"IMGSEARCH_HTTP_BIND is {self.get('HTTP_BIND')!r}; write host:port, as 127.0.0.1:8000."
            )
        return host.strip("[]"), int(port)

    @property
    def http_keys(self) -> Literal["auto", "required"]:
        found = self.get("HTTP_KEYS")
        if found not in {"auto", "required"}:
            raise SettingsError(f"IMGSEARCH_HTTP_KEYS is {found!r}; it is auto or required.")
        return "required" if found == "required" else "auto"

    @property
    def http_body(self) -> int:
        return int(self._number("HTTP_BODY", 1024, 2**31))

    @property
    def http_rate(self) -> float:
        return self._number("HTTP_RATE", 0, 1e6)

    @property
    def http_cors(self) -> frozenset[str]:
        return self._names("HTTP_CORS")

    def _names(self, name: str) -> frozenset[str]:
        return frozenset(one.strip() for one in self.get(name).split(",") if one.strip())


def load(given: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings: `given` (keys with or without IMGSEARCH_), then the environment, then `.env` here.

    Raises SettingsError for a misspelt IMGSEARCH_ key in `given`.
    """
    from dotenv import dotenv_values

    environ = os.environ if environ is None else environ
    layers: list[Mapping[str, str | None]] = [environ, dotenv_values(".env")]
    values: dict[str, str] = {}
    for layer in reversed(layers):
        for setting in SETTINGS:
            value = layer.get(setting.variable) or (layer.get(setting.fallback) if setting.fallback else None)
            if value:
                values[setting.name] = value
    for key, value in (given or {}).items():
        name = key.removeprefix("IMGSEARCH_")
        if name not in _NAMES:
            raise SettingsError(f"There is no setting {key}; `imgsearch --help` lists them all.")
        values[name] = str(value)
    return Settings(values)


def libpq_url(url: str) -> str:
    """Answer `url` in the spelling libpq understands (`postgresql+psycopg://` and `postgres://` are not)."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme.split("+")[0] in {"postgres", "postgresql"}:
        return f"postgresql://{rest}"
    return url


def default_home() -> str:
    """Answer the data folder of this user; root gets /var/lib, because Postgres will not run as root.

    The embedded server then runs as a system user of its own, which could not reach a folder below /root.
    """
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return "/var/lib/imgsearch"
    return str(Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "imgsearch")
