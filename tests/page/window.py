"""What tests do again and again in a browser's window on the page."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.processes import eventually

ROOT = Path(__file__).parents[2]
ARTEFACTS = ROOT / "tests/artefacts"
WAIT = int(os.environ.get("PAGE_WAIT", "40000"))  # ms; the machine may be busy


def picture(name: str, page: Page) -> None:
    """Keep a picture of the page, for people to look at."""
    ARTEFACTS.mkdir(exist_ok=True)
    # evaluate(), not wait_for_function(): where that has to wait it needs eval(), which the page's policy forbids.
    eventually(lambda: page.evaluate("[...document.images].every(image => image.complete || image.loading === 'lazy')"))
    page.screenshot(path=ARTEFACTS / f"{name}.png")


def ask(page: Page, words: str) -> None:
    page.locator("#q").fill(words)
    page.locator("#q").press("Enter")
    expect(page.locator("#statement")).to_contain_text(words)


def titles(page: Page) -> list[str]:
    return page.locator(".card h2").all_inner_texts()
