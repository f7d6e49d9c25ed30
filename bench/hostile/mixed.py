"""Half an hour of everything at once: honest customers beside slow clients, hanging addresses, bad pictures.

    python -m bench.hostile.mixed --minutes 30

Prints p50, p99 and errors of each kind of honest request, what the others were told, and the memory of the web process
over time; writes the same to bench/out/mixed.json. Leaves with 1 where an honest request failed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.hostile import attacks, honest
from bench.hostile.attacks import silent
from bench.hostile.honest import Crowd, Customer, Kind
from bench.hostile.shop import Shop, opened

OUT = Path(__file__).parents[1] / "out" / "mixed.json"
# name → (what, whose key, threads, seconds between two requests of a thread)
CUSTOMERS: dict[str, tuple[Kind, str, int, float]] = {
    "/healthz": (honest.health, "bazaar search", 1, 0.5),
    "known words": (honest.words, "bazaar search", 2, 0.1),
    "words and filters": (honest.filtered, "bazaar search", 1, 0.1),
    "like an image": (honest.alike, "bazaar search", 1, 0.2),
    "new words": (honest.new_words, "bazaar search", 1, 1.0),
    "by a photo": (honest.photo, "bazaar search", 1, 1.0),
    "an upload": (honest.upload, "bazaar write", 1, 1.0),
}


def main() -> int:
    """Run it and print its tables; return 1 where an honest request failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--pictures", type=int, default=1_000, help="how many the shop has at first (1,000)")
    given = parser.parse_args()
    console = Console()
    with silent.listening() as port, opened(given.pictures, f"127.0.0.1:{port}", console.print) as shop:
        figures = mixed(shop, given.minutes * 60)
        if figures["errors"]:
            console.print((shop.settings.home / "web.log").read_text()[-6_000:], markup=False)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(figures, indent=1))
    show(console, figures)
    return 1 if figures["errors"] else 0


def mixed(shop: Shop, seconds: float) -> dict[str, Any]:
    """Let everybody loose for so long; return what was seen."""
    over = threading.Event()
    told: dict[str, Counter[str]] = {name: Counter() for name in STRANGERS}
    strangers = [
        threading.Thread(target=_repeat, args=(shop, act, pause, over, told[name]), daemon=True)
        for name, (act, pause) in STRANGERS.items()
    ]
    memory: list[tuple[float, float]] = []
    with Crowd(shop, CUSTOMERS) as tally:
        time.sleep(2)
        for one in strangers:
            one.start()
        began = time.monotonic()
        with Progress() as progress:
            task = progress.add_task("mixed load", total=seconds)
            while (at := time.monotonic() - began) < seconds:
                progress.update(task, completed=at)
                memory.append((round(at), round(shop.web.memory_info().rss / 2**20, 1)))
                time.sleep(min(10, seconds / 20))
        over.set()
        for one in strangers:
            one.join(90)
    return {
        "seconds": seconds,
        "kinds": {name: spread(found) for name, found in tally.milliseconds.items()},
        "errors": tally.errors,
        "strangers": {name: dict(said) for name, said in told.items()},
        "memory_mb": memory,
    }


def spread(milliseconds: list[float]) -> dict[str, float]:
    """Return how many there were, their p50, p99 and maximum in ms."""
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive") if len(milliseconds) > 1 else [0.0] * 99
    found = {"p50": cuts[49], "p99": cuts[98], "max": max(milliseconds, default=0.0)}
    return {"requests": len(milliseconds)} | {name: round(value, 1) for name, value in found.items()}


def show(console: Console, figures: dict[str, Any]) -> None:
    """Print the tables."""
    table = Table("honest request", "requests", "p50 ms", "p99 ms", "max ms")
    for name, found in figures["kinds"].items():
        table.add_row(name, *(f"{found[key]:,}" for key in ("requests", "p50", "p99", "max")))
    console.print(table)
    others = Table("stranger", "was told")
    for name, said in figures["strangers"].items():
        others.add_row(name, ", ".join(f"{times} × {what}" for what, times in sorted(said.items())))
    console.print(others)
    memory = [mb for _, mb in figures["memory_mb"]]
    third = max(1, len(memory) // 3)
    parts = [statistics.fmean(memory[place : place + third]) for place in (0, third, 2 * third)]
    console.print("web process, MB in each third: " + ", ".join(f"{mb:.1f}" for mb in parts))
    console.print(f"errors of honest requests: {len(figures['errors'])}")
    console.print("\n".join(figures["errors"][:20]))


def _damaged(shop: Shop) -> str:
    """Add half a picture."""
    customer = Customer(shop, shop.keys["acme write"])
    whole = honest.drawn(int(time.time() * 1000) % 10**9)
    body, kind = honest.form({"request": b'{"images": [{"product_id": "bad"}]}'}, whole[: len(whole) // 2])
    return str(customer.ask("POST", "/v1/images/upload", body, kind)[0])


def _slow(shop: Shop) -> str:
    attacks.slow_headers(shop)
    return "cut or gone"


STRANGERS: dict[str, tuple[Callable[[Shop], str], float]] = {
    "500 slow connections": (_slow, 1.0),
    "16 addresses at a silent host": (attacks.silent_hosts, 5.0),
    "20,000 values": (attacks.many_values, 5.0),
    "the most that is allowed": (attacks.most_values, 5.0),
    "28 MB of lists": (attacks.many_lists, 20.0),
    "half a picture": (_damaged, 2.0),
}


def _repeat(shop: Shop, act: Callable[[Shop], str], pause: float, over: threading.Event, told: Counter[str]) -> None:
    while not over.wait(pause):
        try:
            told[act(shop)] += 1
        except OSError as error:
            told[type(error).__name__] += 1


if __name__ == "__main__":
    sys.exit(main())
