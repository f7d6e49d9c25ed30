"""A worker's loop for second looks inside the test's own process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from imgsearch_workers.pipeline.looks import LookLoop
from imgsearch_workers.pipeline.work_loop import LoopContext
from imgsearch_workers.process.listener import Listener

from imgsearch import db
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.answering import seen


@contextmanager
def looking(settings: Settings, space: Space) -> Iterator[LookLoop]:
    """Answer second looks around a block."""
    with db.connect(settings, autocommit=True) as connection:
        seen(connection, space)
    loop = LookLoop(LoopContext(settings, "cpu", (space.space_id,)), Listener(settings, "imgsearch_look"))
    loop.start()
    try:
        yield loop
    finally:
        loop.stop()
        assert loop.join(30)
