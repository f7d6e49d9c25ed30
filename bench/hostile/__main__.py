"""Each known attack on `imgsearch serve`: what it costs, and what honest customers notice meanwhile.

    python -m bench.hostile                        every attack, on servers and a shop of its own (about 5 minutes)
    python -m bench.hostile --only 'A2|A3'         some
    python -m bench.hostile.mixed --minutes 30     honest customers beside all of them at once

"before" is what the same attack did to the first version, as the review of it measured.
"""

from __future__ import annotations

import argparse
import re
import threading
import time
from dataclasses import dataclass

import psutil
from rich.console import Console
from rich.table import Table

from bench.hostile.attacks import ATTACKS, Attack, silent
from bench.hostile.honest import Crowd, health, words
from bench.hostile.shop import Shop, opened

HONEST = {"health": (health, "bazaar search", 1, 0.05), "search": (words, "bazaar search", 1, 0.05)}


@dataclass
class Seen:
    """One attack: what it said, how long it took, what it cost, what others noticed."""

    said: str
    seconds: float
    web_mb: float
    backend_mb: float
    health_ms: float
    search_ms: float
    errors: list[str]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="attacks whose names match this expression")
    parser.add_argument("--pictures", type=int, default=600, help="how many the shop has (600)")
    given = parser.parse_args()
    console = Console(width=200)
    table = Table("attack", "before", "now", "s", "web MB", "backend MB", "/healthz ms", "search ms", "others' errors")
    errors: list[str] = []
    with silent.listening() as port, opened(given.pictures, f"127.0.0.1:{port}", console.print) as shop:
        with Crowd(shop, HONEST):
            time.sleep(3)  # the first requests open connections
        for name, (before, attack) in {"nothing": ("–", _nothing), **ATTACKS}.items():
            if re.search(given.only, name):
                console.print(f"[dim]{name} …[/]")
                seen = observe(shop, attack)
                figures = [f"{one:,.0f}" for one in (seen.web_mb, seen.backend_mb, seen.health_ms, seen.search_ms)]
                table.add_row(name, before, seen.said, f"{seen.seconds:.2f}", *figures, str(len(seen.errors)))
                errors += seen.errors
    console.print(table)
    console.print("\n".join(errors[:20]))


def observe(shop: Shop, attack: Attack) -> Seen:
    """Run one attack beside honest customers; memory in MB is the highest seen above that before it."""
    over = threading.Event()
    peak = {"web": 0.0, "backend": 0.0}
    base = {"web": _mb(shop.web), "backend": max(map(_mb, shop.backends()), default=0.0)}

    def watch() -> None:
        while not over.wait(0.05):
            peak["web"] = max(peak["web"], _mb(shop.web) - base["web"])
            peak["backend"] = max(peak["backend"], *(_mb(one) - base["backend"] for one in shop.backends()))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    with Crowd(shop, HONEST) as tally:
        time.sleep(0.5)
        began = time.monotonic()
        said = attack(shop)
        seconds = time.monotonic() - began
        time.sleep(0.5)
    over.set()
    watcher.join()
    return Seen(said, seconds, peak["web"], peak["backend"], tally.worst("health"), tally.worst("search"), tally.errors)


def _nothing(shop: Shop) -> str:
    time.sleep(10)
    return "–"


def _mb(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 2**20
    except psutil.Error:
        return 0.0


if __name__ == "__main__":
    main()
