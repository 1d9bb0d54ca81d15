"""Figures and glued numbers: the same bytes, the page's colours, ids of their own, and no silent nonsense."""

import math
import os
import re
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup

from press import ROOT, figures, numbers

ALT = "A line falls from the upper left to the lower right."
TOKENS = (ROOT / "lib/press/site/static/tokens.css").read_text(encoding="utf-8")


def draw(end: float = 1.0) -> plt.Figure:
    fig, ax = plt.subplots()
    ax.plot([0, 1], [1, 1 - end], "o-", label="measured")
    ax.plot([0, 1], [1, 0], **figures.THEORY, label="theory $1/T$")
    ax.set(xlabel="steps", ylabel="loss")
    ax.legend()
    return fig


def shown_svg(shown, fig, alt: str = ALT) -> str:
    figures.show(fig, alt=alt)
    return shown[-1][0]["text/html"]


def test_same_figure_same_bytes_and_no_date(shown):
    one, again = shown_svg(shown, draw()), shown_svg(shown, draw())
    assert one == again
    assert "<dc:date>" not in one
    assert not re.search(r"20\d\d-\d\d", one)


def test_a_drawing_with_links_is_not_one_image(shown):
    fig = draw()
    fig.axes[0].text(0.5, 0.5, "there", url="there.html")
    svg = shown_svg(shown, fig)
    assert '<a xlink:href="there.html"' in svg
    assert 'role="group" aria-label=' in svg


def test_foreground_follows_the_page(shown):
    svg = shown_svg(shown, draw())
    assert figures.FOREGROUND not in svg
    assert svg.count("currentColor") > 10
    assert "#000000" not in svg, "something is black whatever the page"
    assert not re.search(r"fill: #f{6}\b", svg), "something is white whatever the page"


def test_alternative_text_is_given_and_fallback_too(shown):
    svg = shown_svg(shown, draw(), alt='Loss < 1 & "falls" to the right.')
    assert 'role="img" aria-label="Loss &lt; 1 &amp; &quot;falls&quot; to the right."' in svg
    assert shown[-1][0]["text/plain"] == 'Figure: Loss < 1 & "falls" to the right.'


def nothing(ax, how: str) -> None:
    bad = np.full((2, 2), math.nan)
    match how:
        case "lines":
            ax.plot([0, 1], [math.nan, math.inf])
            ax.plot([], [])
        case "dots":
            ax.scatter([0, 1], [math.nan, math.nan])
        case "heat":
            ax.pcolormesh(bad)
        case "image":
            ax.imshow(bad)
        case "masked":
            ax.pcolormesh(np.ma.masked_all((2, 2)))
        case "band":
            ax.fill_between([0, 1], [math.nan, math.nan])
        case "nothing":
            pass


@pytest.mark.parametrize("how", ["lines", "dots", "heat", "image", "masked", "band", "nothing"])
@pytest.mark.filterwarnings("ignore")
def test_a_panel_of_nothing_finite_is_refused(shown, how):
    fig, (left, right) = plt.subplots(ncols=2)
    left.plot([0, 1], [math.nan, 1])
    nothing(right, how)
    with pytest.raises(ValueError, match=r"nothing finite is drawn in panel 2 of 2: A line"):
        figures.show(fig, alt=ALT)
    right.plot([0, 1], [0, 1])
    right.plot([], [])
    shown_svg(shown, fig)


def test_a_matplotlibrc_and_a_backend_of_the_user_count_for_nothing(tmp_path):
    """In JupyterLab too, where they are the reader's."""
    (tmp_path / "matplotlibrc").write_text(
        "text.usetex: True\nlines.marker: o\nmathtext.fontset: stix\nfont.size: 20\n"
    )
    code = "import hashlib; from press import figures; import matplotlib.pyplot as plt\n"
    code += "fig, ax = plt.subplots(); ax.plot([1, 2]); ax.set_title('$T$'); svg = figures.svg(fig, 'a b c d e')\n"
    code += "print(plt.get_backend(), hashlib.sha256(svg.encode()).hexdigest())"
    own = {name: value for name, value in os.environ.items() if not name.startswith("MPL")}
    habits = {"MPLCONFIGDIR": str(tmp_path), "MPLBACKEND": "module://nowhere"}
    plain, odd = (
        subprocess.run([sys.executable, "-c", code], env=own | more, capture_output=True, text=True, check=True).stdout
        for more in ({}, habits)
    )
    assert odd == plain
    assert plain.startswith("agg ")


@pytest.mark.parametrize("alt", ["", "   ", "loss curve", None, 5, ["a", "b", "c", "d", "e"]])
def test_no_or_too_short_alternative_text_is_refused(shown, alt):
    with pytest.raises(ValueError, match="alt="):
        figures.show(draw(), alt=alt)
    plt.close("all")


def test_ids_of_two_figures_never_meet_and_every_reference_has_its_id(shown):
    one, other = shown_svg(shown, draw()), shown_svg(shown, draw(end=0.5))
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (one, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for svg, own in zip((one, other), ids, strict=True):
        assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg)) == own


def test_show_closes_the_figure(shown):
    figures.show(draw(), alt=ALT)
    assert plt.get_fignums() == []


def test_a_heat_map_has_no_grid_over_it(shown):
    fig, ax = plt.subplots()
    ax.pcolormesh(np.eye(3))
    svg = shown_svg(shown, fig, alt="Three bright cells on the diagonal of nine.")
    assert "<image" in svg
    assert "stroke-opacity: 0.15" not in svg


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def token(name: str) -> list[str]:
    """A colour of the pages, on the light one and on the dark one."""
    value = re.search(rf"--{name}: ([^;]+);", TOKENS)[1]
    if other := re.fullmatch(r"var\(--(.+)\)", value):
        return token(other[1])
    found = re.fullmatch(r"light-dark\((#\w+), (#\w+)\)", value)
    return [colour if len(colour) == 7 else "#" + "".join(2 * c for c in colour[1:]) for colour in found.groups()]


@pytest.mark.parametrize("number", range(1, 1 + len(figures.COLOURS)))
def test_palette_reads_on_both_pages(number):
    series = token(f"series-{number}")
    assert series[0] == figures.COLOURS[number - 1].lower(), "where there is no style sheet"
    for colour, page in zip(series, token("bg"), strict=True):
        dark, light = sorted([luminance(colour), luminance(page)])
        assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize("value", [math.nan, math.inf, np.float64("nan"), None, True, [1.0], np.ones(2), torch.ones(2)])
def test_glue_refuses_what_is_no_finite_number_by_name(value):
    with pytest.raises(ValueError, match="slope is"):
        numbers.glue(slope=value)


def test_glue_keeps_plain_numbers_and_says_them_in_the_notebook(monkeypatch, shown):
    glued = {}
    monkeypatch.setattr("myst_nb.glue", lambda name, value, display: glued.update({name: value}))
    numbers.glue(slope=np.float32(0.5), steps=np.int64(12000), name="ReLU")
    assert glued == {"slope": 0.5, "steps": 12000, "name": "ReLU"}
    assert [type(value) for value in glued.values()] == [float, int, str]
    assert shown == [({"text/plain": "slope = 0.5\nsteps = 12,000\nname = ReLU"}, {"press": "aside"})]


def test_a_heat_map_is_dark_at_zero_and_square():
    fig, ax = plt.subplots()
    figures.heat(ax, [[0.0, 0.2], [0.5, 0.0]], top=0.5, ticks=[0, 2])
    mesh = ax.collections[0]
    assert mesh.get_clim() == (0, 0.5)
    assert ax.get_aspect() == 1
    assert [list(ax.get_xticks()), list(ax.get_yticks())] == [[0, 2], [0, 2]]
    assert len(fig.axes) == 1
    figures.heat(fig.add_subplot(), [[1.0]], label="score")
    assert fig.axes[-1].get_ylabel() == "score"  # the colour bar
    plt.close(fig)


def test_curves_that_fall_with_their_dots_and_laws():
    fig, ax = plt.subplots()
    x = np.array([1.0, 2.0, 4.0])
    lines = {"one": (x, 1 / x), "two": (x, 2 / x)}
    laws = {"law": (x, 3 / x), "its other half": (x, 4 / x)}
    figures.decay(ax, lines, {"two": (x, 2.1 / x), "three": (x, x)}, laws, xlabel="steps")
    one, two, dots, three, law, other = ax.lines
    assert two.get_color() == dots.get_color() != one.get_color() != three.get_color()
    assert dots.get_linestyle() == "None"
    assert law.get_color() == other.get_color() == figures.FOREGROUND
    assert [text.get_text() for text in ax.get_legend().texts] == ["one", "two", "three", "law"]
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_xlabel()) == ("log", "log", "steps")
    np.testing.assert_array_equal(other.get_ydata(), 4 / x)
    plt.close(fig)


def test_a_record_is_read_as_it_was_written(monkeypatch, tmp_path):
    (tmp_path / "book" / "records").mkdir(parents=True)
    (tmp_path / numbers.BENCH).write_text('{"steps": [{"D": 36, "seconds": 4e-06}]}\n', encoding="utf-8")
    (tmp_path / numbers.CERTIFIED).write_text('{"radius": "1e-50", "cases": [{"D": 36}]}\n', encoding="utf-8")
    monkeypatch.setattr(numbers, "ROOT", tmp_path)
    assert numbers.bench() == {"steps": [{"D": 36, "seconds": 4e-06}]}
    assert numbers.certified() == {"radius": "1e-50", "cases": [{"D": 36}]}


# --- both drawings -----------------------------------------------------------------------------------------


def drawings(shown, fig, alt: str = ALT) -> list:
    found = BeautifulSoup(shown_svg(shown, fig, alt), "html.parser").select("div.drawings > svg")
    assert len(found) == 2
    return found


def letters(svg, width: float) -> list[float]:
    """The sizes of a drawing's letters in px, where it has so much room."""
    box = float(svg["viewbox"].split()[2])
    scale = min(width, box * 4 / 3) / box
    sizes = [size for text in svg.select("text") for size in re.findall(r"font-size: ([\d.]+)px", str(text))]
    assert len(sizes) > 4, "text stays text"
    return [scale * float(size) for size in sizes]


def test_letters_are_large_enough_on_a_page_and_on_a_phone(shown):
    fig = draw()
    fig.axes[0].set(xscale="log", title="$x^{2^n}$")  # with exponents, and exponents of these
    fig.axes[0].text(0.5, 0.5, "small", fontsize=4)
    page, phone = drawings(shown, fig)
    assert min(letters(page, 641)) >= 10
    assert min(letters(phone, 328)) >= 10, "a page of 360 px, without its margins"


def test_one_drawing_is_seen_without_a_style_sheet_and_both_have_the_words(shown):
    page, phone = drawings(shown, draw())
    assert "display:none" not in page["style"]
    assert "display:none" in phone["style"]
    assert page["aria-label"] == phone["aria-label"] == ALT
    assert "font-family" not in str(page), "the letters are the page's"
    for svg in (page, phone):
        assert "var(--series-1, #0b66b0)" in str(svg)
        assert {"steps", "loss"} <= {text.text.strip() for text in svg.select("text")}


def test_on_a_phone_curves_stand_below_each_other_and_maps_are_square():
    fig, curve = figures.beside({"one": np.eye(2), "two": np.eye(3)})
    curve.plot(np.arange(9), np.arange(9))
    figures.narrow(fig)
    fig.canvas.draw()
    maps = [ax for ax in fig.axes if ax is not curve]
    width, height = fig.get_size_inches()
    assert width == pytest.approx(figures.NARROW)
    for ax in maps:
        box = ax.get_position()
        assert box.y1 < curve.get_position().y0, "below the curve"
        assert box.width * width == pytest.approx(box.height * height, rel=0.01)
    assert maps[0].get_position().x1 < maps[1].get_position().x0, "side by side"
    assert maps[0].get_position().y0 == pytest.approx(maps[1].get_position().y0)
    assert curve.get_position().width > 0.7
    plt.close(fig)


def test_a_flat_map_takes_no_more_room_on_a_phone_than_it_needs():
    fig, axes = plt.subplots(2, 2)
    for ax, shape in zip(axes.flat, [(2, 20), (2, 20), (20, 20), (20, 20)], strict=True):
        figures.heat(ax, np.ones(shape))
    figures.narrow(fig)
    assert fig.get_size_inches()[1] == pytest.approx(0.7 + 2.0), "a tenth of two inches, room for a title, and a square"
    plt.close(fig)


def test_neighbours_that_shared_an_axis_have_their_own_on_a_phone():
    fig, (left, right) = plt.subplots(ncols=2, sharey=True)
    left.plot([0, 1], [0, 1])
    right.plot([0, 1], [1, 0])
    left.set_ylabel("loss")
    figures.narrow(fig)
    fig.canvas.draw()
    assert right.get_position().y1 < left.get_position().y0
    assert right.get_ylabel() == "loss"
    assert [label.get_visible() for label in right.get_yticklabels()] == [True] * len(right.get_yticklabels())
    plt.close(fig)


def names(svg) -> list[str]:
    return [text.text.strip() for text in svg.select("text")]


def curves(factors: dict, title: str = "") -> plt.Figure:
    fig, ax = plt.subplots()
    x = np.array([1.0, 10.0, 1000.0])
    figures.decay(ax, {name: (x, factor / x) for name, factor in factors.items()}, xlabel="steps")
    ax.set_title(title)
    return fig


def test_names_stand_at_the_ends_of_curves_that_are_apart_and_above_them_on_a_phone(shown):
    fig = curves({"one": 1, "two": 10})
    figures.named(fig)
    (ax,) = fig.axes
    assert ax.get_legend() is None
    assert [(text.get_text(), text.xy, text.get_color()) for text in ax.texts] == [
        ("one", (1000, 0.001), figures.COLOURS[0]),
        ("two", (1000, 0.01), figures.COLOURS[1]),
    ]
    figures.narrow(fig)
    assert not ax.texts
    assert [text.get_text() for text in ax.get_legend().texts] == ["one", "two"]
    plt.close(fig)
    for svg in drawings(shown, curves({"one": 1, "two": 10})):
        assert sorted(names(svg).count(name) for name in ("one", "two")) == [1, 1]


def test_names_of_curves_that_meet_stand_in_rows_above_them_and_a_title_on_top(shown):
    long = "the student with a long name"
    fig = curves({long: 1, long + " too": 1.01, "three": 1.02}, title="on top")
    figures.named(fig)
    fig.draw_without_rendering()
    (ax,) = fig.axes
    box, legend, title = (part.get_window_extent() for part in (ax, ax.get_legend(), ax.title))
    assert box.y1 <= legend.y0 < legend.y1 <= title.y0, "nothing is drawn over anything"
    assert legend.width <= box.width
    figures.narrow(fig)
    fig.draw_without_rendering()
    assert ax.get_legend().get_window_extent().x1 <= fig.bbox.width, "no name is cut off"
    plt.close(fig)
