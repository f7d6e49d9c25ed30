"""The Python of the guides is code that other tests run: each block is a piece of one of these files, word for word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_readme import ROOT, blocks

RUN = {
    "guide-oscar.md": [*(ROOT / "examples/oscar_shop").rglob("*.py"), *(ROOT / "tests/oscar").glob("*.py")],
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
    said = blocks("py", (ROOT / "docs" / guide).read_text())
    run = [plain(path.read_text()) for path in RUN[guide]]
    assert said
    assert [block for block in said if not any(plain(block.partition("  # pip")[0]) in one for one in run)] == []


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs/README.md").read_text()
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"({page})" not in index} == set()
    assert [t for t in re.findall(r"\]\(([^)#]+)\)", index) if not (Path(ROOT / "docs") / t).exists()] == []
