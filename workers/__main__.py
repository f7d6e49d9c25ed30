"""Run a worker: `python -m workers --lane images`. People type `imgsearch worker`."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from imgsearch.doorbell import QUEUES
from imgsearch.errors import ImgsearchError
from workers import tasks
from workers.station import Lanes, Station, database_is_up, load_settings


def main(arguments: list[str] | None = None) -> int:
    """Start the station, then let Celery listen for nudges; answer the exit code."""
    parser = argparse.ArgumentParser(prog="imgsearch worker", description="Embed pictures and queries.")
    parser.add_argument("--lane", choices=("images", "queries", "both"), default="both")
    parser.add_argument("--log-level", default="INFO")
    given = parser.parse_args(arguments)
    logging.basicConfig(
        level=given.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    settings = load_settings()
    lanes: Lanes = given.lane
    station = Station(settings, lanes)
    try:
        database_is_up(settings)
        station.start()
    except ImgsearchError as error:
        print(f"imgsearch worker: {error}", file=sys.stderr)
        return error.exit_code
    tasks.use(station)
    from workers.app import app

    queues = ",".join(QUEUES[lane] for lane in QUEUES if lane in station.ears)
    name = f"{lanes}@%h-{os.getpid()}"
    options = ["--pool=solo", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    app.worker_main(["worker", "-Q", queues, "-n", name, "-l", given.log_level, *options])
    station.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
