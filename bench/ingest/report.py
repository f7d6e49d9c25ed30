"""What the figures mean: how near the workers come to the bare model, and to what the cost of all steps allows."""

from __future__ import annotations

from typing import Any

from rich.table import Table

STEPS = ("claim", "fetch", "decode", "forward", "vector write", "HNSW insert")


def summary(figures: dict[str, Any]) -> dict[str, Any]:
    """Return rates in pictures per second, what they should be near, and the ratios."""
    steps = per_step(figures)
    rounds, bare = figures["rounds"], figures["bare"]
    cpu = sum(steps[name]["cpu_ms"] for name in STEPS)
    forward = sum(b["pictures"] for b in bare) / sum(b["wall"] for b in bare)
    allowed = 1000 * figures["machine"]["cores"] / cpu
    if figures["machine"]["device"].startswith("cuda"):
        allowed = min(allowed, forward)
    count = sum(r["pictures"] for r in rounds)
    whole = count / sum(r["wall"] for r in rounds)
    spent = {who: 1000 * sum(r["cpu"][who] for r in rounds) / count for who in rounds[0]["cpu"]}
    return {
        "bare_per_s": forward,
        "whole_per_s": whole,
        "steady_per_s": max((r["steady"] for r in rounds), default=0.0),
        "best_round_per_s": max(r["pictures"] / r["wall"] for r in rounds),
        "allowed_per_s": allowed,
        "of_bare": whole / forward,
        "of_allowed": whole / allowed,
        "of_bare_by_cpu": steps["forward"]["cpu_ms"] / sum(spent.values()),
        "steps_cpu_ms": cpu,
        "run_cpu_ms": spent,
        "cores_busy": sum(sum(r["cpu"].values()) for r in rounds) / sum(r["wall"] for r in rounds),
        "cores_for_bare_rate": forward * (cpu - steps["forward"]["cpu_ms"]) / 1000,
        "live_write_ms": steps["vector write"]["wall_ms"] + steps["HNSW insert"]["wall_ms"],
        "bulk_write_ms": steps["vector write"]["wall_ms"] + steps["index built afterwards"]["wall_ms"],
    }


def per_step(figures: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return the steps; what the index costs live is the difference of delivering with it and without."""
    steps = dict(figures["steps"])
    both = steps.pop("vector write + HNSW")
    steps["HNSW insert"] = {key: max(0.0, both[key] - steps["vector write"][key]) for key in both}
    return steps


def tables(figures: dict[str, Any]) -> list[Table]:
    """Return the two tables: where each millisecond goes, and the rates."""
    found, steps = summary(figures), per_step(figures)
    where = Table(title="ms per picture, each step alone", title_justify="left")
    for heading in ("step", "clock", "processor"):
        where.add_column(heading, justify="left" if heading == "step" else "right")
    for name in (*STEPS, "index built afterwards"):
        where.add_row(name, f"{steps[name]['wall_ms']:.2f}", f"{steps[name]['cpu_ms']:.2f}")
    where.add_row("all steps but the last", "", f"{found['steps_cpu_ms']:.2f}")
    ran = ", ".join(f"{who} {ms:.2f}" for who, ms in found["run_cpu_ms"].items())
    where.add_row("the run itself", "", f"{sum(found['run_cpu_ms'].values()):.2f} ({ran})")
    rates = Table(title="pictures per second", title_justify="left")
    for heading in ("what", "figure"):
        rates.add_column(heading)
    machine = figures["machine"]
    rates.add_row("bare forward passes", f"{found['bare_per_s']:.2f}")
    rates.add_row("JPEG in the store → committed row", f"{found['whole_per_s']:.2f}")
    rates.add_row("… of the bare rate", f"{found['of_bare']:.1%} (by processor time {found['of_bare_by_cpu']:.1%})")
    rates.add_row(
        f"… of what all steps allow on {machine['cores']} cores",
        f"{found['of_allowed']:.1%} of {found['allowed_per_s']:.1f}/s; {found['cores_busy']:.2f} cores were busy",
    )
    rates.add_row("cores that keep this device busy", f"{found['cores_for_bare_rate']:.1f} beside the forward pass")
    gain = found["live_write_ms"] / found["bulk_write_ms"]
    rates.add_row(
        "bulk load: write, then build the index",
        f"{found['bulk_write_ms']:.2f} ms per picture against {found['live_write_ms']:.2f}, {gain:.1f} times faster",
    )
    return [where, rates]
