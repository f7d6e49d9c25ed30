"""The command line: catalogues in, JSON out."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import uuid
from typing import Any

from imgsearch.query import ImageId
from tests.doors import door_psql
from tests.doors.scenario import Answer, Item, Place, Question


def _imgsearch(place: Place, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "imgsearch", *arguments, "--json"],
        env=place.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def add(place: Place, items: list[Item], price: float | None = None) -> None:
    folder = place.folder / uuid.uuid4().hex
    folder.mkdir()
    with (folder / "catalogue.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "product_id", "tenant_id", "category", "price"])
        for i in items:
            (folder / f"{i.product_id}.png").write_bytes(i.picture())
            rows.writerow(
                [f"{i.product_id}.png", i.product_id, i.tenant_id, i.category, i.price if price is None else price]
            )
    assert _imgsearch(place, "add", str(folder / "catalogue.csv"), "--no-wait")["failed"] == 0


def ask(place: Place, question: Question) -> Answer:
    arguments = [
        part for name, value in question.filters.items() for part in ("--" + name.replace("_", "-"), str(value))
    ]
    if isinstance(question.query, bytes):
        (place.folder / "asked.png").write_bytes(question.query)
        arguments += ["--picture", str(place.folder / "asked.png")]
    elif isinstance(question.query, ImageId):
        arguments += ["--image-id", str(question.query.image_id)]
    else:
        arguments += [str(question.query)]
    page = _imgsearch(place, "search", *arguments)
    return Answer([(row["image_id"], row["distance"]) for row in page["rows"]], page["strategy"], None)


def reprice(place: Place, item: Item, price: float) -> None:
    add(place, [item], price)


remove = door_psql.remove  # the command line deletes tenants, not single pictures
