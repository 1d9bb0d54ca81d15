"""The one style of every figure: readable on light and dark pages and with the same bytes each time."""

import hashlib
import html
import io
import re
from pathlib import Path

import matplotlib._mathtext
import matplotlib.pyplot as plt
import numpy as np
from IPython import get_ipython
from IPython.display import display
from matplotlib.collections import QuadMesh
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from press.site.cards import render

# Whatever a matplotlibrc or MPLBACKEND says: matplotlib's defaults, then the book's style.
plt.rcdefaults()
plt.style.use(Path(__file__).with_suffix(".mplstyle"))
plt.switch_backend("module://matplotlib_inline.backend_inline" if get_ipython() else "agg")
FOREGROUND = "#010203"  # stands for the page's own text colour: `show` writes it as `currentColor`
COLOURS = plt.rcParams["axes.prop_cycle"].by_key()["color"]
MARKERS = "os^vDP"
THEORY = {"color": FOREGROUND, "linestyle": (0, (5, 3)), "linewidth": 1.4, "zorder": 3}
LIT = LinearSegmentedColormap.from_list("lit", ["#17132c", "#472a72", "#9c376f", "#e36f4b", "#ffd98a"])  # dark is 0
SIGNED = LinearSegmentedColormap.from_list("signed", ["#0a5fa5", "#e9e9ea", "#b04a00"])  # grey is 0
NARROW = 358 / 96  # inches of a figure on a phone
SMALLEST = 8.2  # points of a letter: ten pixels on a page of 360
matplotlib._mathtext.SHRINK_FACTOR = SMALLEST / plt.rcParams["font.size"]  # exponents too


def heat(ax, matrix, *, top: float = 1.0, label: str | None = None, ticks=(), signed: bool = False) -> None:
    """A matrix as a heat map: square, dark at 0, bright at `top`; a colour bar where it has a `label`.

    `ticks`: where both axes have numbers; none by default. `signed`: from -`top` to `top`, and grey at 0.
    """
    import seaborn  # takes longer to import than everything else here

    bar = {"cbar": label is not None, "cbar_kws": {"label": label}}
    scale = {"vmin": -top if signed else 0, "vmax": top, "cmap": SIGNED if signed else LIT}
    seaborn.heatmap(np.asarray(matrix), square=True, ax=ax, **scale, **bar)
    ax.set(xticks=ticks, yticks=ticks, xticklabels=ticks, yticklabels=ticks)
    ax.tick_params(rotation=0)  # seaborn turns them


def beside(maps: dict, *, top: float = 1.0):
    """Axes for a curve with square maps beside it, {title: matrix}: the figure and the axes."""
    across = 1 if len(maps) < 4 else 2
    down = -(-len(maps) // across)
    fig = plt.figure(figsize=(6.4 + 0.8 * (across - 1), 3.6))
    grid = fig.add_gridspec(down, 1 + across, width_ratios=[4 if across == 1 else 3, *[1] * across])
    for place, (title, matrix) in enumerate(maps.items()):
        small = fig.add_subplot(grid[place // across, 1 + place % across])
        heat(small, matrix, top=top)
        small.set_title(title, fontsize=9)
    return fig, fig.add_subplot(grid[:, 0])


def decay(ax, lines: dict, dots: dict | None = None, laws: dict | None = None, **labels) -> None:
    """Curves that fall, in log-log: what was computed as a line, what was sampled as dots, laws dashed.

    `lines`, `dots`, `laws`: {name: (x, y)}; a name has one colour and one marker, and stands once in the legend.
    The laws are all one dashed line, under the name of the first.
    `labels` go to `ax.set`: xlabel, ylabel.
    """
    dots, laws = dots or {}, laws or {}
    for number, name in enumerate(dict.fromkeys([*lines, *dots])):
        style = {"color": COLOURS[number % len(COLOURS)], "label": name}
        if name in lines:
            ax.plot(*lines[name], **style)
            style.pop("label")
        if name in dots:
            ax.plot(*dots[name], MARKERS[number % len(MARKERS)], markersize=4, **style)
    for number, law in enumerate(laws.values()):
        ax.plot(*law, **THEORY, label=None if number else next(iter(laws)))
    ax.set(xscale="log", yscale="log", **labels)
    ax.legend()


def narrow(fig: Figure) -> None:
    """Lay the figure out anew for a phone: curves below each other, small square maps two or three in a row."""
    panels = [ax for ax in fig.axes if ax.get_subplotspec() and not hasattr(ax, "_colorbar")]
    if fig.subfigs or not panels:
        return
    squares = [ax for ax in panels if ax.get_aspect() == 1]
    across = next(n for n in (3, 2, 1) if len(squares) % n == 0 or len(squares) > 4)
    rows = [[ax] for ax in panels if ax not in squares]
    rows += [squares[first : first + across] for first in range(0, len(squares), across)]
    curve = 2.7 if len(panels) < 4 else 2.2
    map_ = {1: 3.0, 2: 2.0, 3: 1.45}[across]
    heights = [min(map_, 0.5 + map_ * flatness(row[0])) if row[0] in squares else curve for row in rows]
    grid = GridSpec(len(rows), 6, figure=fig, height_ratios=heights)
    for number, row in enumerate(rows):
        wide = 6 // len(row) if row[0] not in squares else 6 // across
        for place, ax in enumerate(row):
            shared = [other for other in panels if other in ax.get_shared_y_axes().get_siblings(ax)]
            if row[0] not in squares and len(shared) > 1:  # it has left its neighbour, who told what is drawn
                ax.tick_params(labelleft=True, labelbottom=True)
                ax.set_ylabel(next((other.get_ylabel() for other in shared if other.get_ylabel()), ""))
            ax.set_subplotspec(grid[number, wide * place : wide * (place + 1)])
    fig.set_size_inches(NARROW, sum(heights))
    for ax in panels:
        if ax.get_xscale() == "linear" and ax not in squares and len(ax.get_xticks()) > 6:
            ax.locator_params(axis="x", nbins=5)
    named(fig, at_ends=False)
    rows = sum(ax.get_legend().get_window_extent().height for ax in panels if ax.get_legend()) / fig.dpi
    fig.set_size_inches(NARROW, sum(heights) + rows)


def flatness(ax) -> float:
    """The height of what axes show over its width."""
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    return abs((high - low) / (right - left))


def named(fig: Figure, *, at_ends: bool = True) -> None:
    """Turn each legend into names at the right ends of the curves where these are apart, else into rows above them.

    Above its axes a legend hides nothing, and has as many columns as fit over them; a title goes on top.
    """
    for text in [text for ax in fig.axes for text in ax.texts if text.get_gid() == "end"]:
        text.axes.legend()
        text.remove()
    told = [ax.get_legend() for ax in fig.axes if ax.get_legend()]
    for legend in told:
        legend.set_in_layout(False)
    fig.draw_without_rendering()
    for legend in told:
        ax, names = legend.axes, [text.get_text() for text in legend.get_texts()]
        curves, labels = ax.get_legend_handles_labels()
        ends = [end(ax, curve) for curve in curves]
        heights = sorted(ax.transData.transform(at)[1] for at in ends if at)
        apart = min([99, *np.diff(heights)]) > 16
        if at_ends and names == labels and all(ends) and max(map(len, names)) < 15 and apart:
            legend.remove()
            for curve, name, at in zip(curves, names, ends, strict=True):
                place = {"xytext": (8, 0), "textcoords": "offset points", "va": "center", "fontsize": 9}
                ax.annotate(name, at, **place, color=curve.get_color(), annotation_clip=False, gid="end")
            continue
        handles = curves if names == labels else legend.legend_handles
        for columns in range(4, 0, -1):
            legend = ax.legend(handles, names, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns)
            if legend.get_window_extent().width <= ax.get_window_extent().width:
                break
        if title := ax.get_title():
            ax.set_title(title, pad=6 + legend.get_window_extent().height * 72 / fig.dpi)


def end(ax, curve) -> tuple | None:
    """Where a curve ends, in data; none where it ends away from the right side of its axes."""
    if not isinstance(curve, Line2D):
        return None
    data = np.asarray(curve.get_xydata(), float)
    data = data[np.isfinite(data).all(1)]
    if not len(data) or data[-1, 0] < data[:, 0].max():
        return None
    across, up = ax.transAxes.inverted().transform(ax.transData.transform(data[-1]))
    return tuple(data[-1]) if 0.9 < across <= 1 and 0 <= up <= 1 else None


def svg(fig: Figure, alt: str, *, style: str = "", **options) -> str:
    """The figure as one inline `<svg>`: the page's own colours and letters, ids of its own, no date.

    `style` is one more of its styles; `options` go to `savefig`.
    """
    for ax in fig.axes:
        for artist in ax.get_children():
            if isinstance(artist, AxesImage | QuadMesh):  # a heat map: no grid over it, no seams in it
                ax.grid(False)
                artist.set_rasterized(True)
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, **options)
    drawing = buffer.getvalue()
    width, height = (float(size) for size in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawing).groups())
    body = drawing[drawing.index(">", drawing.index("<svg")) + 1 :]
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = body.replace(FOREGROUND, "currentColor")
    for number, colour in enumerate(COLOURS, start=1):
        body = body.replace(colour.lower(), f"var(--series-{number}, {colour.lower()})")
    body = re.sub(r"font: (?:(oblique|italic) )?(?:\w+ )?([\d.]+px)[^;\"]*", r"font-size: \2; font-style: \1", body)
    body = re.sub(r"font-size: ([\d.]+)px", lambda m: f"font-size: {max(float(m[1]), SMALLEST):g}px", body)
    body = re.sub(r"font-style: (?=[;\"])|font-family: [^;\"]*;? ?", "", body)  # the page's letters
    prefix = "f" + hashlib.sha256((alt + body).encode()).hexdigest()[:8]
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', body))
    body = re.sub(r' id="([^"]+)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", body)
    body = re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}-", body)
    label, role = html.escape(alt), "group" if "<a " in body else "img"  # an image has no links in it
    return (
        f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" xmlns="http://www.w3.org/2000/svg" role="{role}" '
        f'aria-label="{label}" viewBox="0 0 {width:g} {height:g}" '
        f'style="width:100%;max-width:{width * 4 / 3:.0f}px;height:auto;{style}"><title>{label}</title>{body}'
    )


def product(cases: dict, *, alt: str, **given) -> None:
    """Display matrices whose product is Y, {case: …}: the reader chooses a case, a column of Y and a time.

    What each has, and what else is `given`, stands at the head of `product.html`; `alt` says in a sentence what it is.
    """
    _refuse_short(alt)
    shown = render("product.html", cases=cases, alt=alt, **given)
    display({"text/html": shown, "text/plain": f"Figure: {alt}"}, raw=True)


def _refuse_short(alt) -> None:
    if not isinstance(alt, str) or len(alt.split()) < 5:
        raise ValueError(f"figures: alt={alt!r} is too short; say in five words or more what is seen")


def is_empty(ax) -> bool:
    """Whether lines, dots or heat maps are given to the axes, and none of their numbers is finite."""
    if ax.axison and not ax.texts and not hasattr(ax, "_colorbar") and not np.isfinite(ax.dataLim.get_points()).any():
        return True
    given = [line.get_xydata() for line in ax.lines]
    for artist in (*ax.collections, *ax.images):
        values = artist.get_array()
        given.append(artist.get_offsets() if values is None else np.ravel(values)[:, None])
    rows = [np.isfinite(np.ma.filled(np.ma.asarray(rows, float), np.nan)).all(-1) for rows in given if np.size(rows)]
    return bool(rows) and not any(row.any() for row in rows)


def show(fig: Figure, *, alt: str) -> None:
    """Display `fig` and close it; `alt` says in a sentence what the reader would see in it."""
    _refuse_short(alt)
    if empty := [number for number, ax in enumerate(fig.axes, start=1) if is_empty(ax)]:
        raise ValueError(f"figures.show: nothing finite is drawn in panel {empty[0]} of {len(fig.axes)}: {alt}")
    named(fig)
    wide = svg(fig, alt, bbox_inches="tight")
    narrow(fig)
    phone = svg(fig, alt, style="display:none")  # until the page's style sheet knows how wide it is
    plt.close(fig)
    drawings = f'<div class="drawings">{wide}{phone}</div>'
    display({"text/html": drawings, "text/plain": f"Figure: {alt}"}, raw=True)
