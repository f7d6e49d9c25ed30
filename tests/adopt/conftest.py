"""How long each step of a story takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TIMES: list[tuple[str, float]] = []


@contextmanager
def step(name: str) -> Iterator[None]:
    """Note how long a step of the story takes."""
    began = time.perf_counter()
    yield
    TIMES.append((name, time.perf_counter() - began))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if TIMES:
        terminalreporter.section("step by step")
        for name, seconds in TIMES:
            terminalreporter.write_line(f"{seconds:8.2f} s  {name}")
