"""The Celery application: the doorbell of the workers, and the clock of the sweeps.

The messages carry nothing and may be lost: the queue of record is in Postgres, and the lanes look there every few
seconds whatever the broker does. `--pool=solo`, because the model lives in this process: a forked child of a process
that ran torch hangs in its first forward pass, and CUDA cannot be used on both sides of a fork.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_shutdown, worker_shutting_down

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
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {"socket_keepalive": True, "socket_timeout": 30, "health_check_interval": 10},
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_routes": {TASKS[lane]: {"queue": queue} for lane, queue in QUEUES.items()}
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


app = Celery("imgsearch", set_as_current=False)
app.add_defaults(configuration)
tasks.register(app)
worker_init.connect(tasks.on_start, weak=False)
worker_shutting_down.connect(tasks.on_stopping, weak=False)
worker_shutdown.connect(tasks.on_stopped, weak=False)
