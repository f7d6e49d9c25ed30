"""From single timings to figures: recall, percentiles, the oracle of a cell, ratios to it, geometric means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bench.runs import GOOD, Measured, Taken

Figures = dict[str, Any]


def of_cell(measured: Measured) -> Figures:
    """Return a cell's figures, ready for JSON.

    oracle: the fastest single method on imgsearch's tables whose recall is at least GOOD; bare_oracle: the same over
    the bare table's methods too. ratio: p50 / the oracle's p50.
    """
    methods = {name: _of_method(one, measured.short[name]) for name, one in measured.taken.items()}
    oracle, wide = _fastest(methods, ("single",)), _fastest(methods, ("single", "bare"))
    for found in methods.values():
        if found["p50"] is not None:
            found["ratio"] = round(found["p50"] / methods[oracle]["p50"], 3) if oracle else None
    return {
        "cell": measured.cell.name,
        "kind": measured.cell.kind,
        "walled": measured.cell.walled,
        "k": measured.k,
        "matches": measured.matches,
        "oracle": oracle,
        "bare_oracle": wide,
        "peers": {peer: _fastest_named(methods, peer) for peer in ("qdrant", "lancedb", "faiss")},
        "methods": methods,
    }


def _of_method(one: Taken, short: int) -> Figures:
    measured = bool(one.ms)
    return {
        "family": one.method.family,
        "queries": len(one.ms),
        "recall": round(one.mean_recall, 4) if measured else None,
        "worst_recall": round(min(one.recall), 3) if measured else None,
        "p50": round(one.p50, 3) if measured else None,
        "p95": round(float(np.percentile(one.ms, 95)), 3) if measured else None,
        "wall_p50": round(float(np.median(one.wall)), 3) if measured else None,
        "cpu_p50": round(float(np.median(one.cpu)), 3) if measured else None,
        "short": short,
        "incomplete": sum(answer.complete is False for answer in one.answers),
        "strategies": one.strategies,
        "buffers": int(np.median([cost.buffers for cost in one.costs])) if one.costs else None,
        "planning_ms": round(float(np.median([cost.planning_ms for cost in one.costs])), 3) if one.costs else None,
        "indexes": sorted(set[str]().union(*(cost.indexes for cost in one.costs))),
        "error": one.error,
    }


def _fastest(methods: Mapping[str, Figures], families: Sequence[str]) -> str | None:
    good = [name for name, m in methods.items() if m["family"] in families and (m["recall"] or 0) >= GOOD]
    return min(good, key=lambda name: methods[name]["p50"], default=None)


def _fastest_named(methods: Mapping[str, Figures], prefix: str) -> str | None:
    return _fastest({name: m for name, m in methods.items() if name.startswith(prefix)}, ("peer",))


def geometric_mean(values: Iterable[float]) -> float | None:
    """Return the geometric mean, None of nothing."""
    logs = [np.log(value) for value in values]
    return round(float(np.exp(np.mean(logs))), 3) if logs else None


def summary(cells: Sequence[Figures]) -> Figures:
    """Return per method how it does over all cells: cells with enough recall, mean and worst ratio to the oracle.

    against: geometric mean of p50 / the p50 of that peer's (or the wide oracle's) fastest good setting in each cell.
    """
    names = {name: method["family"] for cell in cells for name, method in cell["methods"].items()}
    found = {}
    for name, family in names.items():
        seen = [(cell, cell["methods"][name]) for cell in cells if cell["methods"].get(name, {}).get("p50") is not None]
        if not seen:
            continue
        ratios = [m["ratio"] for _, m in seen if m.get("ratio")]
        worst = max(seen, key=lambda entry: entry[1].get("ratio") or 0)
        found[name] = {
            "family": family,
            "cells": len(seen),
            "good_cells": sum(m["recall"] >= GOOD for _, m in seen),
            "lowest_recall": min(m["recall"] for _, m in seen),
            "lowest_recall_cell": min(seen, key=lambda entry: entry[1]["recall"])[0]["cell"],
            "short_answers": sum(m["short"] for _, m in seen),
            "ratio": geometric_mean(ratios),
            "worst_ratio": max(ratios, default=None),
            "worst_ratio_cell": f"{worst[0]['cell']} k={worst[0]['k']}",
            "above_twice": sum(ratio > 2 for ratio in ratios),
            "spread_cells": sum(m["p95"] > 4 * m["p50"] for _, m in seen),
            "worst_p95_to_p50": round(max(m["p95"] / m["p50"] for _, m in seen), 2),
            "against": _against(seen),
        }
    return found


def _against(seen: Sequence[tuple[Figures, Figures]]) -> Figures:
    found = {}
    for other in ("bare_oracle", "qdrant", "lancedb", "faiss"):
        ratios = []
        for cell, method in seen:
            rival = cell[other] if other == "bare_oracle" else cell["peers"][other]
            if rival is not None:
                ratios.append(method["p50"] / cell["methods"][rival]["p50"])
        if ratios:
            found[other] = {"ratio": geometric_mean(ratios), "worst": round(max(ratios), 2), "cells": len(ratios)}
    return found
