"""The chapters' texts: cells that fit a screen and a page."""

import pytest

from press.build.chapters import find


@pytest.mark.parametrize("chapter", find(), ids=lambda chapter: chapter.name)
def test_cells_are_short(chapter):
    cells = [cell.source.splitlines() for cell in chapter.code]
    assert cells
    assert [cell[0] for cell in cells if len(cell) > 25] == []
    assert [line for cell in cells for line in cell if len(line) > 79] == []
