"""The README's Django section is a project that runs, on a database that `imgsearch db upgrade` made before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg

from imgsearch.settings import Settings
from tests.django.filling import photo
from tests.processes import WorkerProcess
from tests.test_readme import ROOT, blocks

SETTINGS = """
from psycopg.conninfo import conninfo_to_dict
found = conninfo_to_dict({url!r})
SECRET_KEY, USE_TZ, DEFAULT_AUTO_FIELD = "readme", True, "django.db.models.BigAutoField"
DATABASES = {{"default": {{"ENGINE": "django.db.backends.postgresql", "NAME": found["dbname"], "USER": found["user"],
    "HOST": found["host"], "PORT": found.get("port", "")}}}}
{readme}
INSTALLED_APPS = ["django.contrib.contenttypes", *INSTALLED_APPS[1:], "shop"]
IMGSEARCH["STORAGE_URL"] = {store!r}
MEDIA_ROOT = "media"
"""
BEFORE = """
import sys, time, django
django.setup()
from pathlib import Path
from django.core.files.base import ContentFile
from imgsearch.django.models import Status
from shop.models import Product
def drawn(name):
    return ContentFile(Path(f"drawn/{name}.jpg").read_bytes(), name="p.jpg")
for n in range(45):
    Product.objects.create(store="acme", category="shoes", price=n + 1, photo=drawn(n))
while Status.objects.get().ready < 45:
    time.sleep(0.05)
photo = drawn(45)
"""


def test_every_django_block_runs(
    connection: psycopg.Connection[Any], settings: Settings, worker: WorkerProcess, tmp_path: Path
) -> None:
    configured, models, used = blocks("py")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").touch()
    (tmp_path / "shop/models.py").write_text(models)
    (tmp_path / "drawn").mkdir()
    for n in range(46):
        (tmp_path / f"drawn/{n}.jpg").write_bytes(photo(200, 5 * n, 30))
    (tmp_path / "settings.py").write_text(
        SETTINGS.format(url=settings.database_url, readme=configured, store=settings.storage_url)
    )
    environment = {"PATH": "/usr/bin:/bin", "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": f"{tmp_path}:{ROOT}"}

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    run("-m", "django", "migrate", "--run-syncdb", "--verbosity", "0")
    assert "no issues" in run("-m", "django", "check", "--database", "default")
    said = run("-c", BEFORE + used).splitlines()
    assert len(said) == 11
    assert said[-1] in {"10 10 10 45", "10 10 10 46"}, "the last product may still wait"
    assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []
