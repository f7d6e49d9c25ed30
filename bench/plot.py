"""Draws recall against latency, one small picture per cell."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.figures import Figures
from bench.runs import GOOD

# By the beginning of a method's name; the single methods are grey.
_COLOURS = {
    **dict.fromkeys(("search", "nearest"), "tab:red"),
    "bare": "tab:brown",
    "qdrant": "tab:blue",
    "lancedb": "tab:green",
    "faiss": "tab:purple",
    "": "tab:grey",
}
_LEGEND = {"imgsearch": "search", "single methods": "", "bare pgvector": "bare"} | {
    peer: peer for peer in ("qdrant", "lancedb", "faiss")
}
_COLUMNS = 6


def plot(cells: Sequence[Figures], path: Path) -> list[Path]:
    """Draw one PNG per kind of query and k beside `path`; return the files, none where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        return []
    drawn = []
    for kind, k in dict.fromkeys((cell["kind"], cell["k"]) for cell in cells):
        target = path.with_name(f"{path.stem}-{kind}-k{k}.png")
        _page([cell for cell in cells if (cell["kind"], cell["k"]) == (kind, k)], target, f"{kind} queries, k = {k}")
        drawn.append(target)
    return drawn


def _page(cells: Sequence[Figures], target: Path, title: str) -> None:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = min(_COLUMNS, len(cells))
    lines = -(-len(cells) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.7 * lines + 0.8), layout="constrained")
    for number, cell in enumerate(cells):
        _cell(figure.add_subplot(lines, columns, number + 1), cell)
    handles = [
        Line2D([], [], marker="o", linestyle="", color=_COLOURS[name], label=label) for label, name in _LEGEND.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    figure.suptitle(f"{title}: recall against p50 in ms (dashed: the bar, {GOOD})")
    figure.savefig(target, dpi=80)


def _cell(axes: Any, cell: Figures) -> None:
    for name, method in cell["methods"].items():
        if method["p50"] is None:
            continue
        colour = next(colour for start, colour in _COLOURS.items() if name.startswith(start))
        axes.plot(method["p50"], method["recall"], "o", markersize=4, color=colour, alpha=0.8)
        if name in {cell["oracle"], "search-sql", "nearest", *cell["peers"].values()}:
            place = {"textcoords": "offset points", "xytext": (1, -3), "rotation": -55, "ha": "left", "va": "top"}
            axes.annotate(name, (method["p50"], method["recall"]), fontsize=6, color=colour, **place)
    axes.axhline(GOOD, linestyle="--", linewidth=0.7, color="black")
    axes.set_xscale("log")
    axes.set_ylim(-0.03, 1.05)
    axes.set_title(f"{cell['cell'].split(' ', 1)[1]} ({cell['matches']:,})", fontsize=8)
    axes.tick_params(labelsize=6)
