"""A supervisor keeps its processes running, says what it does, and leaves none behind, however it ends itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from imgsearch.dev.embedded import processes
from imgsearch.dev.embedded.detached import is_running, start_detached, stop_detached
from imgsearch.dev.embedded.processes import Backoff, Supervisor
from imgsearch.errors import EmbeddedError

ROOT = Path(__file__).parents[1]
FOREVER = ["sleep", "600"]
STUBBORN = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"]
PARENT = ["sh", "-c", "sleep 601 & sleep 602 & wait"]

# A supervisor as `imgsearch up` has one, over the home and the commands given as `name=shell line`.
UP = """
import pathlib, sys
from imgsearch.dev.embedded.processes import Backoff, Supervisor
commands = {name: ["sh", "-c", line] for name, line in (word.split("=", 1) for word in sys.argv[2:])}
with Supervisor(pathlib.Path(sys.argv[1]), commands, backoff=Backoff(first=0.01, tries=3)) as supervisor:
    sys.exit(0 if supervisor.wait() else 1)
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    for number in pids(tmp_path):
        psutil.Process(number).kill()


def up(home: Path, **lines: str) -> list[str]:
    return [sys.executable, "-c", UP, str(home), *(f"{name}={line}" for name, line in lines.items())]


def until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def command(number: int) -> list[str]:
    """Return the command of a process; nothing of one that is gone, or only waits to be buried."""
    try:
        return psutil.Process(number).cmdline()
    except psutil.Error:
        return []


def pids(folder: Path) -> set[int]:
    """Every live process, this one apart, with a file open below `folder`: whoever a supervisor there started has."""
    found = set()
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and any(file.path.startswith(str(folder)) for file in process.open_files()):
                found.add(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def run(home: Path, commands: Mapping[str, list[str]], **options: object) -> tuple[Supervisor, list[str]]:
    said: list[str] = []
    return Supervisor(home, commands, say=said.append, **options), said  # type: ignore[arg-type]


def test_commands_run_with_a_log_each_and_stop_leaves_none_of_them_nor_of_their_children(home: Path) -> None:
    lines = {"talker": ["sh", "-c", 'echo "hello $WHO"; exec sleep 600'], "parent": PARENT}
    supervisor, said = run(home, lines, environ={"WHO": "world"})
    with supervisor:
        until(lambda: (home / "log" / "talker.log").read_text() == "hello world\n")
        until(lambda: len(pids(home)) == 4)
        assert is_running(home)
    until(lambda: pids(home) == set())
    assert not is_running(home)
    assert said == []


def test_what_dies_is_started_again_later_each_time_and_given_up_in_the_end(home: Path) -> None:
    backoff = Backoff(first=0.05, longest=0.1, tries=3)
    supervisor, said = run(home, {"worker": ["sh", "-c", "echo started; exit 7"]}, backoff=backoff)
    with supervisor:
        assert supervisor.wait() is False
    log = home / "log" / "worker.log"
    assert said == [
        f"worker ended with status 7; starting it again in 0.05 s, see {log}",
        f"worker ended with status 7; starting it again in 0.1 s, see {log}",
        f"worker ended with status 7; starting it again in 0.1 s, see {log}",
        f"worker ended with status 7, 4 times in a row; giving it up, see {log}",
    ]
    assert log.read_text() == "started\n" * 4


def test_a_process_that_lived_long_enough_begins_a_new_row(home: Path) -> None:
    backoff = Backoff(first=0.01, tries=1, settled=0.0)
    # Ends by itself in time: the fifth run asks the supervisor, which is this process, to end.
    line = f"echo x; [ $(grep -c x {home}/log/worker.log) -lt 5 ] || kill -TERM {os.getpid()}"
    supervisor, said = run(home, {"worker": ["sh", "-c", line]}, backoff=backoff)
    with supervisor:
        assert supervisor.wait() is True
    assert not [words for words in said if "giving it up" in words]


def test_one_that_is_killed_comes_back_and_its_orphans_do_not_stay(home: Path) -> None:
    command = up(home, worker="sleep 601 & exec sleep 602", other="exec sleep 603")
    supervisor = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        until(lambda: len(pids(home)) == 4)  # the supervisor, two commands, and the child of one
        before = pids(home)
        (worker,) = (number for number in before if psutil.Process(number).cmdline() == ["sleep", "602"])
        os.kill(worker, signal.SIGKILL)
        until(lambda: worker not in pids(home) and len(pids(home)) == 4)
        assert len(before & pids(home)) == 2  # the supervisor and the other; the child went with its parent
    finally:
        supervisor.terminate()
        said, _ = supervisor.communicate(timeout=120)
    assert said.startswith("worker was killed by SIGKILL; starting it again in 0.01 s")
    assert supervisor.returncode == 0


def test_what_will_not_end_is_killed_when_its_time_is_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes._GRACE_SECONDS == 15
    monkeypatch.setattr(processes, "_GRACE_SECONDS", 0.3)
    supervisor, said = run(home, {"stubborn": STUBBORN, "good": FOREVER})
    with supervisor:
        until(lambda: "ready" in (home / "log" / "stubborn.log").read_text())
    assert said == ["stubborn did not end; killing it"]
    until(lambda: pids(home) == set())  # killed is killed, though the kernel may take a moment


def test_ctrl_c_once_ends_everything_in_order_and_a_second_one_at_once(home: Path) -> None:
    tidy = "trap 'sleep 0.5; echo tidied up; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    supervisor = subprocess.Popen(up(home, worker=tidy), cwd=ROOT)
    log = home / "log" / "worker.log"
    until(lambda: log.exists() and "ready" in log.read_text())
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(120) == 0
    assert log.read_text() == "ready\ntidied up\n"
    until(lambda: pids(home) == set())

    supervisor = subprocess.Popen(up(home, worker=STUBBORN[2]), cwd=ROOT)
    until(lambda: log.read_text().count("ready") == 2)
    began = time.monotonic()
    supervisor.send_signal(signal.SIGINT)
    time.sleep(0.3)
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(120) == 0
    assert time.monotonic() - began < 10
    until(lambda: pids(home) == set())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child's life to its parent's")
def test_a_supervisor_killed_with_9_takes_its_processes_along(home: Path) -> None:
    supervisor = subprocess.Popen(up(home, worker="exec sleep 601", stubborn=STUBBORN[2]), cwd=ROOT)
    log = home / "log" / "stubborn.log"
    until(lambda: log.exists() and "ready" in log.read_text() and is_running(home))
    supervisor.kill()
    supervisor.wait()
    until(lambda: not {number for number in pids(home) if command(number)[:2] not in ([], ["sleep", "0.1"])})
    assert not is_running(home)  # the file with its number is still there
    with run(home, {"worker": FOREVER})[0]:
        assert is_running(home)


def test_there_is_one_supervisor_per_home_and_a_program_must_exist(home: Path) -> None:
    with run(home, {"worker": FOREVER})[0], pytest.raises(EmbeddedError, match=rf"already up .*{os.getpid()}"):
        run(home, {"worker": FOREVER})[0].start()
    with pytest.raises(EmbeddedError, match="page cannot be started"):
        run(home, {"worker": FOREVER, "page": [str(home / "absent")]})[0].start()
    until(lambda: pids(home) == set())
    assert not is_running(home)


def test_a_detached_supervisor_outlives_its_starter_until_it_is_stopped(home: Path) -> None:
    script = (
        "import pathlib, sys; from imgsearch.dev.embedded.detached import start_detached; "
        "print(start_detached(pathlib.Path(sys.argv[1]), sys.argv[2:]))"
    )
    line = "trap 'echo tidied up; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    starter = [sys.executable, "-W", "error", "-c", script, str(home), *up(home, worker=line)]
    done = subprocess.run(starter, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert is_running(home)
    number = int(done.stdout)
    assert os.getsid(number) == number  # no terminal's Ctrl-C reaches it
    assert start_detached(home, ["false"]) == number  # already up: left as it is
    log = home / "log" / "worker.log"
    until(lambda: log.exists() and "ready" in log.read_text())
    assert stop_detached(home)
    assert log.read_text() == "ready\ntidied up\n"
    until(lambda: pids(home) == set())
    assert not is_running(home)
    assert not stop_detached(home)


def test_a_detached_supervisor_that_cannot_begin_says_why(home: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"ended at once.*(\n.*)*no such model"):
        start_detached(home, ["sh", "-c", "echo no such model; exit 2"])
    with pytest.raises(EmbeddedError, match=r"did not start within 0.3 s"):
        start_detached(home, FOREVER, seconds=0.3)
    until(lambda: pids(home) == set())
