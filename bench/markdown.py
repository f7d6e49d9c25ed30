"""A run's JSON as Markdown tables, for docs/decisions/0002-search-statement.md.

python -m bench.markdown bench/out/<time>.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Figures = Mapping[str, Any]
_OURS = ("search-sql", "search", "nearest")
_OTHERS = ("bare", "qdrant", "lancedb", "faiss")


def main(arguments: Sequence[str]) -> int:
    """Print the tables of each file named."""
    for name in arguments:
        print("\n".join(lines(json.loads(Path(name).read_text()))))
    return 0


def lines(result: Figures) -> Iterator[str]:
    """Yield the tables: conditions, cells, methods over all cells, clients, memory."""
    meta = result["meta"]
    yield (
        f"{meta['rows']:,} pictures × {meta['dim']}, {meta['queries']} questions per cell, clock {meta['clock']}, "
        f"PostgreSQL {meta['postgres']}, pgvector {meta['pgvector']}, {meta['cores']} cores "
        f"(load {meta['load_average']:.1f} at the start), {meta['measured_at']}."
    )
    yield "\np50/p95 in ms, recall in brackets; × is p50 over the oracle's.\n"
    yield from _table(
        ("cell", "k", "match", "oracle", *_OURS, "×", "arms", *_OTHERS), [_cell(cell) for cell in result["cells"]]
    )
    yield "\nOver all cells:\n"
    headings = (
        "method",
        "cells",
        "recall ≥ 0.99 in",
        "lowest recall",
        "short answers",
        "× oracle (geometric mean)",
        "above 2 ×",
        "worst ×",
        "p95 > 4 p50",
        *(f"× {name}" for name in _OTHERS[1:]),
    )
    yield from _table(headings, [_summary(name, found) for name, found in result["summary"].items()])
    if result["clients"]:
        yield "\nQueries per second (p95 ms):\n"
        yield from _table(
            ("cell", "method", "clients", "queries/s", "p95"), [_client(one) for one in result["clients"]]
        )
    yield "\nMemory:\n"
    sizes = [
        (name, f"{found['bytes'] / 2**20:,.0f}", f"{found['per_row']:,.0f}") for name, found in result["memory"].items()
    ]
    yield from _table(("what", "MB", "bytes per picture"), sizes)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{'-|' * len(headings)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _took(method: Figures | None) -> str:
    if not method or method["p50"] is None:
        return "·"
    return f"{method['p50']:.2f}/{method['p95']:.1f} ({method['recall']:.3f})"


def _cell(cell: Figures) -> list[str]:
    methods, oracle = cell["methods"], cell["oracle"]
    ours = methods.get("search-sql") or {}
    if not ours.get("p50"):
        ours = methods.get("nearest") or {}
    others = [cell["peers"].get(name, name) if name != "bare" else name for name in _OTHERS]
    return [
        cell["cell"],
        str(cell["k"]),
        f"{cell['matches']:,}",
        f"{oracle} {_took(methods[oracle])}" if oracle else "none",
        *(_took(methods.get(name)) for name in _OURS),
        f"{ours['ratio']:.2f}" if ours.get("ratio") else "·",
        " ".join(f"{name} {count}" for name, count in ours.get("strategies", {}).items()),
        *(f"{name} {_took(methods[name])}" if name and name in methods else "·" for name in others),
    ]


def _summary(name: str, found: Figures) -> list[str]:
    return [
        name,
        str(found["cells"]),
        str(found["good_cells"]),
        f"{found['lowest_recall']:.3f} ({found['lowest_recall_cell']})",
        str(found["short_answers"]),
        f"{found['ratio'] or 0:.2f}",
        str(found["above_twice"]),
        f"{found['worst_ratio'] or 0:.2f} ({found['worst_ratio_cell']})",
        str(found["spread_cells"]),
        *(_against(found["against"].get(name)) for name in _OTHERS[1:]),
    ]


def _against(found: Figures | None) -> str:
    return f"{found['ratio']:.2f} (worst {found['worst']:.1f}, {found['cells']} cells)" if found else "·"


def _client(one: Figures) -> list[str]:
    return [one["cell"], one["method"], str(one["clients"]), f"{one['qps']:.0f}", f"{one['p95']:.1f}"]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
