"""Docstrings as the library's page shows them."""

from docutils.core import publish_doctree

from press.site.extension import plain_docstring


def shown(docstring: str):
    lines = docstring.splitlines()
    plain_docstring(None, "module", "", None, None, lines)
    return publish_doctree("\n".join(lines), settings_overrides={"report_level": 1, "halt_level": 2})


def test_a_table_is_a_list_and_the_rest_is_text():
    page = shown(
        "Two kinds of rest:\n`one`         ‖S*‖\n`two`, `six`  not `this`\nAs *said*, with a|b.\n\n    x = y*\n"
    )
    assert [node.tagname for node in page.children] == ["paragraph", "bullet_list", "paragraph", "literal_block"]
    assert [item.astext() for item in page[1].children] == ["one: ‖S*‖", "two, six: not this"]
    assert [page[i].astext() for i in (0, 2, 3)] == ["Two kinds of rest:", "As *said*, with a|b.", "x = y*"]
