"""The published book as one PDF, page by page by a browser, with an outline."""

import io
import shutil
from pathlib import Path

from press.build.chapters import toc
from press.build.doctor import BROWSERS
from press.build.publish import HTML, site_reasons

WITHIN = "document.querySelectorAll('a[href]').forEach(a => a.protocol === 'file:' && a.removeAttribute('href'))"


def pdf(target: Path) -> None:
    """Write it to `target`. Refuses a site that is not current, and says what is missing to print it."""
    if why := site_reasons():
        raise SystemExit(f"press: not current: {'; '.join(why)}; run `python -m press build`")
    try:
        from playwright.sync_api import sync_playwright
        from pypdf import PdfWriter
    except ImportError as error:
        raise SystemExit(f"press: pdf needs {error.name}; install the extra `pdf`") from None
    if not (browser := next(filter(None, map(shutil.which, BROWSERS)), None)):
        raise SystemExit(f"press: pdf needs a browser, one of {', '.join(BROWSERS)}")
    book = PdfWriter()
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"]) as chrome,
    ):
        for page in toc():
            tab = chrome.new_page(color_scheme="light")
            tab.goto((HTML / f"{page}.html").as_uri(), wait_until="load")
            tab.evaluate(WITHIN)  # what leads to another page would lead to this machine
            name = tab.title().partition(" \N{EM DASH} ")[0]
            printed = io.BytesIO(tab.pdf(prefer_css_page_size=True, print_background=True))
            book.append(printed, outline_item=name, import_outline=False)
            tab.close()
    book.compress_identical_objects()
    part = target.with_name(f".{target.name}.part")
    book.write(part)
    part.replace(target)
    print(f"{target}: {len(book.pages)} pages")
