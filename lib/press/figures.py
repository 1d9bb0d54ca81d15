"""The one style of every figure: readable on light and dark pages and with the same bytes each time."""

import hashlib
import html
import io
import re

import matplotlib as mpl
import matplotlib.pyplot as plt
from cycler import cycler
from IPython.display import display
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

FOREGROUND = "#010203"  # stands for the page's own text colour: `show` writes it as `currentColor`
# Told apart by colour-blind readers, each with a contrast of 3:1 or more on the light and the dark page.
COLOURS = ["#0077BB", "#D55E00", "#009E73", "#B8659A", "#8C7A00", "#7A7A7A"]
THEORY = {"color": FOREGROUND, "linestyle": (0, (5, 3)), "linewidth": 1.4, "zorder": 3}

mpl.rcParams.update(
    {
        "figure.figsize": (6.4, 3.6),
        "figure.facecolor": "none",
        "figure.constrained_layout.use": True,
        "savefig.facecolor": "none",
        "savefig.dpi": 200,
        "savefig.transparent": True,
        "svg.fonttype": "path",
        "svg.hashsalt": "press",
        "font.size": 10,
        "font.family": "DejaVu Sans",
        "text.color": FOREGROUND,
        "axes.facecolor": "none",
        "axes.edgecolor": FOREGROUND,
        "axes.labelcolor": FOREGROUND,
        "axes.titlecolor": FOREGROUND,
        "axes.titlesize": 10,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycler(color=COLOURS),
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": FOREGROUND,
        "grid.alpha": 0.15,
        "grid.linewidth": 0.6,
        "xtick.color": FOREGROUND,
        "ytick.color": FOREGROUND,
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "lines.markersize": 5,
        "hatch.color": FOREGROUND,
        "boxplot.boxprops.color": FOREGROUND,
        "image.cmap": "viridis",
    }
)


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
    label = html.escape(alt)
    return (
        f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'aria-label="{label}" viewBox="0 0 {width:g} {height:g}" '
        f'style="width:100%;max-width:{width * 4 / 3:.0f}px;height:auto"><title>{label}</title>{body}'
    )


def show(fig: Figure, *, alt: str) -> None:
    """Display `fig` and close it; `alt` says in a sentence what the reader would see in it."""
    if len(alt.split()) < 5:
        raise ValueError(f"figures.show: alt={alt!r} is too short; say in five words or more what is seen")
    plt.close(fig)
    display({"text/html": svg(fig, alt), "text/plain": f"Figure: {alt}"}, raw=True)
