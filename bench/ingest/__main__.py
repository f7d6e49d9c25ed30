"""Measures ingest: from JPEGs in the store to committed rows, beside the bare forward rate of the same model.

python -m bench.ingest                                              the demo's model
python -m bench.ingest --shape siglip-b16-256 --pictures 90         a full-size model with random weights
python -m bench.ingest --shape siglip-b16-256 --device cuda --pictures 30000 --workers 2 --batch 64
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

from bench.ingest.report import summary, tables
from bench.ingest.run import Plan, measure
from bench.ingest.shape import OTHERS, OUT, SIZES


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the tables, write the JSON."""
    given = vars(_options(arguments))
    out: Path = given.pop("json")
    console = Console(width=110)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and workers are ended, too
    figures = measure(Plan(**given), lambda line: console.print(f"[dim]{line}[/]"))
    figures["summary"] = summary(figures)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=1))
    machine = figures["machine"]
    device = f"{machine.get('gpu', machine['device'])}, {machine['dtype']}, {machine['threads']} threads"
    about = f"{machine['cores']} cores, JPEGs of {figures['jpeg_bytes']:,.0f} bytes"
    console.print(f"{given['shape']} on {device}, {about}")
    for table in tables(figures):
        console.print(table)
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.ingest", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds: dict[str, Any] = {"int": int, "float": float, "str": str}
    more = {
        "shape": f"tiny, {', '.join([*SIZES, *OTHERS])}, a folder or a hub name",
        "seconds": "of bare passes between the lots",
    }
    for field in fields(Plan):
        about = f"{more.get(field.name, '')} (default {field.default})".strip()
        name, kind = f"--{field.name.replace('_', '-')}", kinds[str(field.type)]
        parser.add_argument(name, type=kind, default=field.default, help=about)
    parser.add_argument("--json", type=Path, default=OUT / "ingest.json", help="where the figures go")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
