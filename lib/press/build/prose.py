"""The prose of a notebook that leaves the book: numbers and citations written out, where no page stands behind it."""

import ast
import re

from nbformat import NotebookNode
from pybtex.database import parse_file

from press import ROOT
from press.build.chapters import find
from press.numbers import powers

ROLE = re.compile(r"\{(glue:text|claim|cite:t|cite:p|cite)\}`([^`]+)`")


def write_out(notebook: NotebookNode) -> None:
    """Put what its cells glued, what claims measured, and authors with years in place of the roles that name them."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    glued = [output for output in outputs if "scrapbook" in output.get("metadata", {})]
    known = {o.metadata.scrapbook.name: ast.literal_eval(next(iter(o.data.values()))) for o in glued}
    measured = {id: record.measured for chapter in find() for id, record in chapter.records().items()}
    works = parse_file(ROOT / "book/references.bib").entries

    def cited(key: str) -> tuple[str, str]:
        names = [" ".join(who.prelast_names + who.last_names) for who in works[key].persons["author"]]
        return " and ".join(names) if len(names) < 3 else f"{names[0]} *et al.*", works[key].fields["year"]

    def said(role: re.Match) -> str:
        name, _, form = role[2].partition(":")
        if role[1] == "claim":
            return "*not measured*" if measured[name] is None else powers(format(measured[name], form or ".4g"))
        if role[1] == "glue:text":
            return known[name] if isinstance(known[name], str) else powers(format(known[name], form))
        told = [cited(key.strip()) for key in role[2].split(",")]
        if role[1] == "cite:t":
            return ", ".join(f"{who} [{year}]" for who, year in told)
        return f"[{'; '.join(f'{who}, {year}' for who, year in told)}]"

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = ROLE.sub(said, cell.source)
