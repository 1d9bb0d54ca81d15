"""A claim's sentence with its numbers, and claims over a grid as one table."""

import json

import pytest
from bs4 import BeautifulSoup

from press import claims, ledger
from press.claims import Record
from press.ledger import Claim
from press.site import cards

CHECK = {"tolerance": 0.1, "why": "a reason", "control": ("broken", 9.0)}


def claim(say: str, predicted=1.0, relation="=", ours=None) -> Claim:
    return Claim("an-id", "Theorem 1", "paper", "In <words>.", say, "short", "holds", relation, predicted, ours)


def test_a_sentence_has_its_numbers_and_formulas_and_no_markup():
    say = "<b>At</b> $x_{measured} < 2$ it is {measured}, {predicted} by us {ours} ± {tolerance}; {control} without."
    record = Record("an-id", 1, "holds", -0.95, 1e-9, "why", ("broken", 2e9))
    html = str(cards.sentence(claim(say, 1.0, "≤", 0.5), record))
    assert '<span class="math notranslate nohighlight">\\(x_{measured} &lt; 2\\)</span>' in html
    said = BeautifulSoup(html, "html.parser")
    assert [bold.text for bold in said.select("b")] == ["−0.95"], "the measured number alone"
    told = "it is −0.95, at most 1 by us 0.5 ± 10⁻⁹; 2 · 10⁹ without."
    assert said.text == f"<b>At</b> \\(x_{{measured}} < 2\\) {told}"


def test_what_a_sentence_lacks_is_a_dash_and_a_claim_not_measured_is_its_statement():
    record = Record("an-id", 1, "holds", 0.95, 0.0, "why")
    assert str(cards.sentence(claim("{ours} {control} {tolerance} {measured}"), record)) == "– – 0 <b>0.95</b>"
    assert str(cards.sentence(claim("{measured}"), None)) == "In &lt;words&gt;."
    assert str(cards.sentence(None, record)) == ""


def test_a_table_has_prediction_ours_measured_and_verdict_and_leads_to_the_cards(write_ledger, shown):
    claims.check("slope", -0.95, **CHECK)
    claims.check("power", 2.05, **CHECK)
    claims.matrix({"<rate>": {"$x$": "slope"}, "$p$": {"$x$": "power", "<y>": "slope"}}, "Of <two>.")
    data, metadata = shown[-1]
    written = json.loads(json.dumps(metadata, sort_keys=True))["matrix"]  # as a notebook keeps it
    kept = cards.matrix(**written, claims=ledger.claims(), records={r.id: r for r in claims._records})
    assert kept == data["text/html"], "in the same order"
    table = BeautifulSoup(data["text/html"], "html.parser").table
    assert table.caption.text == "Of <two>."
    assert [head.text.strip() for head in table.select("thead th")] == ["quantity", "\\(x\\)", "<y>"]
    rows = [(tr.th.text, tr.select("td")) for tr in table.select("tbody tr")]
    assert [name for name, _ in rows] == ["<rate>", "\\(p\\)"]
    (slope, empty), (power, again) = (cells for _, cells in rows)
    assert empty.text == "·"
    assert [(cell["class"], cell.a["href"]) for cell in (slope, power, again)] == [
        (["holds"], "#claim-slope"),
        (["differs"], "#claim-power"),
        (["holds"], "#claim-slope"),
    ]
    assert slope.text.replace("▸", "").split() == ["\\(x\\)", "−1", "−0.95", "✓holds"]
    assert power.text.replace("▸", "").split() == ["\\(x\\)", "4", "2", "2.05", "≠differs"]
    assert (power.s.text, slope.s) == ("4", None)
    assert again.select_one(".column").text == "<y>"
    assert power.select_one(".mini")["aria-label"].startswith("Predicted 4, by us 2,")
    assert table.select("b, two, y, rate") == []


def test_a_table_of_a_claim_that_is_not_checked_is_refused_by_name(write_ledger, shown):
    claims.check("slope", -0.95, **CHECK)
    with pytest.raises(ValueError, match=r"claims\.matrix: 'power' is not checked before it"):
        claims.matrix({"a": {"b": "slope", "c": "power"}}, "A table.")


def test_a_table_made_anew_has_the_words_of_the_ledger_as_it_is(write_ledger):
    """As `publish` makes it: from the ledger and the records, without the notebook's."""
    rows = {"a": {"b": "slope", "c": "unmeasured"}}
    table = BeautifulSoup(cards.matrix(rows, "It.", ledger.claims(), {}), "html.parser")
    assert [cell.select_one(".verdict").text for cell in table.select("td")] == ["–not measured"] * 2
    assert "at least 0.9" in table.text
