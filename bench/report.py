"""Shows the figures as tables and keeps them as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import clients, memory
from bench.figures import Figures
from bench.runs import GOOD

_SHOWN = ("search-sql", "search", "nearest", "bare")


def _millis(method: Mapping[str, Any] | None) -> str:
    """Return `p50/p95 (recall)`, red below the bar."""
    if not method:
        return "·"
    if method["p50"] is None:
        return "·" if method["error"] == "-" else "[red]error[/]"
    colour = "green" if method["recall"] >= GOOD else "red"
    return f"{method['p50']:.2f}/{method['p95']:.1f} [{colour}]{method['recall']:.3f}[/]"


def row(cell: Figures) -> list[str]:
    """Return one line of the table."""
    methods = cell["methods"]
    oracle = cell["oracle"]
    ours = methods.get("search-sql") or methods.get("nearest") or {}
    peers = [f"{peer} {_millis(methods[peer])}" if peer else "·" for peer in cell["peers"].values()]
    return [
        cell["cell"],
        str(cell["k"]),
        f"{cell['matches']:,}",
        f"{oracle} {_millis(methods[oracle])}" if oracle else "none",
        *(_millis(methods.get(name)) for name in _SHOWN),
        f"{ours['ratio']:.2f}" if ours.get("ratio") else "·",
        " ".join(f"{name}:{count}" for name, count in ours.get("strategies", {}).items()),
        *peers,
    ]


def line(cell: Figures) -> str:
    """Return one line for the log while the run goes on."""
    found = row(cell)
    return f"{found[0]} k={found[1]}: oracle {found[3]}; {_SHOWN[0]} {found[4]} ×{found[8]} {found[9]}"


def table(cells: Sequence[Figures]) -> Table:
    """Return the table of all cells: p50/p95 in ms and recall."""
    made = Table(title="p50/p95 ms recall, all methods interleaved in one run", title_justify="left")
    for heading in ("cell", "k", "matches", "oracle", *_SHOWN, "×oracle", "strategies", "qdrant", "lancedb", "faiss"):
        made.add_column(heading, no_wrap=True)
    for cell in cells:
        made.add_row(*row(cell))
    return made


def overall(summary: Figures) -> Table:
    """Return the table of methods over all cells."""
    made = Table(title=f"over all cells (good: recall ≥ {GOOD})", title_justify="left")
    for heading in (
        "method",
        "cells",
        "good",
        "lowest recall",
        "in",
        "short",
        "×oracle",
        "worst",
        "×wide oracle",
        "×qdrant",
        "×lancedb",
        "×faiss",
    ):
        made.add_column(heading, no_wrap=True)
    for name, found in summary.items():
        against = [found["against"].get(other) for other in ("bare_oracle", "qdrant", "lancedb", "faiss")]
        made.add_row(
            name,
            str(found["cells"]),
            str(found["good_cells"]),
            f"{found['lowest_recall']:.3f}",
            found["lowest_recall_cell"],
            str(found["short_answers"]),
            f"{found['ratio'] or 0:.2f}",
            f"{found['worst_ratio'] or 0:.2f} {found['worst_ratio_cell']}",
            *(f"{other['ratio']:.2f} (worst {other['worst']:.2f})" if other else "·" for other in against),
        )
    return made


def save(path: Path, result: Figures) -> None:
    """Write the result; whole or not at all, so that a run that is cut short leaves the last one readable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(result, indent=1, ensure_ascii=False))
    unfinished.replace(path)


def show(console: Console, result: Figures) -> None:
    """Print everything."""
    console.print(table(result["cells"]))
    console.print(overall(result["summary"]))
    if result["clients"]:
        console.print(clients.table(result["clients"]))
    console.print(memory.table(result["memory"]))
    meta = result["meta"]
    if meta["load_average"] > 1.5 and meta["clock"] == "wall":
        load = f"load {meta['load_average']:.1f} on {meta['cores']} cores"
        console.print(f"[yellow]The machine was busy ({load}): trust ratios, not ms, or use --clock cpu.[/]")
    errors = {m["error"] for cell in result["cells"] for m in cell["methods"].values()} - {"", "-"}
    for error in sorted(errors):
        console.print(f"[red]{error}[/]", highlight=False)
