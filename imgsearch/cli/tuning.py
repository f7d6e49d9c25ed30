"""`imgsearch index tune` and `recall`: how many of the true answers searches find, and parameters that find enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import typer
from psycopg import Connection
from rich.progress import Progress

from imgsearch import db
from imgsearch.cli.console import as_json, errors, output, progress, table
from imgsearch.db import sql
from imgsearch.errors import DatabaseRights
from imgsearch.ops import tuning
from imgsearch.ops.tuning import Measured
from imgsearch.settings import load_settings

_SECONDS = typer.Option(60, min=1, max=3600, help="Take about this long at most.")
_K = typer.Option(10, "-k", min=1, max=100, help="How many answers of each search to look at.")
_JSON = typer.Option(False, "--json", help="For programs.")
_SAFE = (
    "Until `imgsearch index tune` reaches the target, searches compare up to 20,000 images each, which takes longer, "
    "and say complete only of what was compared exactly."
)


def tune(
    target: float = typer.Option(0.99, help="The part of the true answers that every kind of filter must find."),
    seconds: float = _SECONDS,
    k: int = _K,
    keep: bool = typer.Option(True, "--keep/--dry-run", help="Store what was chosen, or only show it."),
    json: bool = _JSON,
) -> None:
    """Choose the cheapest search parameters that reach a recall on your own images; safe on a live database."""
    with db.connect_primary(load_settings(), autocommit=True) as connection, progress(quiet=json) as bar:
        chosen = tuning.tune(connection, target=target, k=k, seconds=seconds, keep=keep, tick=_ticker(bar))
    if json:
        as_json(asdict(chosen) | {"ef": chosen.ef, "reached": chosen.reached, "kept": keep})
        return
    was = {shape.shape: shape for shape in chosen.before}
    columns: list[str | tuple[str, str]] = ["filter", ("recall before", "right"), ("recall", "right")]
    columns += [("ms before", "right"), ("ms", "right"), ("questions", "right"), "found by"]
    rows = [
        (m.shape, f"{was[m.shape].recall:.3f}", f"{m.recall:.3f}", was[m.shape].p50_ms, m.p50_ms, m.questions, _ways(m))
        for m in chosen.after
        if m.shape in was
    ]
    output.print(table(columns, rows))
    verb = "Stored" if keep else "Would store"
    walks = _walks({kind: asdict(walk) for kind, walk in chosen.walks.items()}, chosen.pool)
    output.print(f"{verb}: {walks}. The worst filter finds {chosen.recall:.1%}.")
    if not chosen.reached:
        safe = f" {_SAFE}" if keep else ""
        errors.print(
            f"[yellow]No parameters reach {target:.1%}; these are the most thorough. "
            f"Allow more with --seconds.{safe}[/]"
        )


def recall(
    seconds: float = _SECONDS,
    k: int = _K,
    keep: bool = typer.Option(False, "--keep", help="Note the worst kind's, for metrics (imgsearch_recall)."),
    json: bool = _JSON,
) -> None:
    """Measure today's recall for each kind of filter, against exact answers; safe on a live database.

    Below the target it is noted with the space, and searches take the safe way until `imgsearch index tune` mends it.
    """
    with db.connect_primary(load_settings(), autocommit=True) as connection, progress(quiet=json) as bar:
        measured = tuning.measure(connection, k=k, seconds=seconds, tick=_ticker(bar))
        used = sql.rows(connection, "tuning", "parameters")[0]
        target = used["target"] or tuning.TARGET
        reached = tuning.reaches(measured, target)
        if measured and (keep or not reached):
            _note(connection, measured, k, target, keep)
    if json:
        as_json({"k": k, "parameters": used, "filters": [asdict(shape) for shape in measured]})
        return
    _show(measured, k)
    if used["tuned_at"] is None:
        output.print("The default parameters are in use. To choose by measuring: imgsearch index tune")
    else:
        by = " by a worker" if used["tuned_by"] == "worker" else ""
        output.print(f"{_walks(used['walks'] or {}, used['pool'])}; tuned on {used['tuned_at']:%Y-%m-%d}{by}.")
    if not reached:
        errors.print(f"[yellow]That is below the target of {target:.1%}. {_SAFE}[/]")
    if used["stale"]:
        errors.print(f"[yellow]Stale: {used['stale']}. Run: imgsearch index tune[/]")


def _note(connection: Connection[Any], measured: Sequence[Measured], k: int, target: float, needed: bool) -> None:
    """Note what was measured; who may not write hears so, and sees the figures all the same unless it was asked for."""
    try:
        tuning.note(connection, measured, k, target)
    except DatabaseRights as error:
        if needed:
            raise
        errors.print(f"[yellow]Below the target, and it could not be noted: {error}[/]")


def _show(measured: Sequence[Measured], k: int) -> None:
    columns: list[str | tuple[str, str]] = ["filter", (f"recall@{k}", "right"), ("worst", "right"), ("ms", "right")]
    rows = [(m.shape, f"{m.recall:.3f}", m.worst, m.p50_ms, m.questions, _ways(m)) for m in measured]
    output.print(table([*columns, ("questions", "right"), "found by"], rows))


def _walks(walks: Mapping[str, Mapping[str, int | None]], pool: int | None) -> str:
    told = [f"{kind}s {_walked(walk)}" for kind, walk in walks.items()] or ["walks as they come"]
    return "; ".join([*told, f"pool {pool}" if pool else "pool as it comes"])


def _walked(walk: Mapping[str, int | None]) -> str:
    if walk.get("ef") == 0:
        return "by bits alone"
    spread = walk.get("spread")
    return f"walk {walk.get('ef')} at least" + (f" and believe 1/{spread}" if spread else "")


def _ways(measured: Measured) -> str:
    return ", ".join(f"{way} {count}" for way, count in sorted(measured.ways.items()))


def _ticker(bar: Progress) -> Callable[[str, int, int], None]:
    tasks = {}

    def tick(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total)
        bar.update(tasks[what], completed=done, total=total)

    return tick
