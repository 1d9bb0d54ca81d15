"""No numbered item of the paper's main text is left out, and each is two clicks away from the landing page."""

import numpy as np
from bs4 import BeautifulSoup

from press import ROOT, ledger
from press.build.chapters import find

SITE = ROOT / "_build" / "html" / "book"
ITEMS = [
    *(f"Equation ({number})" for number in ("2.1", "2.3", "2.4", "2.5", "3.1", "3.2")),
    *("Equations (3.3) and (3.4)", "Example 2.1", "Example 2.2", "Example 2.3", "Remark 2.4", "Example 2.5"),
    *("Theorem 3.1", "Theorem 3.1(1)", "Theorem 3.1(2)", "Theorem 3.1(3)", "Theorem 3.2"),
    *("Figure 1", "Figure 2(a)", "Figure 2(b)", "Figure 2(c)", "Figure 3", "Figure 4(a)", "Figure 4(b)"),
    *("Figure 5(a)", "Figure 5(b)", "Figure 5(c)", "Figure 5(d)"),
    *("Section 1", "Section 4.2", "Section 5", "Section 6"),
]
UNAVAILABLE = ["Table 1", "Appendix figures"]


def rows() -> dict:
    page = BeautifulSoup((SITE / "items.html").read_text(encoding="utf-8"), "html.parser")
    return {row.select_one(".name").text: row for row in page.select("details.row")}


def test_every_numbered_item_has_a_page_two_clicks_away():
    landing = BeautifulSoup((SITE / "index.html").read_text(encoding="utf-8"), "html.parser")
    assert landing.select("article a[href='items.html']")
    found = rows()
    assert [item for item in ITEMS if item not in found] == []
    assert [item for item in ITEMS if not found[item].select("a.place")] == []


def test_what_was_not_available_is_listed_and_not_measured():
    found = rows()
    for item in UNAVAILABLE:
        assert found[item].select_one(".told").text.strip() == "–1 not measured"
    reasons = [claim.reason for claim in ledger.claims().values() if claim.expect == "not measured"]
    assert len(reasons) == len(UNAVAILABLE)
    assert all(reason.startswith("not available") for reason in reasons)


def test_the_picture_of_powers_has_each_where_its_axis_says():
    page = BeautifulSoup((SITE / "paper" / "findings.html").read_text(encoding="utf-8"), "html.parser")
    picture, claims = page.select_one(".powers svg"), ledger.claims()
    records = {id: record for chapter in find() for id, record in chapter.records().items()}
    ticks = [(float(t["x"]), float(t.text.replace("−", "-"))) for t in picture.select("g text[text-anchor]")]
    places, powers = np.transpose(ticks)
    unit, zero = np.polyfit(powers, places, 1)
    np.testing.assert_allclose(places, zero + unit * powers, atol=0.1)
    rows = picture.select("a")
    assert len(rows) >= 5
    for row in rows:
        id = row["href"].partition("#claim-")[2]
        bar, dot = float(row.select_one(".printed")["x1"]), float(row.circle["cx"])
        printed, measured = claims[id].predicted, records[id].measured
        np.testing.assert_allclose([bar, dot], [zero + unit * printed, zero + unit * measured], atol=0.1, err_msg=id)
        assert row.circle["class"] == [records[id].verdict], id
        low, high = sorted((bar, dot))
        assert places.min() <= low <= high <= places.max(), "within its axis"
