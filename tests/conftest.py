"""The browser that tests ask for, and one closing line where there is none."""

import os
import shutil

import pytest

CHROMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MACOS = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
NO_BROWSER = "no Chromium or Chrome found"


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium or Chrome of this machine; tests that need one are skipped where there is none."""
    path = next(filter(None, map(shutil.which, CHROMES)), MACOS if os.path.exists(MACOS) else None)
    if path is None:
        (pytest.fail if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip)(NO_BROWSER)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def pytest_terminal_summary(terminalreporter) -> None:
    skipped = [r for r in terminalreporter.stats.get("skipped", []) if NO_BROWSER in str(r.longrepr)]
    if skipped:
        files = ", ".join(sorted({report.nodeid.split("::")[0] for report in skipped}))
        terminalreporter.write_line(f"not run, {NO_BROWSER}: {len(skipped)} tests of {files}")
