"""The Celery application: wake-up messages for workers, and the clock of the sweeps.

`imgsearch worker` starts a worker and `celery -A imgsearch_workers.app beat` the clock: beat only sends the two sweep
messages. `celery -A imgsearch_workers.app worker` becomes `imgsearch worker`: there is one way to run one.

The messages carry nothing and may be lost: the queue of record is in Postgres, and workers look there every few
seconds whatever the broker does.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from celery import Celery
from celery.signals import celeryd_init

from imgsearch.ingest.wakeup import QUEUES, TASKS
from imgsearch.servers import redis_url
from imgsearch.settings import process_settings
from imgsearch_workers.process import tasks

SWEEP_SECONDS = 60.0
SWEEP_STORE_SECONDS = 3600.0


def configuration() -> dict[str, Any]:
    """Return Celery's settings; read when the app is first used, not when this module is imported."""
    return {
        "broker_url": redis_url(process_settings()) or "redis://127.0.0.1:6379/0",
        # The consumer tries again by itself (celery_consumer.py): Celery's own way logs every attempt.
        "broker_connection_retry": False,
        "broker_connection_retry_on_startup": False,
        "broker_transport_options": {"socket_keepalive": True, "socket_timeout": 30, "health_check_interval": 10},
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_routes": {TASKS[name]: {"queue": queue} for name, queue in QUEUES.items()}
        | {name: {"queue": QUEUES["images"]} for name in (tasks.SWEEP, tasks.SWEEP_STORE)},
        "task_default_queue": QUEUES["images"],
        "worker_prefetch_multiplier": 1,
        "worker_hijack_root_logger": False,
        "worker_enable_remote_control": False,
        "beat_schedule": {
            name: {"task": name, "schedule": seconds, "options": {"expires": seconds}}
            for name, seconds in ((tasks.SWEEP, SWEEP_SECONDS), (tasks.SWEEP_STORE, SWEEP_STORE_SECONDS))
        },
        # Beat ends only between two looks at its clock, and people wait for it.
        "beat_max_loop_interval": 1,
    }


def become_worker(options: dict[str, Any], **_: Any) -> None:
    """Replace a process started by Celery's own command by `imgsearch worker`, for the queues that -Q names."""
    asked = options.get("queues") or []
    asked = asked.split(",") if isinstance(asked, str) else asked
    named = [name for name, queue in QUEUES.items() if queue in asked]
    arguments = ["--queue", named[0] if len(named) == 1 else "both"]
    if level := options.get("loglevel"):
        arguments += ["--log-level", level if isinstance(level, str) else logging.getLevelName(level)]
    os.execv(sys.executable, [sys.executable, "-m", "imgsearch_workers", *arguments])  # noqa: S606 - on purpose


app = Celery("imgsearch", set_as_current=False)
app.add_defaults(configuration)
tasks.register(app)
celeryd_init.connect(become_worker, weak=False)
