"""A real browser without a screen: what people see of a page, and what it complains about."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium; the test is left out where none is installed."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (on Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--disable-gpu"])
        try:
            yield found
        finally:
            found.close()


@contextmanager
def opened(browser: Browser, address: str, expected: str = "", **context: Any) -> Iterator[Page]:
    """A page; afterwards it must not have complained of anything but what the `expected` pattern finds."""
    context = {"viewport": {"width": 1000, "height": 900}, "reduced_motion": "reduce"} | context
    own = browser.new_context(**context)
    own.set_default_timeout(15_000)
    complaints: list[str] = []
    page = own.new_page()
    page.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message) or dialog.dismiss())
    try:
        page.goto(address)
        yield page
        unexpected = [said for said in complaints if not expected or not re.search(expected, said)]
        assert not unexpected, unexpected
    finally:
        own.close()
