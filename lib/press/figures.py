"""The one style of every figure: readable on light and dark pages and with the same bytes each time."""

import hashlib
import html
import io
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython import get_ipython
from IPython.display import display
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

# Whatever a matplotlibrc or MPLBACKEND says: matplotlib's defaults, then the book's style.
plt.rcdefaults()
plt.style.use(Path(__file__).with_suffix(".mplstyle"))
plt.switch_backend("module://matplotlib_inline.backend_inline" if get_ipython() else "agg")
FOREGROUND = "#010203"  # stands for the page's own text colour: `show` writes it as `currentColor`
COLOURS = plt.rcParams["axes.prop_cycle"].by_key()["color"]
MARKERS = "os^vDP"
THEORY = {"color": FOREGROUND, "linestyle": (0, (5, 3)), "linewidth": 1.4, "zorder": 3}


def heat(ax, matrix, *, top: float = 1.0, label: str | None = None, ticks=()) -> None:
    """A matrix as a heat map: square, dark at 0, bright at `top`; a colour bar where it has a `label`.

    `ticks`: where both axes have numbers; none by default.
    """
    import seaborn  # takes longer to import than everything else here

    bar = {"cbar": label is not None, "cbar_kws": {"label": label}}
    seaborn.heatmap(np.asarray(matrix), vmin=0, vmax=top, square=True, ax=ax, **bar)
    ax.set(xticks=ticks, yticks=ticks, xticklabels=ticks, yticklabels=ticks)


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
    ax.legend(fontsize=8)


def svg(fig: Figure, alt: str) -> str:
    """The figure as one inline `<svg>`: the foreground colour follows the page, ids are its own, no date."""
    for ax in fig.axes:
        for artist in ax.get_children():
            if isinstance(artist, AxesImage | QuadMesh):  # a heat map: no grid over it, no seams in it
                ax.grid(False)
                artist.set_rasterized(True)
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    drawing = buffer.getvalue()
    width, height = (float(size) for size in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawing).groups())
    body = drawing[drawing.index(">", drawing.index("<svg")) + 1 :]
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = body.replace(FOREGROUND, "currentColor")
    prefix = "f" + hashlib.sha256((alt + body).encode()).hexdigest()[:8]
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', body))
    body = re.sub(r' id="([^"]+)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", body)
    body = re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}-", body)
    label, role = html.escape(alt), "group" if "<a " in body else "img"  # an image has no links in it
    return (
        f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" xmlns="http://www.w3.org/2000/svg" role="{role}" '
        f'aria-label="{label}" viewBox="0 0 {width:g} {height:g}" '
        f'style="width:100%;max-width:{width * 4 / 3:.0f}px;height:auto"><title>{label}</title>{body}'
    )


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
    if not isinstance(alt, str) or len(alt.split()) < 5:
        raise ValueError(f"figures.show: alt={alt!r} is too short; say in five words or more what is seen")
    if empty := [number for number, ax in enumerate(fig.axes, start=1) if is_empty(ax)]:
        raise ValueError(f"figures.show: nothing finite is drawn in panel {empty[0]} of {len(fig.axes)}: {alt}")
    plt.close(fig)
    display({"text/html": svg(fig, alt), "text/plain": f"Figure: {alt}"}, raw=True)
