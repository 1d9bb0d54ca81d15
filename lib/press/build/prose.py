"""The prose of a notebook that leaves the book: numbers and citations written out, where no page stands behind it."""

import ast
import re

from nbformat import NotebookNode
from pybtex.database import parse_file

from press import ROOT
from press.build.chapters import find
from press.numbers import powers

ROLE = re.compile(r"\{(glue:text|claim|cite:t|cite:p|cite)\}`([^`]+)`")


def glued(notebook: dict) -> dict[str, str | float]:
    """What the cells of an executed notebook glued, by name."""
    outputs = [output for cell in notebook.get("cells", ()) for output in cell.get("outputs", ())]
    named = [output for output in outputs if "scrapbook" in output.get("metadata", {})]
    return {o["metadata"]["scrapbook"]["name"]: ast.literal_eval(next(iter(o["data"].values()))) for o in named}


def write_out(notebook: NotebookNode) -> None:
    """Put what its cells glued, what claims measured, and authors with years in place of the roles that name them."""
    known = glued(notebook)
    records = {id: record for chapter in find() for id, record in chapter.records().items()}
    works = parse_file(ROOT / "book/references.bib").entries

    def cited(key: str) -> tuple[str, str]:
        names = [" ".join(who.prelast_names + who.last_names) for who in works[key].persons["author"]]
        return " and ".join(names) if len(names) < 3 else f"{names[0]} *et al.*", works[key].fields["year"]

    def said(role: re.Match) -> str:
        page, _, named = role[2].rpartition("::")
        name, _, form = named.partition(":")
        if role[1] == "claim":
            value = records[name].measured if name in records else None
            if form == "verdict":
                return f"*{records[name].verdict}*"
            return "*not measured*" if value is None else powers(format(value, form or ".4g"))
        if role[1] == "glue:text":
            there = [glued(chapter.executed()) for chapter in find() if f"{chapter.name}.md" == page]
            value = (there or [known])[0][name]
            return value if isinstance(value, str) else powers(format(value, form))
        told = [cited(key.strip()) for key in role[2].split(",")]
        if role[1] == "cite:t":
            return ", ".join(f"{who} [{year}]" for who, year in told)
        return f"[{'; '.join(f'{who}, {year}' for who, year in told)}]"

    def known_or_raw(role: re.Match) -> str:
        try:
            return said(role)
        except (KeyError, ValueError):  # its page's warning says what is wrong
            return role[0]

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = ROLE.sub(known_or_raw, cell.source)
