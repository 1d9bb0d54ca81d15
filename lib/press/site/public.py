"""Where the book is public: its repository, its pages, and how an error in it is reported."""

import os
import tomllib
from urllib.parse import quote, urlencode

from press import ROOT


def repository() -> str | None:
    """The public repository, which the workflow names: owner/name."""
    return os.environ.get("GITHUB_REPOSITORY")


def address() -> str | None:
    """Where its pages are published."""
    owner, _, name = (repository() or "").partition("/")
    return f"https://{owner.lower()}.github.io/{quote(name)}" if name else None


def version() -> str:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def report(title: str, body: str) -> str | None:
    """An address that opens a report, with a title and what it is about."""
    if not repository():
        return None
    return f"https://github.com/{repository()}/issues/new?" + urlencode({"title": title, "body": body}, quote_via=quote)
