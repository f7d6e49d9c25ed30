"""Can the tests be trusted? Run them again and again, some runs beside a process that keeps every core busy.

    python -m tests.trust [--runs 10] [--busy 3] [-- arguments of pytest]

Prints one line per run and leaves with 1 when a run was not green; what pytest said is kept in a file per run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTEST = ["-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", "-p", "no:cacheprovider"]
HEAD = f"{'run':>3}  {'beside load':>11}  {'passed':>6}  {'failed':>6}  {'seconds':>7}  log"


def spin() -> None:
    """Keep one core busy until killed."""
    while True:
        pass


@contextmanager
def load(busy: bool) -> Iterator[None]:
    """Keep every core busy around a block."""
    context = multiprocessing.get_context("spawn")
    spinning = [context.Process(target=spin, daemon=True) for _ in range(os.cpu_count() or 1 if busy else 0)]
    for process in spinning:
        process.start()
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.join()


def counted(said: str, what: str) -> int:
    """Return how many tests pytest's last line says ended like this."""
    last = next((line for line in reversed(said.splitlines()) if re.search(r" in [\d.]+s", line)), "")
    found = re.search(rf"(\d+) {what}", last)
    return int(found[1]) if found else 0


def run(number: int, busy: bool, folder: Path, arguments: list[str]) -> bool:
    """Run the tests once and print its line; return whether all was green."""
    log = folder / f"run-{number}.txt"
    began = time.monotonic()
    with load(busy), log.open("w") as output:
        done = subprocess.run(
            [sys.executable, *PYTEST, *arguments], cwd=ROOT, stdout=output, stderr=output, check=False
        )
    said = log.read_text()
    failed = counted(said, "failed") + counted(said, "errors?")
    took = time.monotonic() - began
    shown = (
        f"{number:>3}  {'yes' if busy else 'no':>11}  {counted(said, 'passed'):>6}  {failed:>6}  {took:>7.0f}  {log}"
    )
    print(shown, flush=True)
    return done.returncode == 0


def main() -> None:
    """Print the table; leave with 1 when a run was not green."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="how often (10)")
    parser.add_argument("--busy", type=int, default=3, help="how many of them, the last, beside a load (3)")
    parser.add_argument("pytest", nargs="*", help="what to run, and arguments of pytest after --")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="imgsearch-trust-"))
    print(HEAD, flush=True)
    green = [run(n, n > given.runs - given.busy, folder, given.pytest) for n in range(1, given.runs + 1)]
    print(f"{sum(green)} of {len(green)} runs green")
    sys.exit(0 if all(green) else 1)


if __name__ == "__main__":
    main()
