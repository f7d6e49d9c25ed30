"""How `imgsearch up` keeps its worker, query worker, beat and page running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any

from imgsearch.dev.embedded.detached import take
from imgsearch.dev.embedded.place import log_file
from imgsearch.errors import EmbeddedError

# A worker finishes its batch in less than 10 s once asked to end.
_GRACE_SECONDS = 15.0
_TICK = 0.05
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _say(line: str) -> None:
    print(line, flush=True)


@dataclass(frozen=True)
class Backoff:
    """How to start again what died: after `first` seconds, then twice as long each time, `longest` at most.

    After `tries` deaths in a row it is given up; a process that lived for `settled` seconds begins a new row.
    """

    first: float = 0.5
    longest: float = 30.0
    tries: int = 10
    settled: float = 60.0

    def delay(self, deaths: int) -> float:
        """Return the seconds to wait before a restart, after this many deaths in a row."""
        return min(self.first * 2.0 ** (deaths - 1), self.longest)


@dataclass
class _Child:
    name: str
    argv: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    due: float | None = 0.0  # when to start it; None: it runs, or it was given up


@dataclass
class Supervisor:
    """Run named commands until told to end; start again what dies.

    Use it from one thread (Linux ties a child's life to the thread that started it), best as a context manager:
    `with Supervisor(home, {"worker": [...]}) as supervisor: supervisor.wait()`. Only one runs per home.
    Ctrl-C or SIGTERM, once, ends everything in order; a second one kills. On Linux the children die with a supervisor
    that is killed -9; elsewhere they stay and must be ended by hand.

    commands: name -> argument list; each writes to `home/log/<name>.log`. environ: added to this process's own.
    say: takes one plain line per event.
    """

    home: Path
    commands: Mapping[str, Sequence[str]]
    environ: Mapping[str, str] = field(default_factory=dict)
    say: Callable[[str], None] = _say
    backoff: Backoff = field(default_factory=Backoff)
    _children: list[_Child] = field(default_factory=list, init=False)
    _hold: IO[str] | None = field(default=None, init=False)
    _asked: int = field(default=0, init=False)
    _handlers: dict[int, Any] = field(default_factory=dict, init=False)

    def __enter__(self) -> Supervisor:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start every command. Raises EmbeddedError when this home has a supervisor, or a program does not exist."""
        self._hold = take(self.home)
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._ask) for number in _SIGNALS}
        self._children = [_Child(name, argv) for name, argv in self.commands.items()]
        for child in self._children:
            try:
                self._spawn(child)
            except OSError as error:
                self.stop()
                raise EmbeddedError(
                    f"{child.name} cannot be started ({error}); is the imgsearch installation complete?"
                ) from error

    def wait(self) -> bool:
        """Tend the commands until a signal asks to end, then stop them; False: all of them were given up before."""
        while not self._asked and any(child.process or child.due is not None for child in self._children):
            time.sleep(_TICK)
            for child in self._children:
                self._tend(child)
        asked = self._asked > 0
        self.stop()
        return asked

    def stop(self) -> None:
        """Ask every process to end, wait for up to 15 s, kill the rest and whatever they left behind."""
        living = [child for child in self._children if child.process is not None]
        for child in living:
            _signal(child, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        while self._asked < 2 and time.monotonic() < deadline and any(_lives(child) for child in living):
            time.sleep(_TICK)
        for child in living:
            if _lives(child):
                self.say(f"{child.name} did not end; killing it")
            _sweep(child)
        self._children = []
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
        if self._hold is not None:
            self._hold.close()  # which lets go of the lock
            self._hold = None

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked += 1

    def _spawn(self, child: _Child) -> None:
        with log_file(self.home, child.name).open("ab") as log:
            child.process = subprocess.Popen(
                list(child.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.environ},
                # A session of its own: Ctrl-C in the terminal reaches the supervisor alone, which ends all in order.
                start_new_session=True,
                preexec_fn=_tie(os.getpid()),
            )
        child.started, child.due = time.monotonic(), None

    def _tend(self, child: _Child) -> None:
        now = time.monotonic()
        if child.process is not None:
            status = child.process.poll()
            if status is None:
                return
            _sweep(child)
            child.deaths = 1 if now - child.started > self.backoff.settled else child.deaths + 1
            self._put_off(child, _ending(status))
        elif child.due is not None and now >= child.due:
            try:
                self._spawn(child)
            except OSError as error:
                child.deaths += 1
                self._put_off(child, f"cannot be started ({error})")

    def _put_off(self, child: _Child, what: str) -> None:
        log = self.home / "log" / f"{child.name}.log"
        if child.deaths > self.backoff.tries:
            child.due = None
            self.say(f"{child.name} {what}, {child.deaths} times in a row; giving it up, see {log}")
            return
        delay = self.backoff.delay(child.deaths)
        child.due = time.monotonic() + delay
        self.say(f"{child.name} {what}; starting it again in {delay:g} s, see {log}")


def _tie(parent: int) -> Callable[[], None] | None:
    """Return what a child does before it becomes its program: ask Linux to kill it when its parent dies.

    SIGKILL, because nobody would be left to insist; leases bring back what a worker had claimed.
    """
    if sys.platform != "linux":
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    set_death_signal = 1

    def tie() -> None:
        prctl(set_death_signal, int(signal.SIGKILL))
        if os.getppid() != parent:  # died between the fork and here
            os._exit(1)

    return tie


def _lives(child: _Child) -> bool:
    return child.process is not None and child.process.poll() is None


def _signal(child: _Child, number: signal.Signals) -> None:
    if child.process is not None:
        child.process.send_signal(number)  # the one process: its own children are its to end


def _sweep(child: _Child) -> None:
    """Kill what is left of a child and of its session, such as decode processes whose worker is dead."""
    if child.process is None:
        return
    try:
        os.killpg(child.process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    except PermissionError:  # macOS says so of a group that holds only zombies
        pass
    child.process.wait()
    child.process = None


def _ending(status: int) -> str:
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
