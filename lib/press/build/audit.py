"""A look at the built pages before they are published: what is missing, mute, dead, heavy, or loaded from elsewhere."""

import re
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

from press.build.chapters import toc
from press.ledger import LEDGER, floors

HEAVIEST = 2_000_000  # bytes of a page


def audit(site: Path) -> tuple[list[str], Counter]:
    """What is wrong with the built site, one line each (nothing where it may be published), and what it holds."""
    found, counts = [], Counter(pages=0, statements=0, figures=0, claims=0, links=0)
    parsed: dict[Path, BeautifulSoup] = {}
    for page in toc():
        file = site / f"{page}.html"
        if not file.is_file():
            found.append(f"{page}: is in _toc.yml, but was not built")
            continue
        html = parsed[file.resolve()] = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
        article = html.find("article")
        if article is None or len(article.get_text().split()) < 20:
            found.append(f"{page}: has fewer than 20 words")
            continue
        if (size := file.stat().st_size) > HEAVIEST:
            found.append(f"{page}: has {size:,} bytes; allowed: {HEAVIEST:,}")
        counts["pages"] += 1
        counts["statements"] += len(article.select("div.proof"))
        counts["claims"] += len(article.select("div.claim"))
        counts["figures"] += len(article.find_all("figure"))
        found += [f"{page}: {fault}" for fault in [*figure_faults(article), *loads(html), *runs(html)]]
    places = {file: {tag["id"] for tag in html.find_all(id=True)} for file, html in parsed.items()}
    for file, html in parsed.items():
        page = file.relative_to(site.resolve()).with_suffix("").as_posix()
        for link in html.find("main").find_all("a") if html.find("main") else ():
            target = link.get("href") or link.get("xlink:href")  # the second in a drawing
            if not target:
                continue
            address = urlsplit(target)
            if not (address.scheme or address.netloc):
                counts["links"] += 1
                if dead := dead_end(file, unquote(address.path), unquote(address.fragment), places):
                    found.append(f"{page}: the link to {target} {dead}")
    for kind, least in floors().items():
        if counts[kind] < least:
            found.append(f"{LEDGER}: [floors] {kind} = {least}, and the book has {counts[kind]}")
    return found, counts


def figure_faults(article: Tag) -> list[str]:
    """Figures without name or caption, images without alternative text."""
    found = []
    for image in article.find_all(["img", "svg"]):
        if not (image.get("alt") or image.get("aria-label") or image.get("aria-hidden")):
            found.append(f"an image without alternative text: {str(image)[:80]}")
        if image.name == "svg" and image.find_parent(class_="cell_output") and not image.find_parent("figure"):
            found.append(f"a figure without name and caption: {image.get('aria-label', '')[:80]}")
    for figure in article.find_all("figure"):
        caption = figure.find("figcaption")
        if not figure.get("id", "").startswith("fig-") or caption is None or len(caption.get_text().split()) < 5:
            found.append(f"a figure whose name does not start with fig-, or with no caption: {figure.get('id')}")
    return found


def loads(html: BeautifulSoup) -> list[str]:
    """What the page would fetch from elsewhere without being asked."""
    found = []
    for tag in html.find_all(True):
        style = tag.get("style", "") + (tag.get_text() if tag.name == "style" else "")
        asked = re.findall(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""", style)
        addresses = [one or other for one, other in asked] + [tag.get(name, "") for name in ("src", "poster", "data")]
        addresses += [part.split()[0] for part in tag.get("srcset", "").split(",") if part.strip()]
        quiet = {"canonical", "next", "prev", "search", "license", "author", "alternate", "help", "index"}
        if tag.name in ("image", "use", "feimage") or (tag.name == "link" and not set(tag.get("rel", [])) <= quiet):
            addresses += [tag.get("href", ""), tag.get("xlink:href", "")]
        for address in addresses:
            if re.match(r"(https?:|ftp:|//)", as_browsers_read(address)):
                found.append(f"loads {address}")
    return found


def as_browsers_read(address: str) -> str:
    """An address in small letters, without what browsers leave out of it, and with slashes for backslashes."""
    return re.sub(r"[\x00-\x20]", "", address).replace("\\", "/").lower()


def runs(html: BeautifulSoup) -> list[str]:
    """What a page would run that is not one of the site's own scripts: inline code, and frames of other documents."""
    found = []
    for tag in html.find_all(True):
        script = tag.name == "script" and not tag.get("src") and not re.search(r"json$", tag.get("type", ""))
        script = script or (
            tag.name == "meta" and re.search(r"url=['\"]?(\w+:|//)", as_browsers_read(tag.get("content", "")))
        )
        if script or tag.name in ("iframe", "object", "embed", "base"):
            found.append(f"a <{tag.name}> of its own: {str(tag)[:80]}")
        for name, value in tag.attrs.items():
            told = as_browsers_read(str(value))
            if name.lower().startswith("on") or re.match(r"javascript:|vbscript:|data:text", told):
                found.append(f"a <{tag.name}> that runs {name}={str(value)[:60]}")
    return found


def dead_end(file: Path, path: str, fragment: str, places: dict[Path, set[str]]) -> str | None:
    """Why an internal link leads nowhere; None where it arrives. `places` are the ids of each page."""
    target = (file.parent / path).resolve() if path else file
    if not target.exists():
        return "leads to no file"
    if fragment and target in places and fragment not in places[target]:
        return "leads to no place on that page"
    return None
