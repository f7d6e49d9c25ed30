"""Near-duplicates: what is found of photographs under twenty edits, what is merged wrongly, and how time grows.

python -m bench.duplicates FOLDER                  photographs of your own under each edit, drawn ones beside them
python -m bench.duplicates FOLDER --rows 50000,100000,200000 --into bench/out/duplicates.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench.duplicates import growth, pool, quality
from bench.duplicates.pictures import photographs, planes
from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.settings import load_settings


def main() -> None:
    """Print the tables, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="photographs")
    parser.add_argument("--drawn", type=int, default=3000, help="drawn pictures beside them (default 3000)")
    parser.add_argument("--model", help="whose vectors the second tier asks (default: none, that tier by hashes alone)")
    parser.add_argument("--rows", default="", help="whole catalogues of so many hashes: 50000,100000,200000")
    parser.add_argument("--home", type=Path, default=Path("bench/out/duplicates"), help="of the database server")
    parser.add_argument("--into", type=Path, help="a JSON file")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    if options.drawn or not options.rows:
        found["quality"] = quality.measured(photographs(options.folder), options.drawn, options.model)
        print(quality.table(found["quality"]))
    if options.rows:
        found["growth"] = _growth(options)
    if options.into:
        options.into.write_text(json.dumps(found, indent=1))


def _growth(options: argparse.Namespace) -> list[dict[str, Any]]:
    known = pool.waves(planes(options.folder))
    home = options.home.absolute()
    servers = embedded.start(home, memory_mb=2048, durable=False)
    settings = load_settings({"DATABASE_URL": servers.database_url, "HOME": str(home)}, environ={})
    schema.upgrade(settings)
    measured = []
    try:
        with db.connect(settings, autocommit=True) as connection:
            for rows in map(int, options.rows.split(",")):
                measured.append(growth.measured(connection, known, rows))
                print(json.dumps(measured[-1]), flush=True)
    finally:
        embedded.stop(home)
    return measured


if __name__ == "__main__":
    main()
