"""The worker's end of the children that run the steps of second looks: start, ask, kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import imgsearch
from imgsearch.settings import FALLBACKS, FILE, PREFIX
from imgsearch_workers.looking import frames

START_SECONDS = 180.0  # a model may have to be fetched and loaded
_ROOTS = [Path(__file__).resolve().parents[2], Path(imgsearch.__file__).resolve().parents[1]]
Serve = Callable[[Mapping[str, Any], bytes], bytes]


class RefusedError(Exception):
    """The step could not be made, or raised something: its words."""


class Helper:
    """One child for one kind of step. Use it from one long-lived thread: the child dies with that."""

    module = "imgsearch_workers.looking.child"

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._ready, self._began = False, 0.0

    def begin(self) -> None:
        """Start the child where there is none; returns at once."""
        if self.is_alive():
            return
        self.kill()
        argument = json.dumps({**self._options, "parent": os.getpid()})
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", self.module, argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for the worker
        )
        self._to, self._from = _fd(self._process.stdin), _fd(self._process.stdout)
        self._ready, self._began = False, time.monotonic()

    def is_ready(self, deadline: float) -> bool:
        """Return whether the child is ready by then; one that is being made is left at it, for the next look.

        Raises RefusedError where the step cannot be made.
        """
        self.begin()
        if self._ready:
            return True
        try:
            said, _ = frames.receive(self._from, deadline)
        except TimeoutError:
            if time.monotonic() - self._began > START_SECONDS:
                self.kill()
            return False
        except frames.EndedError as error:
            self.kill()
            raise RefusedError(f"its process {error}") from error
        if "failed" in said:
            self.kill()
            raise RefusedError(str(said["failed"])[:300])
        self._ready = True
        return True

    def run(self, asked: dict[str, Any], blob: bytes, serve: Serve, deadline: float) -> dict[str, Any]:
        """Return what the step says. Raises RefusedError; TimeoutError when it had to be killed for its time."""
        assert self._process is not None
        try:
            frames.send(self._to, frames.packed(asked, blob), deadline)
            while True:
                said, data = frames.receive(self._from, deadline)
                if "want" not in said:
                    break
                frames.send(self._to, serve(said, data), deadline)
        except TimeoutError:
            self.kill()
            raise
        except frames.EndedError as error:
            code = self._process.poll()
            self.kill()
            raise RefusedError(f"its process {error}" + (f" with {code}" if code else "")) from error
        if "failed" in said:
            raise RefusedError(str(said["failed"])[:300])
        done = said.get("done")
        if not isinstance(done, dict):
            self.kill()
            raise RefusedError("an answer that makes no sense")
        return done

    def is_alive(self) -> bool:
        """Return whether the child is there, also while it is being made."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End the child now and leave nothing of it behind."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for end in (self._process.stdin, self._process.stdout):
            if end:
                end.close()
        self._process = None


def _environment() -> dict[str, str]:
    """Return our environment without what only a worker needs: no address of a database, a broker or a store."""
    own = {*FALLBACKS.values(), *(name + FILE for name in FALLBACKS.values())}
    kept = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX) and name not in own}
    roots = [*map(str, _ROOTS), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**kept, "PYTHONPATH": os.pathsep.join(dict.fromkeys(roots))}


def _fd(pipe: IO[bytes] | None) -> int:
    assert pipe is not None
    os.set_blocking(pipe.fileno(), False)
    return pipe.fileno()
