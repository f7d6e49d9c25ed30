"""Equal letters in two spellings are one text: on the way in, in filters, and for what is called by it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from imgsearch import Filters, add, change, remove
from imgsearch.settings import Settings
from tests.http.conftest import open_app  # noqa: F401  # a fixture
from tests.terminal import Run
from tests.test_catalogues import matching
from tests.test_cli_add import picture

Connection = psycopg.Connection[Any]
ADDRESS = "https://cdn.example.com/a.jpg"
COMPOSED = unicodedata.normalize("NFC", "Café Ångström 한글")
FORMS = [COMPOSED, unicodedata.normalize("NFD", COMPOSED)]


@pytest.mark.parametrize("interface", ["python", "csv", "jsonl", "http"])
@pytest.mark.parametrize("form", FORMS, ids=["composed", "decomposed"])
def test_both_spellings_are_one(
    connection: Connection,
    settings: Settings,
    run: Run,
    open_app: Any,  # noqa: F811
    tmp_path: Path,
    form: str,
    interface: str,
) -> None:
    row: dict[str, Any] = {"product_id": form, "category": form, form: form}
    picture(tmp_path / "a.jpg", (1, 2, 3))
    named = {"product_id": form, "category": form, "title": form, "attributes": {form: form}, "codes": [form]}

    def catalogue(text: str) -> Any:
        (tmp_path / f"c.{interface}").write_text(text, encoding="utf-8")
        return run("add", tmp_path / f"c.{interface}", "--no-wait")

    lines = [["path", "title", *row], ["a.jpg", form, *row.values()]]
    put: dict[str, Callable[[], Any]] = {
        "python": lambda: add(connection, ADDRESS, settings=settings, **named),  # type: ignore[arg-type]
        "csv": lambda: catalogue("\n".join(map(",".join, lines))),
        "jsonl": lambda: catalogue(json.dumps({"path": "a.jpg", "title": form, **row}, ensure_ascii=False)),
        "http": lambda: open_app.test_client().post("/v1/images", json={"images": [{"url": ADDRESS, **named}]}),
    }
    put[interface]()
    stored = connection.execute("SELECT product_id, category, attributes FROM imgsearch.image").fetchall()
    assert stored == [(COMPOSED, COMPOSED, {COMPOSED: COMPOSED})]
    assert connection.execute("SELECT title FROM imgsearch.product").fetchone() == (COMPOSED,)
    for asked in FORMS:
        for within in (
            {"category": asked},
            {"product_ids": [asked]},
            {"attributes": {asked: asked}},
            {"attributes": {asked: [asked, "x"]}},
            {"condition": {"any": [{f"attributes.{asked}": asked}]}},
            {"condition": {"all": [{"category": asked}]}},
        ):
            assert matching(connection, **within) == {COMPOSED}, within
        assert add(connection, ADDRESS, product_id=asked, settings=settings).outcome in {
            "changed",
            "replaced",
            "unchanged",
        }
        assert change(connection, product_id=asked, category=asked, attributes={asked: asked}).images
    assert connection.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (1,)
    assert remove(connection, tenant="default", product_id=form)


def test_a_category_that_sql_wrote_in_either_form_is_found(connection: Connection) -> None:
    for number, form in enumerate(FORMS):
        connection.execute(
            "INSERT INTO imgsearch.image (tenant_id, product_id, category, uri) VALUES ('acme', %s, %s, 'store:x')",
            (f"p{number}", form),
        )
    for asked in FORMS:
        assert matching(connection, category=asked) == {"p0", "p1"}
    assert Filters(category="shoes").as_json() == '{"category": ["shoes"]}'
