"""Workers, Redis and Postgres are killed under load: nothing is lost, stale or double, and no picture harms another.

The short form of `make soak`. Only counts are asserted: how long things take depends on the machine.
"""

from __future__ import annotations

import pytest

from bench.soak.report import harm
from bench.soak.run import Plan, soak

PLAN = Plan(
    pictures=500,  # one of every kind of poison, and twenty-five that are replaced while in work
    clients=2,
    workers=2,
    kill_every=7,
    redis_every=10,
    postgres_restarts=1,
    terms=2,
    quiet_tries=1,
    lease=4,
    max_attempts=5,  # fewer, and a good picture may be in the hands of as many killed workers
    limit=400,
    memory_mb=512,
)


@pytest.mark.slow
def test_a_short_soak_loses_nothing() -> None:
    said: list[str] = []
    figures = soak(PLAN, said.append)
    assert harm(figures) == [], f"{figures}\n{said}"
    assert figures["pictures"] == PLAN.pictures
    assert figures["replaced"] == PLAN.pictures // 20
    assert set(figures["poison_by"]) == {"truncated", "rotten", "crashes_decoder", "raises", "nan", "kills"}
    assert figures["workers_killed"] + figures["workers_killed_by_pictures"] > 0
    assert figures["redis_killed"] > 0
    assert figures["postgres_restarted"] == 1
    assert {"redis alive", "redis dead", "clock alone"} == set(figures["pick_up_s"])
