"""The soak from beginning to end: servers, clients and workers of its own, the harm, and the wait for the end."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from bench.home import fresh_home
from bench.soak import quiet, terms
from bench.soak.encoder import SOAK
from bench.soak.faults import Every, Servers
from bench.soak.fleet import ROOT, Fleet, environment
from bench.soak.verdict import verdict
from bench.soak.watch import Replacer, Rescues, Violations, Watch, running
from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.errors import DatabaseError
from imgsearch.settings import Settings, load_settings


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is done, how often. Times are in seconds; 0: never."""

    pictures: int = 20_000
    clients: int = 4
    workers: int = 3
    kill_every: float = 2.0
    redis_every: float = 20.0
    postgres_restarts: int = 2
    terms: int = 50
    quiet_tries: int = 20
    lease: float = 15.0
    max_attempts: int = 5
    batch: int = 32
    model: str = SOAK
    limit: float = 1_200.0
    memory_mb: int = 2_048


def soak(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Run it; answer every figure, ready for JSON. Raises TimeoutError when it is not over within the limit."""
    began = time.monotonic()
    with fresh_home("soak-") as home:
        servers = Servers(home, plan.memory_mb)
        settings = _settings(servers.start(), home, plan)
        schema.upgrade(settings)
        fleet = Fleet(settings, environment(settings), home / "workers.log", plan.workers)
        with running(fleet):
            figures = _harm(plan, settings, servers, fleet, home, began, say)
            figures |= _after(plan, settings, servers, fleet, say)
        with db.connect(settings, autocommit=True) as connection:
            notes = [*home.glob("notes-*")]
            figures |= verdict(connection, notes, plan.max_attempts, real_model=plan.model != SOAK)
        figures["duration_s"] = round(time.monotonic() - began, 1)
        if figures["lost"] or figures["neighbours_harmed"] or figures["worker_bugs"]:
            kept = Path(tempfile.gettempdir()) / "imgsearch-soak-workers.log"
            shutil.copy(home / "workers.log", kept)
            figures["workers_log"] = str(kept)
        return figures


def _harm(
    plan: Plan,
    settings: Settings,
    servers: Servers,
    fleet: Fleet,
    home: Path,
    began: float,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Add everything while everything is killed; wait until nothing waits."""
    rescues, violations = Rescues(fleet), Violations()
    replacer = Replacer(settings, home / "notes-replaced")
    watches = [
        Watch(settings, rescues, 0.1, "rescues"),
        Watch(settings, violations, 15, "violations"),
        Watch(settings, replacer, 0.05, "replacer"),
    ]
    killer = Every(plan.kill_every, fleet.kill_one, "killer")
    redis = Every(plan.redis_every, servers.kill_redis, "redis")
    clients = _clients(plan, settings, home)
    say(f"{plan.clients} clients add {plan.pictures:,} pictures, {plan.workers} workers embed them, and are killed")
    try:
        with running(
            *watches, *(thread for thread, often in ((killer, plan.kill_every), (redis, plan.redis_every)) if often)
        ):
            restarts = 0
            added_at = None
            while True:
                time.sleep(0.5)
                if time.monotonic() - began > plan.limit:
                    raise TimeoutError(f"{_progress(settings)} after {plan.limit:g} s; see {home}")
                if added_at is None and all(one.poll() is not None for one in clients):
                    added_at = time.monotonic() - began
                progress = _progress(settings)
                if progress is None:
                    continue
                ready, waiting = progress
                # Restarts at even parts of the way: in the middle of everything, whatever the speed of the machine.
                if restarts < plan.postgres_restarts and ready > plan.pictures * (restarts + 1) / (
                    plan.postgres_restarts + 1
                ):
                    restarts += servers.restart_postgres()
                    say(f"Postgres restarted at {ready:,} ready")
                    continue
                if added_at is not None and not waiting:
                    break
    finally:
        for one in clients:
            one.kill()
    worked = time.monotonic() - began
    replacer.rest(plan.pictures)
    _until_quiet(settings, plan.limit)
    if codes := [one.returncode for one in clients if one.returncode]:
        raise RuntimeError(f"a client failed with {codes}")
    return {
        "plan": plan.__dict__,
        "added_s": round(added_at or 0, 1),
        "worked_s": round(worked, 1),
        "workers_killed": killer.done,
        "workers_killed_by_pictures": len(fleet.deaths) - killer.done,
        "workers_started": fleet.started,
        "worker_bugs": fleet.unexpected,
        "redis_killed": redis.done,
        "postgres_restarted": len(servers.outages),
        "postgres_away_s": [round(end - start, 2) for start, end in servers.outages],
        "replaced_in_flight": replacer.in_flight,
        "violations_seen_on_the_way": len(violations.found),
        "looks_for_violations": violations.looks,
        "rescued": len(rescues.seconds),
        "rescue_s": _spread(rescues.seconds),
    }


def _after(
    plan: Plan, settings: Settings, servers: Servers, fleet: Fleet, say: Callable[[str], None]
) -> dict[str, Any]:
    """SIGTERMs under load, then a quiet shop."""
    found: dict[str, Any] = {}
    if plan.terms:
        say(f"{plan.terms} workers are asked to end while there is much to do")
        asked = terms.terminate(settings, fleet, plan.terms)
        _until_quiet(settings, plan.limit)
        found["sigterm"] = asked | {"seconds": _spread(asked["seconds"])}
        with db.connect(settings, autocommit=True) as connection:
            row = connection.execute("SELECT count(*) FROM imgsearch.images WHERE product_id LIKE 't%'").fetchone()
        found["sigterm"]["lost"] = asked["added"] - int(row[0] if row else 0)
    if plan.quiet_tries:
        say("a quiet shop: how soon is one picture picked up?")
        fleet.until_all_work()
        picked = quiet.pick_up(settings, servers, plan.quiet_tries)
        found["pick_up_s"] = {name: _spread(seconds) for name, seconds in picked.items()}
        servers.start()
        _until_quiet(settings, plan.limit)
    return found


def _clients(plan: Plan, settings: Settings, home: Path) -> list[subprocess.Popen[bytes]]:
    made = []
    for n in range(plan.clients):
        words = [str(home / f"notes-{n}"), str(n), str(plan.clients), str(plan.pictures), plan.model]
        command = [sys.executable, "-m", "bench.soak.client", *words]
        made.append(subprocess.Popen(command, env=environment(settings), cwd=ROOT))
    return made


def _progress(settings: Settings) -> tuple[int, int] | None:
    """Return how many pictures are embedded and how many wait; None while the database is away."""
    try:
        with db.connect(settings, autocommit=True) as connection:
            row = connection.execute(
                "SELECT (SELECT count(*) FROM imgsearch.vectors), count(*) FILTER (WHERE state <> 'failed')"
                " FROM imgsearch.job"
            ).fetchone()
            return (int(row[0]), int(row[1])) if row else None
    except (psycopg.Error, DatabaseError):
        return None


def _until_quiet(settings: Settings, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (progress := _progress(settings)) is None or progress[1]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"pictures still wait after {seconds:g} s: {progress}")
        time.sleep(0.2)


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    p50, p99 = np.percentile(values, (50, 99))
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3), "max": round(max(values), 3)}


def _settings(servers: embedded.Servers, home: Path, plan: Plan) -> Settings:
    return load_settings(
        {
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
            "HOME": str(home),
            "STORAGE_URL": (home / "pictures").as_uri(),
            "MODEL": plan.model,
            "LEASE_SECONDS": str(plan.lease),
            "MAX_ATTEMPTS": str(plan.max_attempts),
            "BATCH": str(plan.batch),
            "DECODERS": "1",
            "THREADS": "1",
        },
        environ={},
    )
