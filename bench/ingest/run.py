"""One measurement: servers of its own, the steps one by one, then whole lots of pictures between bare passes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg

from bench.home import fresh_home
from bench.ingest import pictures, pipeline, shape, stages
from bench.ingest.bare import ROOT, Bare
from bench.ingest.pipeline import Round
from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.ingest import upload
from imgsearch.settings import Settings, load_settings

SAMPLE = 200  # pictures of which fetch and decode are measured alone


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured; 0 decoders or threads: as many as a worker takes by itself."""

    pictures: int = 2_000
    shape: str = "tiny"
    device: str = "auto"
    workers: int = 1
    decoders: int = 0
    threads: int = 0
    batch: int = 32
    rounds: int = 3
    seconds: float = 5.0
    side: int = 1_000
    vectors: int = 2_000
    memory_mb: int = 2_048


def measure(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure; answer every figure, ready for JSON."""
    model = shape.model(plan.shape)
    with fresh_home("ing-") as home:
        servers = embedded.start(home, memory_mb=plan.memory_mb)
        settings = _settings(servers, home, plan, model)
        variables = environment(settings)
        say(f"drawing {plan.pictures:,} JPEGs of {plan.side} pixels")
        store = upload.open_store(settings.storage_url)
        rows = pictures.stored(store, plan.side, plan.pictures)
        with Bare(model, plan.device, plan.batch, plan.threads, variables) as bare:
            say(f"each step alone, on {bare.about['device']}")
            costs = stages.Costs()
            stages.read_and_decode(costs, store, rows[:SAMPLE], bare.about["size"])
            stages.write(costs, _other(settings, "steps"), bare.about["dimension"], plan.vectors, plan.batch)
            rounds = _rounds(plan, settings, variables, bare, rows, home, say)
            forward = stages.Cost(int(bare.total("pictures")), bare.total("wall"), bare.total("cpu"))
            costs.by_step["forward"] = forward
            return {
                "plan": asdict(plan),
                "machine": bare.about | {"cores": cores()},
                "jpeg_bytes": sum(path.stat().st_size for path in _sample(home)) / len(_sample(home)),
                "steps": {name: cost.plain() for name, cost in costs.by_step.items()},
                "bare": bare.rounds,
                "rounds": [asdict(one) for one in rounds],
            }


def _rounds(
    plan: Plan,
    settings: Settings,
    variables: dict[str, str],
    bare: Bare,
    rows: list[tuple[str, bytes]],
    home: Path,
    say: Callable[[str], None],
) -> list[Round]:
    """Take turns: bare passes, a lot of pictures, bare passes, …: so a machine that slows down slows both."""
    schema.upgrade(settings)
    done: list[Round] = []
    log = home / "workers.log"
    lot = len(rows) // plan.rounds
    with pipeline.workers(plan.workers, variables, log) as made, db.connect(settings, autocommit=True) as connection:
        pipeline.until_ready(connection, made, log)
        for number in range(plan.rounds):
            bare.measure(plan.seconds)
            mine = rows[number * lot : (number + 1) * lot]
            done.append(pipeline.run(connection, settings, made, mine, number * lot))
            say(f"{lot:,} pictures in {done[-1].wall:.1f} s, {lot / done[-1].wall:.1f}/s")
        bare.measure(plan.seconds)
    return done


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _sample(home: Path) -> list[Path]:
    return list((home / "pictures").glob("??/*"))[:100]


def _settings(servers: embedded.Servers, home: Path, plan: Plan, model: str) -> Settings:
    given = {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url,
        "HOME": str(home),
        "STORAGE_URL": (home / "pictures").as_uri(),
        "MODEL": model,
        "DEVICE": plan.device,
        "BATCH": str(plan.batch),
        "DECODERS": str(plan.decoders),
        "THREADS": str(plan.threads),
    }
    return load_settings(given, environ={})


def _other(settings: Settings, name: str) -> Settings:
    """Make a migrated database of another name on the same server."""
    with psycopg.connect(settings.database_url, autocommit=True) as admin:
        admin.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    url = settings.database_url.replace("/imgsearch?", f"/{name}?", 1)
    other = load_settings({**settings.environment(), "DATABASE_URL": url}, environ={})
    schema.upgrade(other)
    return other


def environment(settings: Settings) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("IMGSEARCH_")}
    return kept | settings.environment() | {"PYTHONPATH": str(ROOT)}
