"""Ring for a worker: a Celery message without payload. It may be lost; the database row is what counts."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from celery import Celery

Lane = Literal["images", "queries"]
QUEUES: dict[str, str] = {"images": "imgsearch.images", "queries": "imgsearch.queries"}
TASKS: dict[str, str] = {"images": "imgsearch.wake_images", "queries": "imgsearch.wake_queries"}


@cache
def _client(redis_url: str) -> Celery:
    from celery import Celery

    app = Celery("imgsearch-doorbell", broker=redis_url, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        broker_connection_retry=False,
        broker_transport_options={"socket_connect_timeout": 0.5, "socket_timeout": 1.0, "max_retries": 0},
    )
    return app


def ring(redis_url: str, lane: Lane) -> bool:
    """Nudge the workers of a lane; answer whether the broker took it. Call it after COMMIT.

    Never raises for a broker that is down: workers look into the database every few seconds anyway.
    """
    if not redis_url:
        return False
    from kombu.exceptions import KombuError
    from redis.exceptions import RedisError

    try:
        # An hour-old nudge says nothing; without an expiry they would pile up while no worker runs.
        _client(redis_url).send_task(TASKS[lane], queue=QUEUES[lane], ignore_result=True, expires=60, retry=False)
    except (KombuError, RedisError, OSError):
        return False
    return True
