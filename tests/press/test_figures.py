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

from press import figures, numbers

ALT = "A line falls from the upper left to the lower right."
PAGES = {"light": "#ffffff", "dark": "#14181e"}


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


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
@pytest.mark.parametrize("colour", figures.COLOURS)
def test_palette_reads_on_both_pages(colour, page):
    dark, light = sorted([luminance(colour), luminance(page)])
    assert (light + 0.05) / (dark + 0.05) >= 3


@pytest.mark.parametrize("value", [math.nan, math.inf, np.float64("nan"), None, True, [1.0], np.ones(2), torch.ones(2)])
def test_glue_refuses_what_is_no_finite_number_by_name(value):
    with pytest.raises(ValueError, match="slope is"):
        numbers.glue(slope=value)


def test_glue_keeps_plain_numbers_and_prints_them(monkeypatch, capsys):
    glued = {}
    monkeypatch.setattr("myst_nb.glue", lambda name, value, display: glued.update({name: value}))
    numbers.glue(slope=np.float32(0.5), steps=np.int64(12000), name="ReLU")
    assert glued == {"slope": 0.5, "steps": 12000, "name": "ReLU"}
    assert [type(value) for value in glued.values()] == [float, int, str]
    assert capsys.readouterr().out == "slope = 0.5\nsteps = 12,000\nname = ReLU\n"


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


def test_the_record_of_a_bench_is_read_as_it_was_written(monkeypatch, tmp_path):
    (tmp_path / "book" / "records").mkdir(parents=True)
    (tmp_path / numbers.BENCH).write_text('{"steps": [{"D": 36, "seconds": 4e-06}]}\n', encoding="utf-8")
    monkeypatch.setattr(numbers, "ROOT", tmp_path)
    assert numbers.bench() == {"steps": [{"D": 36, "seconds": 4e-06}]}
