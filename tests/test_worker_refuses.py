"""A worker that must not write does not start: a broken model folder, a model of another space, a database behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from imgsearch_workers.process import celery_consumer

from imgsearch import db
from imgsearch.dev.testing import FAKE, FakeEncoder
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space, ensure
from tests.conftest import behind
from tests.processes import WorkerProcess, eventually

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "imgsearch/dev/demo/model"


def start(environment: dict[str, str], **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "imgsearch", "worker", "--queue", "both"]
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


@pytest.mark.slow
def test_a_model_of_another_space(environment: dict[str, str], space: Space) -> None:
    done = start(environment, IMGSEARCH_MODEL="demo")
    assert done.returncode == 5
    assert f"IMGSEARCH_MODEL={FAKE}" in done.stderr, "the cure names the model of the active space"


def test_a_database_that_is_behind(environment: dict[str, str], settings: Settings) -> None:
    behind(settings)
    done = start(environment)
    assert done.returncode == 5
    assert "imgsearch db upgrade" in done.stderr


@pytest.mark.parametrize("queue", ["images", "queries"])
def test_celerys_own_command_becomes_the_same_worker(
    environment: dict[str, str], settings: Settings, queue: str
) -> None:
    """There is one way to run a worker: Celery's command line ends up in it, for the queues that -Q names."""
    command = [sys.executable, "-m", "celery", "-A", "imgsearch_workers.app", "worker", "-Q", f"imgsearch.{queue}"]
    with db.connect(settings, autocommit=True) as connection:
        ensure(connection, FakeEncoder().describe())
        process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            seen = "SELECT queue, pid FROM imgsearch.worker"
            eventually(lambda: connection.execute(seen).fetchall() == [(queue, process.pid)], what="the worker")
            arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
            assert arguments[1:5] == [b"-m", b"imgsearch_workers", b"--queue", queue.encode()]
        finally:
            process.terminate()
            assert process.wait(120) == 0


@pytest.mark.parametrize(
    ("model", "reason"),
    [("nobody.has_this:Encoder", "nobody"), ("json:loads", "TypeError"), ("collections:Counter", "it lacks size")],
)
def test_an_encoder_of_ones_own_that_is_none(environment: dict[str, str], model: str, reason: str) -> None:
    done = start(environment, IMGSEARCH_MODEL=model)
    assert done.returncode == 5
    assert model in done.stderr
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_the_database_does_not_choose_what_a_worker_imports(environment: dict[str, str], space: Space) -> None:
    done = start(environment, IMGSEARCH_MODEL="")
    assert done.returncode == 5
    assert f"IMGSEARCH_MODEL={FAKE}" in done.stderr, "the space was made by an encoder that only the setting may name"


def test_a_broker_that_is_away_is_said_once_and_used_when_it_is_back(
    settings: Settings, environment: dict[str, str], tmp_path: Path, space: Space, home: Path
) -> None:
    """Polling goes on, and the worker works: whoever reads the log should not think otherwise."""
    log, socket = tmp_path / "worker.log", home / "away.sock"
    away = environment | {"IMGSEARCH_REDIS_URL": f"redis+socket://{socket}"}
    with WorkerProcess(settings, away, log, "queries") as worker:
        eventually(lambda: "no wake-up messages" in log.read_text(), what="the warning")
        time.sleep(1.5 * celery_consumer.AGAIN_SECONDS)  # it has tried again meanwhile
        assert worker.process.poll() is None
        lines = [line for line in log.read_text().splitlines() if "INFO" not in line]
        assert len(lines) == 1, lines
        assert "IMGSEARCH_REDIS_URL" in lines[0]
        socket.symlink_to(settings.redis_url.removeprefix("redis+socket://"))
        eventually(lambda: "the broker is back" in log.read_text(), 20, "the broker back")
    socket.unlink()
