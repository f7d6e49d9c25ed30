"""Settings of a project: read once, not for every search; and read anew when a test overrides them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from django.test import override_settings

from imgsearch.django import site
from imgsearch.django.checks import check_settings

opened: list[str] = []


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and str(arguments[0]).endswith(".env"):
        opened.append(str(arguments[0]))


def test_the_dotenv_file_is_read_once_not_for_every_search_and_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("IMGSEARCH_BATCH=3\n")
    sys.addaudithook(_note)
    site.forget_settings()
    opened.clear()
    try:
        for _ in range(5):
            assert site.settings().batch == 3
            site.store()
            site.environment()
    finally:
        site.forget_settings()
    assert len(opened) == 1


def test_a_test_may_override_settings() -> None:
    before = site.settings().batch
    with override_settings(IMGSEARCH={"BATCH": 9}):
        assert site.settings().batch == 9
    assert site.settings().batch == before


def test_the_system_check_names_every_wrong_setting() -> None:
    with override_settings(IMGSEARCH={"BATCH": "many", "NOSUCH": 1}):
        [found] = check_settings()
    assert "IMGSEARCH_BATCH is 'many'" in str(found)
    assert "There is no setting IMGSEARCH_NOSUCH" in str(found)
