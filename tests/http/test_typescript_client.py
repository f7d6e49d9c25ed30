"""What openapi-typescript makes of the document compiles strictly; a program of it searches, changes and deletes."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from imgsearch.http import openapi
from tests.http.server import serving

pytestmark = pytest.mark.slow  # all of them together

HERE = Path(__file__).with_name("typescript")
CACHE = Path(__file__).parents[2] / ".cache"
_NO_REGISTRY = ("ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT", "ENETUNREACH")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The program beside its packages: those are installed once, and again when their pins change."""
    if shutil.which("npm") is None:
        pytest.skip("NOT TESTED, because there is no npm: install Node 20 or newer.")
    pins = (HERE / "package-lock.json").read_bytes()
    home = CACHE / f"typescript-{sha256(pins).hexdigest()[:12]}"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "typescript.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, home)
            done = run(home, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            if done.returncode and any(said in done.stderr for said in _NO_REGISTRY):
                pytest.skip(f"NOT TESTED, because the package registry cannot be reached: {done.stderr[-500:]}")
            assert done.returncode == 0, done.stderr
            (home / "complete").touch()
    for one in HERE.iterdir():
        if one.is_file():
            shutil.copy(one, tmp_path)
    (tmp_path / "node_modules").symlink_to(home / "node_modules")
    return tmp_path


def run(where: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)


def test_a_generated_client_compiles_and_does_what_shops_do(
    environment: dict[str, str], shop: list[int], key_of: Callable[..., str], project: Path
) -> None:
    (project / "openapi.json").write_text(json.dumps(openapi.document()))
    tools = project / "node_modules" / ".bin"
    made = run(project, str(tools / "openapi-typescript"), "openapi.json", "--output", "api.d.ts")
    assert made.returncode == 0, made.stdout + made.stderr
    compiled = run(project, str(tools / "tsc"), "--project", ".")
    assert compiled.returncode == 0, compiled.stdout
    with serving(environment, IMGSEARCH_HTTP_KEYS="required") as served:
        done = run(project, "node", "smoke.js", served.url, key_of("acme", "write"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "rows": 2,
        "others": True,
        "categories": ["bags", "shoes"],
        "bands": [0, 50],
        "image_rows": 1,
        "choices": ["blue", "red"],
        "changed": 1,
        "in_stock": False,
        "price": 12.5,
        "outcomes": ["added", "changed", "missing"],
        "pending": ["new"],
        "removed": 204,
        "problem": [400, "bad_request"],
    }


def test_what_does_not_fit_the_document_does_not_compile(project: Path) -> None:
    """Or the test above would say nothing."""
    (project / "openapi.json").write_text(json.dumps(openapi.document()))
    tools = project / "node_modules" / ".bin"
    assert run(project, str(tools / "openapi-typescript"), "openapi.json", "--output", "api.d.ts").returncode == 0
    smoke = project / "smoke.ts"
    written = smoke.read_text()
    wrongs = {
        'per: "product"': 'per: "shop"',
        "page.rows.length": "page.rows.size",
        'action: "delete"': 'action: "forget"',
        "price: 12.5": 'price: "12.5"',
    }
    for right, wrong in wrongs.items():
        assert right in written
        written = written.replace(right, wrong)
    smoke.write_text(written)
    said = run(project, str(tools / "tsc"), "--noEmit", "--project", ".").stdout
    faults = {line for line in said.splitlines() if line.startswith("smoke.ts(")}
    assert len(faults) >= len(wrongs), said
