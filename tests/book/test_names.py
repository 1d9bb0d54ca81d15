"""No function name means two things in the book."""

import ast
from collections import defaultdict

from press.build.chapters import find


def defined(source: str) -> set[str]:
    """The functions and classes that a cell defines, wherever in it."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)}


def test_no_function_name_is_defined_in_two_chapters():
    chapters = defaultdict(list)
    for chapter in find():
        for name in sorted({name for cell in chapter.code for name in defined(cell.source)}):
            chapters[name].append(chapter.name)
    assert len(chapters) > 5, "names are found"
    assert {name: where for name, where in chapters.items() if len(where) > 1} == {}
