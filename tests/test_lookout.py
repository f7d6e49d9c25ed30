"""A lookout looks every so often, when it is woken, again where it failed, and no more when told."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from imgsearch_workers.pipeline.lookout import Lookout

from imgsearch.errors import UsageError
from tests.processes import eventually


class Looked:
    """Counts looks; raises at those that are named; `seen` says which were."""

    def __init__(self, *failing: int) -> None:
        self.failing, self.looks, self.seen = failing, 0, threading.Event()

    def __call__(self) -> None:
        self.looks += 1
        self.seen.set()
        if self.looks in self.failing:
            raise UsageError("This look fails.\nCure: none.")


@pytest.fixture
def started() -> Iterator[list[Lookout]]:
    lookouts: list[Lookout] = []
    yield lookouts
    for one in lookouts:
        one.stop()


def start(started: list[Lookout], look: Looked, *, seconds: float, rest: float = 0) -> Lookout:
    lookout = Lookout("test", look, seconds=seconds, rest=rest, failing="comes again")
    started.append(lookout)
    lookout.start()
    return lookout


def test_it_looks_again_and_again_until_it_is_told_to_stop(started: list[Lookout]) -> None:
    look = Looked()
    lookout = start(started, look, seconds=0.01)
    eventually(lambda: look.looks >= 3, what="three looks")
    lookout.stop()
    eventually(lambda: not lookout.is_running(), what="its end")
    assert lookout.is_stopping()
    assert lookout.wait(60), "who waits within a look is told at once"


def test_a_wake_is_a_look_and_many_wakes_are_one(started: list[Lookout]) -> None:
    look = Looked()
    lookout = start(started, look, seconds=3600, rest=0.3)
    assert not look.seen.wait(0.1)
    for _ in range(100):
        lookout.wake()
    assert look.seen.wait(20)
    look.seen.clear()
    assert not look.seen.wait(0.6)
    assert look.looks == 1


def test_what_fails_is_logged_in_one_line_and_comes_again(
    started: list[Lookout], caplog: pytest.LogCaptureFixture
) -> None:
    look = Looked(1, 2)
    start(started, look, seconds=0.01)
    eventually(lambda: look.looks >= 3, what="a third look")
    told = [one.message for one in caplog.records if one.name == "imgsearch.worker"]
    assert told == ["comes again: This look fails."] * 2
