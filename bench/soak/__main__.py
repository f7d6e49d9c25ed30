"""Kills workers, Redis and Postgres while pictures are added, and counts what is lost: it should be nothing.

python -m bench.soak                                   20,000 pictures, under 20 minutes
python -m bench.soak --pictures 1000 --terms 3         a short look
python -m bench.soak --model demo --kill-every 15 --pictures 3000   with the real small model
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.soak.report import failures, table
from bench.soak.run import Plan, soak

OUT = Path(__file__).parents[1] / "out" / "soak.json"


def main(arguments: list[str] | None = None) -> int:
    """Run the soak; answer 0 when nothing was lost, harmed, stale or late."""
    given = vars(_options(arguments))
    out: Path = given.pop("json")
    console = Console()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and workers are ended, too
    plan = Plan(**given)
    figures = soak(plan, lambda line: console.print(f"[dim]{line}[/]"))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=1, default=str))
    console.print(table(figures))
    wrong = failures(figures)
    console.print(
        "\n".join(f"[red]{line}[/]" for line in wrong) or "[green]nothing lost, nothing stale, nobody harmed[/]"
    )
    return 1 if wrong else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds: dict[str, Any] = {"int": int, "float": float, "str": str}
    for field in fields(Plan):
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=kinds[str(field.type)], default=field.default, help=f"default {field.default}")
    parser.add_argument("--json", type=Path, default=OUT, help="where the figures go")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
