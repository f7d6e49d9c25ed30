"""The Celery application: wake-up messages for workers, and the clock of the sweeps.

`imgsearch worker` starts a worker and `celery -A imgsearch_workers.app beat` the clock: beat only sends the two sweep
messages. `celery -A imgsearch_workers.app worker` becomes `imgsearch worker`: there is one way to run one. Other Celery
applications of the process that imports this one stay as they are.

The messages carry nothing and may be lost: the queue of record is in Postgres, and workers look there every few
seconds whatever the broker does.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_init

from imgsearch.errors import SettingsError
from imgsearch.ingest.wakeup import QUEUES, TASKS
from imgsearch.servers import redis_url
from imgsearch.settings import process_settings
from imgsearch_workers.process import tasks

log = logging.getLogger("imgsearch.worker")
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
            name: {"task": name, "schedule": seconds, "options": {"queue": QUEUES["images"], "expires": seconds}}
            for name, seconds in ((tasks.SWEEP, SWEEP_SECONDS), (tasks.SWEEP_STORE, SWEEP_STORE_SECONDS))
        },
        # Beat ends only between two looks at its clock, and people wait for it.
        "beat_max_loop_interval": 1,
    }


def become_worker(instance: Any, options: dict[str, Any], **_: Any) -> None:
    """Replace a process started by Celery's own command by `imgsearch worker`, for the queues that -Q names.

    `instance`: the worker that Celery starts; one of another application is none of ours.
    """
    if instance.app is not app:
        return
    asked = options.get("queues") or []
    asked = asked.split(",") if isinstance(asked, str) else asked
    named = [name for name, queue in QUEUES.items() if queue in asked]
    arguments = ["--queue", named[0] if len(named) == 1 else "both"]
    if level := options.get("loglevel"):
        arguments += ["--log-level", level if isinstance(level, str) else logging.getLevelName(level)]
    os.execv(sys.executable, [sys.executable, "-m", "imgsearch_workers", *arguments])  # noqa: S606 - on purpose


def name_broker(sender: Any, **_: Any) -> None:
    """Say where our clock sends its messages; end it where no broker is set, for nobody would ever receive one."""
    if sender.app is not app:
        return
    if not redis_url(process_settings()):
        print(
            "celery beat: no broker is set, so no sweep would ever be run. Set IMGSEARCH_REDIS_URL as for the workers, "
            "in this process's environment.",
            file=sys.stderr,
        )
        raise SystemExit(SettingsError.exit_code)
    log.warning("the sweeps go to %s", app.connection_for_write().as_uri())  # without its password


app = Celery("imgsearch", set_as_current=False)
app.add_defaults(configuration)
tasks.register(app)
celeryd_init.connect(become_worker, weak=False)
beat_init.connect(name_broker, weak=False)
