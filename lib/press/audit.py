"""A look at the built pages before they are published: what is empty, mute, broken, or loaded from elsewhere."""

from pathlib import Path

import yaml
from bs4 import BeautifulSoup

from press import ROOT


def pages() -> list[str]:
    """The pages that the table of contents names."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [chapter["file"] for part in toc.get("parts", []) for chapter in part["chapters"]]
    return [toc["root"], *chapters]


def faults(site: Path) -> list[str]:
    """What is wrong with the built site, one line each; nothing where it may be published."""
    found = []
    for page in pages():
        file = site / f"{page}.html"
        if not file.is_file():
            found.append(f"{page}: is in _toc.yml, but was not built")
            continue
        html = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
        article = html.find("article")
        if article is None or len(article.get_text().split()) < 20:
            found.append(f"{page}: has fewer than 20 words")
            continue
        for image in article.find_all(["img", "svg"]):
            if not (image.get("alt") or image.get("aria-label") or image.get("aria-hidden")):
                found.append(f"{page}: a figure without alternative text: {str(image)[:80]}")
        for tag in html.find_all(["script", "link", "img", "iframe", "source", "video", "audio", "object"]):
            address = tag.get("src") or tag.get("href") or tag.get("data") or ""
            asks = tag.name != "link" or {"stylesheet", "icon", "preload"} & set(tag.get("rel", []))
            if asks and address.startswith(("http:", "https:", "//")):
                found.append(f"{page}: loads {address}")
    return found
