"""What a page need not carry: the theme's scripts for what this book has not, and a drawing's last digits."""

import re
from pathlib import Path

UNUSED = r"(?:fontawesome|togglebutton|design-tabs|sphinx-thebe|mathjax)"
TAGS = re.compile(rf'\s*<(?:script|link)\b[^>]*(?:src|href)="[^"]*{UNUSED}[^"]*"[^>]*>(?:</script>)?')
INLINE = re.compile(r"\s*<script>(?:let toggle|var togglebutton|window\.MathJax)[^<]*</script>")
ICONS = re.compile(  # icons.css has those in use
    r"@font-face\{[^}]*Font Awesome[^}]*\}|(?<=[}/])\s*(?:\.fa[bsr]?|\.fa-[^{}]*)\{[^{}]*\}"
)
# the same in every box of a page; and the word of a line that opens, told again
TWICE = re.compile(r' id="(proof|exercise|solution)(-content"|"(?=><sum))|(?<=<summary>Proof</summary>\n<p>)Proof\. ')
DRAWING = re.compile(r"<svg\b.*?</svg>", re.S)
WRITTEN = re.compile(r"(<text\b.*?</text>|<style\b.*?</style>)", re.S)  # spaces may count here
PLACE = re.compile(r' (d|x|y)="([^"]*)"')
STYLE = re.compile(r' style="[^"]*"')
NUMBER = re.compile(r"-?\d+\.\d+")
ALIKE = re.compile(r'(<use\b[^>]*?)( style="[^"]*")/>((?:<use\b[^>]*?\2/>)+)')  # marks of one style in a row


def lean(site: Path) -> None:
    """Take out of every page what nothing in it uses, and the files that are left over."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        text = DRAWING.sub(lambda found: shorter(found[0]), TWICE.sub("", INLINE.sub("", TAGS.sub("", text))))
        if 'class="sd-' not in text:  # no card, grid or tab
            text = re.sub(r"\s*<link\b[^>]*sphinx-design[^>]*>", "", text)
        page.write_text(text, encoding="utf-8")
    theme = site / "_static" / "styles" / "pydata-sphinx-theme.css"
    theme.write_text(ICONS.sub("", theme.read_text(encoding="utf-8")), encoding="utf-8")
    for file in sorted((site / "_static").rglob("*")):
        if file.is_file() and (re.search(UNUSED, file.as_posix()) or file.suffix == ".map"):
            file.unlink()


def shorter(drawing: str) -> str:
    """The same drawing in fewer letters: no comments, no space between its parts, points to a hundredth of a unit,
    short names of its parts, the style of marks in a row once.
    """
    drawing = PLACE.sub(place, re.sub(r"<!--.*?-->", "", drawing, flags=re.S))
    drawing = STYLE.sub(lambda found: found[0].replace(": ", ":").replace("; ", ";"), drawing)
    for number, name in enumerate(dict.fromkeys(re.findall(r' id="([^"]+)"', drawing))):
        drawing = re.sub(rf'(["#]){re.escape(name)}(?=[")])', rf"\g<1>{name.partition('-')[0]}-{number}", drawing)
    parts = WRITTEN.split(drawing)
    parts[::2] = [ALIKE.sub(row, re.sub(r">\s+<", "><", part)) for part in parts[::2]]
    parts[1::2] = [re.sub(r">\s+<(?=/?t)", "><", part) if "<tspan x=" in part else part for part in parts[1::2]]
    return "".join(parts)


def place(found: re.Match) -> str:
    short = NUMBER.sub(lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), found[2])
    return f' {found[1]}="{" ".join(short.split())}"'


def row(found: re.Match) -> str:
    first, style, others = found.groups()
    return f"<g{style}>{first}/>{others.replace(style, '')}</g>"
