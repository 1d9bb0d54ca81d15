"""Scripts and handlers that the theme writes into a page become files of their own.

So a page works under a policy that allows no inline script. What stands in the article is the book's own: it stays, and
the audit refuses it.
"""

import hashlib
import html
import re
from pathlib import Path

SCRIPT = re.compile(r"<script(?![^>]*\s(?:src|type)=)([^>]*)>(.*?)</script>", re.S)
HANDLER = re.compile(r'\son(\w+)="([^"]*)"')
ATTACH = """document.querySelectorAll('[data-on{event}="{name}"]').forEach((element) =>
  element.addEventListener("{event}", function (event) {{ {code} }}));
"""


def own_scripts(site: Path) -> None:
    """Rewrite every page of a built site; scripts keep their order, and a handler is attached once the page is read."""
    for page in site.rglob("*.html"):
        depth = len(page.relative_to(site).parts) - 1
        if page.is_relative_to(site / "_static"):
            continue
        text, handlers = page.read_text(encoding="utf-8"), []

        def file(code: str, depth=depth) -> str:
            name = f"_static/inline/{hashlib.sha256(code.encode()).hexdigest()[:16]}.js"
            (site / name).parent.mkdir(exist_ok=True)
            (site / name).write_text(code, encoding="utf-8")
            return "../" * depth + name

        def script(found: re.Match, file=file) -> str:
            return f'<script{found[1]} src="{file(found[2])}"></script>'

        def handler(found: re.Match, file=file, handlers=handlers) -> str:
            event, code = found[1], html.unescape(found[2])
            name = hashlib.sha256(code.encode()).hexdigest()[:16]
            handlers.append(f'<script defer src="{file(ATTACH.format(event=event, name=name, code=code))}"></script>')
            return f' data-on{event}="{name}"'

        before, article, rest = re.fullmatch(r"(.*?)(<article.*</article>|$)(.*)", text, re.S).groups()
        parts = [HANDLER.sub(handler, SCRIPT.sub(script, part)) for part in (before, rest)]
        whole = article.join(parts).replace("</body>", "".join(dict.fromkeys(handlers)) + "</body>")
        page.write_text(whole, encoding="utf-8")
