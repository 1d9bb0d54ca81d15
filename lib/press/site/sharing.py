"""What a page says of itself where it is linked to, and, where the book is public, how to report an error in it."""

import os

from docutils import nodes

from press import ROOT
from press.site.cards import render
from press.site.public import address, report, version
from press.site.reading import chapter_of

COVER = "cover.png"  # of the book's assets, 1200 × 630


def description(pagename: str, doctree: nodes.document) -> str:
    """The question of a chapter; of another page the words before its first formula or list, two sentences at most."""
    chapter = chapter_of(pagename)
    if chapter and (asked := chapter.front.get("opening", {}).get("asks")):
        return asked
    told = next((paragraph.astext() for paragraph in doctree.findall(nodes.paragraph)), "")
    return ". ".join(" ".join(told.split()).split(". ")[:2])


def share(app, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Open Graph tags on every page of the book, and a quiet line at its foot."""
    if not doctree:
        return
    base, about = address(), description(pagename, doctree)
    context["metatags"] += render(
        "sharing.html",
        title=context["title"],
        book=app.config.html_title,
        about=about,
        address=f"{base}/{pagename}.html" if base else None,
        cover=f"{base}/_static/{COVER}" if base and (ROOT / "book" / "assets" / COVER).is_file() else None,
    )
    if base:
        edition = os.environ.get("EDITION")  # the tag of an edition, which stays where it is
        context["body"] += render(
            "public.html",
            report=report(f"{context['title']}: ", f"On {base}/{pagename}.html, version {version()}:\n\n"),
            version=version(),
            pdf=f"{base}/book.pdf",
            kept=f"{base}/editions/{edition}/{pagename}.html" if edition else None,
        )
