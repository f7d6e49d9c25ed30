"""A worker that must not write does not start: a broken model folder, a model of another space, a database behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from imgsearch import db
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.conftest import behind

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "imgsearch/dev/demo/model"


def start(environment: dict[str, str], **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "imgsearch", "worker", "--lane", "both"]
    return subprocess.run(
        command, env=environment | environ, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_model_folder_that_is_not_there(environment: dict[str, str]) -> None:
    done = start(environment, IMGSEARCH_MODEL="/nowhere/at/all")
    assert done.returncode == 5
    assert "IMGSEARCH_MODEL" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_folder_that_is_broken(environment: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(DEMO, folder)
    weights = folder / "model.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:1000])
    done = start(environment, IMGSEARCH_MODEL=str(folder))
    assert done.returncode == 5
    assert str(folder) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_of_another_space(environment: dict[str, str], space: Space) -> None:
    done = start(environment, IMGSEARCH_MODEL="demo")
    assert done.returncode == 5
    assert "IMGSEARCH_MODEL=fake" in done.stderr, "the cure names the model of the active space"


def test_a_database_that_is_behind(environment: dict[str, str], settings: Settings) -> None:
    behind(settings)
    done = start(environment)
    assert done.returncode == 5
    assert "imgsearch db upgrade" in done.stderr


@pytest.mark.parametrize("lane", ["images", "queries"])
def test_celerys_own_command_starts_a_station_too(environment: dict[str, str], settings: Settings, lane: str) -> None:
    """People who run Celery by its own command line get the lanes their queues name."""
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "imgsearch_workers.process.app",
        "worker",
        "--pool=solo",
        "-Q",
        f"imgsearch.{lane}",
    ]
    from imgsearch.dev.testing import FakeEncoder
    from imgsearch.spaces.space import ensure
    from tests.processes import eventually

    with db.connect(settings, autocommit=True) as connection:
        ensure(connection, FakeEncoder().describe())
        process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            eventually(
                lambda: connection.execute("SELECT lane FROM imgsearch.worker").fetchall() == [(lane,)], 40, "the lane"
            )
        finally:
            process.terminate()
            assert process.wait(20) == 0
