"""Times taken in turn, so that what else the machine does weighs on all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

TRIES = 3


def fastest(runs: Sequence[Callable[[], object]], clocks: Sequence[Callable[[], float]] | None = None) -> list[float]:
    """Return the fastest of some tries of each in ms, taken in turn. clocks: in seconds; None: the wall's."""
    best = [float("inf")] * len(runs)
    for _ in range(TRIES):
        for number, run in enumerate(runs):
            clock = clocks[number] if clocks is not None else time.perf_counter
            began = clock()
            run()
            best[number] = min(best[number], (clock() - began) * 1000)
    return best
