"""The README's table of PostgreSQL versions is what `make postgres` wrote, and no hand."""

from __future__ import annotations

from pathlib import Path

from imgsearch.settings import Settings
from tests.postgres import HEADER, ROOT, ROW, record


def test_a_run_replaces_its_row_and_leaves_the_others(settings: Settings, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    rows = "| 15.20 | 0.8.5 | core | 2020-01-01 |\n| 18.0 | 0.8.0 | core | 2020-01-01 |\n"
    readme.write_text(f"before\n\n{HEADER}{rows}\nbehind | 1 |\n", encoding="utf-8")
    record(settings.database_url, readme)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"before\n\n{HEADER}| 15.20 | 0.8.5 | core | 2020-01-01 |\n")
    assert text.endswith("|\n\nbehind | 1 |\n")
    assert "| 18.0 | 0.8.0 |" not in text
    once = text
    record(settings.database_url, readme)
    assert readme.read_text(encoding="utf-8") == once


def test_the_readme_names_only_what_a_run_writes() -> None:
    behind = (ROOT / "README.md").read_text(encoding="utf-8").partition(HEADER)[2]
    table = "" if behind.startswith("\n") else behind.partition("\n\n")[0] + "\n"
    rows = [(match[1], match[0]) for match in ROW.finditer(table)]
    assert "".join(row for _, row in rows) == table
    versions = [version for version, _ in rows]
    assert versions == sorted(set(versions), key=int)
    assert all(row.count(" | core | 20") == 1 for _, row in rows)
