"""Several categories of an image, by every door that adds, changes and shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from PIL import Image as Picture
from sqlalchemy import select
from sqlalchemy.orm import Session

from imgsearch import add, change
from imgsearch.errors import UsageError
from imgsearch.ingest import words
from imgsearch.retrieval.hits import named_categories
from imgsearch.retrieval.listing import browse_products
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.sqlalchemy.models import Image
from tests.shop import Row, fill
from tests.terminal import Run

Connection = psycopg.Connection[Any]
ADDRESS = "https://x.example/1.jpg"


def stored(connection: Connection) -> list[Any]:
    return [row[0] for row in connection.execute("SELECT categories FROM imgsearch.image ORDER BY image_id").fetchall()]


def test_python_adds_and_changes_them(connection: Connection, settings: Settings) -> None:
    given: dict[str, Any] = {"product_id": "p", "settings": settings}
    assert add(connection, ADDRESS, categories=["shoes", " sale", "shoes", ""], **given).outcome == "added"
    assert add(connection, ADDRESS, categories="sale|shoes", **given).outcome == "unchanged"
    assert stored(connection) == [["sale", "shoes"]]
    assert len(change(connection, product_id="p", price=3).changed) == 1
    assert stored(connection) == [["sale", "shoes"]], "what is not named stays"
    assert len(change(connection, product_id="p", categories=["hats, gloves"]).changed) == 1
    assert change(connection, product_id="p", categories="hats, gloves").changed == ()
    assert stored(connection) == [["hats, gloves"]]
    assert len(change(connection, product_id="p", categories=None).changed) == 1
    most = [f"{n:0200}" for n in range(words.CATEGORIES)]
    assert add(connection, ADDRESS, categories=most, **given).outcome == "changed"
    assert stored(connection) == [most]
    assert add(connection, ADDRESS, **given).outcome == "changed"
    assert stored(connection) == [None]
    for wrong in ([*most, "one more"], ["x" * 201], ["a\0b"]):
        with pytest.raises(UsageError, match=r"at most 100|limit is 200|null character"):
            add(connection, ADDRESS, categories=wrong, **given)
        with pytest.raises(UsageError, match=r"at most 100|limit is 200|null character"):
            change(connection, product_id="p", categories=wrong)


def test_catalogues_and_the_command_line(connection: Connection, space: Space, run: Run, tmp_path: Path) -> None:
    Picture.new("RGB", (90, 90), "red").save(tmp_path / "red.png")
    (tmp_path / "a.csv").write_text("path,product_id,categories\nred.png,a,hats|sale\nred.png,b,\n")
    lines = [{"path": "red.png", "product_id": "c", "categories": ["bags"]}]
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, lines)))
    default = ("--categories", "rest", "--categories", "all")
    assert run("add", tmp_path / "a.csv", tmp_path / "b.jsonl", *default, "--no-wait").code == 0
    assert stored(connection) == [["hats", "sale"], ["all", "rest"], ["bags"]]
    assert run("product", "change", "a", "--categories", "x", "--categories", "y").code == 0
    assert run("product", "change", "b", "--empty", "categories").code == 0
    assert stored(connection) == [["x", "y"], None, ["bags"]]


def test_lists_and_models_show_them(connection: Connection, space: Space, settings: Settings, run: Run) -> None:
    fill(connection, space, [Row(vector=[1.0] * 48, product="p", category="shoes", tenant="default")])
    change(connection, product_id="p", categories=["sale", "shoes"])
    connection.commit()
    [listed] = browse_products(connection, category="sale")
    assert listed.categories == ["sale", "shoes"]
    [told] = run("product", "list", "--json").document
    assert told["categories"] == ["sale", "shoes"]
    assert "shoes, sale" in run("product", "list").out
    assert connection.execute("SELECT categories FROM imgsearch.images").fetchall() == [(["sale", "shoes"],)]
    with Session(_engine(settings)) as session:
        query = select(Image.product_id, Image.categories).where(Image.categories.contains(["sale"]))
        assert session.execute(query).all() == [("p", ["sale", "shoes"])]


def _engine(settings: Settings) -> Any:
    from sqlalchemy import create_engine

    return create_engine(settings.database_url.replace("postgresql://", "postgresql+psycopg://"))


def test_people_read_the_first_of_them() -> None:
    assert named_categories(None, None) is None
    assert named_categories("shoes", None) == "shoes"
    assert named_categories("shoes", ["sale", "shoes"]) == "shoes, sale"
    assert named_categories(None, [*"abcdef"]) == "a, b, c, d, e, …"
