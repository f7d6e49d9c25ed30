"""The Python of the guides is code that other tests run: each block is a piece of one of these files, word for word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from imgsearch.settings import table as settings_table
from tests.test_readme import ROOT, blocks

RUN = {
    "guide-oscar.md": [*(ROOT / "examples/oscar_shop").rglob("*.py"), *(ROOT / "tests/adopt/oscar").glob("*.py")],
    "guide-wagtail.md": [
        *(ROOT / "examples/wagtail_site").rglob("*.py"),
        *(ROOT / "examples/wagtail_site").rglob("*.html"),
        *(ROOT / "tests/adopt/wagtail").glob("*.py"),
    ],
    "guide-fastapi.md": [ROOT / "examples/fastapi_shop/shop.py"],
    "replicas.md": [ROOT / "tests/test_replicas.py", ROOT / "tests/django/routers.py"],
    "guide-shapes.md": [
        ROOT / "examples/oscar_shop/looks/search.py",
        ROOT / "tests/test_sqlalchemy_shop.py",
        ROOT / "tests/django/test_testing.py",
    ],
}


def plain(code: str) -> str:
    """Return code without what formatting changes: spaces, line ends, and comments for tools."""
    return re.sub(r"\s+", "", re.sub(r"  # (?:noqa|type: ignore).*", "", code))


@pytest.mark.parametrize("guide", RUN)
def test_every_block_is_a_piece_of_what_runs(guide: str) -> None:
    text = (ROOT / "docs" / guide).read_text()
    said = [*blocks("py", text), *blocks("html", text)]
    run = [plain(path.read_text()) for path in RUN[guide]]
    assert said
    assert [block for block in said if not any(plain(block.partition("  # pip")[0]) in one for one in run)] == []


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs/README.md").read_text()
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"({page})" not in index} == set()
    assert [t for t in re.findall(r"\]\(([^)#]+)\)", index) if not (Path(ROOT / "docs") / t).exists()] == []


@pytest.mark.parametrize("page", ["replicas.md", "poolers.md"])
def test_settings_that_a_page_sets_are_settings(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    known = {row.variable for row in settings_table()}
    lines = [line for block in blocks("sh", text) for line in block.splitlines()]
    assert lines
    for line in lines:
        name, _, url = line.partition("  #")[0].strip().replace("'", "").partition("=")
        assert name in known, line
        assert conninfo_to_dict(url)["dbname"] == "shop"
    assert set(re.findall(r"IMGSEARCH_[A-Z_]+", text)) <= known
