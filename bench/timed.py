"""Times taken in turn, so that what else the machine does weighs on all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

TRIES = 3


def fastest(runs: Sequence[Callable[[], object]]) -> list[float]:
    """Return the fastest of some tries of each in ms, taken in turn."""
    best = [float("inf")] * len(runs)
    for _ in range(TRIES):
        for number, run in enumerate(runs):
            began = time.perf_counter()
            run()
            best[number] = min(best[number], (time.perf_counter() - began) * 1000)
    return best
