"""The soak's figures as one table, each beside what it should be."""

from __future__ import annotations

from typing import Any

from rich.table import Table

RESCUE_SECONDS = 20.0
PICK_UP_SECONDS = 5.0
EXIT_SECONDS = 15.0


def table(figures: dict[str, Any]) -> Table:
    """Return the table."""
    made = Table(title="soak", title_justify="left")
    for heading in ("what", "figure", "should be"):
        made.add_column(heading)
    for what, figure, should in _lines(figures):
        made.add_row(what, figure, should)
    return made


def failures(figures: dict[str, Any]) -> list[str]:
    """Return one line per figure that is not as it should be."""
    return harm(figures) + late(figures)


def harm(figures: dict[str, Any]) -> list[str]:
    """Return one line per count that is not as it should be, however slow the machine."""
    zero = (
        "lost", "stale", "duplicate", "violations", "violations_seen_on_the_way", "poison_not_as_it_should",
        "neighbours_harmed", "worker_bugs",
    )  # fmt: skip
    wrong = [f"{name} is {figures[name]}, not 0" for name in zero if figures[name]]
    reached, _, all_of_them = figures["poison_at_exactly_max_attempts"].partition("/")
    if reached != all_of_them:
        wrong.append(f"{reached} of {all_of_them} poisoned pictures were set aside at exactly max_attempts")
    asked = figures.get("sigterm", {})
    wrong += [f"sigterm: {name} is {asked[name]}" for name in ("bad_codes", "left", "burnt", "lost") if asked.get(name)]
    return wrong + figures["examples"]


def late(figures: dict[str, Any]) -> list[str]:
    """Return one line per time that is longer than it should be."""
    wrong: list[str] = []
    lease = figures["plan"]["lease"]
    if figures["rescue_s"] and figures["rescue_s"]["p99"] > lease + RESCUE_SECONDS - 15:
        wrong.append(f"rescue p99 is {figures['rescue_s']['p99']} s")
    for name, spread in figures.get("pick_up_s", {}).items():
        if spread["max"] > PICK_UP_SECONDS:
            wrong.append(f"pick-up, {name}: {spread['max']} s")
    asked = figures.get("sigterm")
    if asked and asked["seconds"]["max"] > EXIT_SECONDS:
        wrong.append(f"an exit took {asked['seconds']['max']} s")
    return wrong


def _lines(figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    plan = figures["plan"]
    added = "{pictures:,}, {replaced:,}, {poison:,}".format_map(figures)
    killed = "{workers_killed:,}, {workers_killed_by_pictures:,}".format_map(figures)
    crashed = "{redis_killed}, {postgres_restarted}".format_map(figures)
    violations = "{violations}, {violations_seen_on_the_way} ({looks_for_violations} looks)".format_map(figures)
    rescued = f"leases of the dead taken back ({figures['rescued']:,}; a lease is {plan['lease']:g} s)"
    lines = [
        ("pictures added, replaced, poisoned", added, ""),
        ("replaced while a worker had them", f"{figures['replaced_in_flight']:,}", ""),
        ("workers killed -9 by us, by pictures", killed, ""),
        ("Redis flushed and killed, Postgres crashed", crashed, ""),
        ("lost", str(figures["lost"]), "0"),
        ("stale", str(figures["stale"]), "0"),
        ("duplicate", str(figures["duplicate"]), "0"),
        ("violations at the end, on the way", violations, "0, 0"),
        ("poison set aside at exactly max_attempts", figures["poison_at_exactly_max_attempts"], "all"),
        ("poison that ended otherwise than it should", str(figures["poison_not_as_it_should"]), "0"),
        ("neighbours harmed", str(figures["neighbours_harmed"]), "0"),
        ("workers that ended of themselves", str(figures["worker_bugs"]), "0"),
        (rescued, _seconds(figures["rescue_s"]), "p99 ≤ lease + 5 s"),
    ]
    for name, spread in figures.get("pick_up_s", {}).items():
        lines.append((f"picked up after COMMIT, {name}", _seconds(spread), "≤ 5 s"))
    if asked := figures.get("sigterm"):
        lines += [
            (f"{plan['terms']} SIGTERMs under load, exit after", _seconds(asked["seconds"]), "≤ 15 s"),
            (
                "… wrong exit codes, leases left, attempts burnt, pictures lost",
                f"{asked['bad_codes']}, {asked['left']}, {asked['burnt']}, {asked['lost']}",
                "0, 0, 0, 0",
            ),
        ]
    rate = figures["pictures"] / figures["worked_s"]
    return [
        *lines,
        ("duration; pictures/s through all of it", f"{figures['duration_s']:,.0f} s; {rate:.0f}/s", "< 1,200 s"),
    ]


def _seconds(spread: dict[str, float]) -> str:
    return f"p50 {spread['p50']:g}, p99 {spread['p99']:g}, max {spread['max']:g} s" if spread else "none"
