"""The chapters' texts: cells that fit a screen and a page."""

import re

import pytest

from press.build.chapters import find

CELL = re.compile(r"^```\{code-cell\}.*\n(?:---\n(?:.*\n)*?---\n|(?::.*\n)*)((?:.*\n)*?)```\s*$", re.M)


@pytest.mark.parametrize("chapter", find(), ids=lambda chapter: chapter.name)
def test_cells_are_short(chapter):
    cells = [cell.strip().splitlines() for cell in CELL.findall(chapter.text)]
    assert cells
    assert [cell[0] for cell in cells if len(cell) > 25] == []
    assert [line for cell in cells for line in cell if len(line) > 79] == []
