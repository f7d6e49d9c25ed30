"""openapi-python-client in an environment of its own under .cache/, made once and again when its pins change."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

PINS = Path(__file__).with_name("generator.txt")
CACHE = Path(__file__).parents[2] / ".cache"
_NO_REGISTRY = ("Retrying", "Failed to establish", "Temporary failure", "timed out", "Network is unreachable")


def python() -> Path:
    """Return the interpreter of that environment. Skips the test where no registry can be reached."""
    home = CACHE / f"generator-{sha256(PINS.read_bytes()).hexdigest()[:12]}"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "generator.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            _make(home)
            (home / "complete").touch()
    return home / "bin" / "python"


def _make(home: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", home], check=True)
    pip = [sys.executable, "-m", "pip", "--python", home / "bin" / "python", "--disable-pip-version-check"]
    wanted = ["install", "--quiet", "--retries", "1", "--no-deps", "--requirement", PINS]
    done = subprocess.run([*pip, *wanted], capture_output=True, text=True, check=False)
    if done.returncode and any(said in done.stderr for said in _NO_REGISTRY):
        pytest.skip(f"NOT TESTED, because the package registry cannot be reached: {done.stderr[-500:]}")
    assert done.returncode == 0, done.stderr


def generate(document: dict[str, Any], folder: Path) -> str:
    """Write the package `generated_client` into `folder`; return what the generator said."""
    (folder / "openapi.json").write_text(json.dumps(document))
    overrides = 'content_type_overrides: {"application/x-ndjson": "application/octet-stream"}'
    (folder / "generator.yml").write_text(f"post_hooks: []\n{overrides}\n")
    command = [python(), "-m", "openapi_python_client", "generate", "--meta", "none"]
    files = ["--path", "openapi.json", "--config", "generator.yml", "--output-path", "generated_client"]
    done = subprocess.run([*command, *files], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
