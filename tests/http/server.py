"""`imgsearch serve` as a process, for tests that want the whole of it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Served:
    """Where it listens, and its process."""

    url: str
    pid: int


@contextmanager
def serving(environment: Mapping[str, str], *options: str, **more: str) -> Iterator[Served]:
    """Serve on a free port of loopback, with further `options`, and `more` in the environment."""
    command = [sys.executable, "-m", "imgsearch.flask", "--bind", "127.0.0.1:0", *options]
    served = {**environment, **more, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=served, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        try:
            assert found is not None
            yield Served(url=found[0], pid=process.pid)
        finally:
            process.terminate()
