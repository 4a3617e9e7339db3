"""Style of all figures: colours, fonts, axes, dates, and conversion to files or parts of the page.

Colours are those of Okabe and Ito (2008), and cividis for fields, since both are read the same with every colour
vision; red and blue (RdBu, red is more) where zero is in the middle. Only the object interface of matplotlib with its
Agg and SVG canvases is used: no window, no current figure. Its settings are global, so one thread at a time draws.

In the page a figure is SVG whose ink, grid, paper and blue follow the page into the dark: `FOLLOWING`.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

INK, GRID, PAPER = "#1b2330", "#d5dae1", "#fefefe"
MUTED = "#7c8796"
BLACK, ORANGE, SKY, GREEN = INK, "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"

OBSERVED, SIMULATED, AGAINST, RAIN = INK, BLUE, VERMILION, SKY
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, MUTED)
FIELD, DIVERGING = "cividis", "RdBu_r"

FOLLOWING = {INK: "currentColor", GRID: "var(--grid)", PAPER: "var(--paper)", BLUE: "var(--blue)"}
"""Colours that follow the page into the dark."""

WIDTH = 9.0
"""Inches of every figure: the page shows them at one scale, so text has one size."""

DOTS_PER_INCH = 130

_SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=CYCLE),
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "text.color": INK,
    "text.parse_math": False,  # a gauge may be called anything
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.1,
    "lines.solid_joinstyle": "round",
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "image.cmap": FIELD,
    "image.interpolation": "nearest",
    "svg.fonttype": "path",  # the reader's machine needs no font
    "svg.image_inline": True,
    "path.simplify": True,
    "path.simplify_threshold": 0.3,
}
_DRAWING = threading.RLock()


@contextmanager
def drawing() -> Iterator[None]:
    """The style of this module within the block, independent of the user's settings of matplotlib."""
    settings: Any = mpl.rcParamsDefault | _SETTINGS
    with _DRAWING, mpl.rc_context(settings):
        yield


def canvas(height: float, width: float = WIDTH) -> Figure:
    """An empty figure [inches] whose parts make room for one another."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def panels(
    count: int, columns: int, height: float, *, sharex: bool = False, stretched: bool = True
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` axes of a height [inches] in rows of `columns`; the places left over stay empty.

    Fewer than a row are stretched over its width, or not.
    """
    columns = min(columns, count) if stretched else columns
    rows = -(-count // columns)
    figure = canvas(rows * height + 0.25)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=sharex).ravel().tolist()
    for axis in axes[count:]:
        axis.remove()
    return figure, axes[:count]


def dates(axis: Axes, *, ticks: int = 9) -> None:
    """Readable dates on the x axis."""
    locator = AutoDateLocator(minticks=3 if ticks > 5 else 2, maxticks=ticks)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def logarithmic(axis: Axes, low: float, high: float) -> None:
    """A logarithmic y axis between two numbers, labelled with plain numbers."""
    axis.set_yscale("log")
    axis.set_ylim(low, high)
    decades = np.log10(high / low)
    steps = (1.0,) if decades > 3 else (1.0, 3.0) if decades > 1.2 else (1.0, 2.0, 3.0, 5.0)
    plain_numbers(axis.yaxis, steps, 6 if decades > 3 else 12)


def plain_numbers(axis: Axis, steps: Sequence[float] = (1.0,), most: int = 8) -> None:
    """Plain numbers at the ticks of a logarithmic axis, at these multiples of the powers of ten."""
    axis.set_major_locator(LogLocator(subs=steps, numticks=most))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def legend(axis: Axes, **options: Any) -> None:
    """A legend above the axis, in one line, if there are labels."""
    handles, labels = axis.get_legend_handles_labels()
    if labels:
        settings: dict[str, Any] = {
            "loc": "lower left",
            "bbox_to_anchor": (0.0, 1.0),
            "ncols": len(labels),
            "borderaxespad": 0.1,
        }
        axis.legend(handles, labels, **(settings | options))


def halo() -> list[Any]:
    """Paper around letters, so that they are read on anything."""
    return [withStroke(linewidth=2.2, foreground=PAPER)]


def limits(values: NDArray[np.float64], *, symmetric: bool = False) -> tuple[float, float]:
    """Range of a colour scale: of the finite values, around 0 if symmetric, and never empty."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if symmetric:
        most = max(abs(low), abs(high)) or 1.0
        return -most, most
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        margin = 0.05 * abs(low) or 0.5
        return low - margin, high + margin
    return low, high


def log_limits(series: Sequence[NDArray[np.float64]]) -> tuple[float, float] | None:
    """Range of a logarithmic axis: down to half the lowest of the first series (without its lowest thousandth).

    None where nothing in it is positive.
    """
    positive = [values[np.isfinite(values) & (values > 0)] for values in series]
    if not positive or not positive[0].size:
        return None
    return float(np.quantile(positive[0], 1e-3)) * 0.5, max(float(values.max(initial=0)) for values in positive) * 1.3


def encode(figure: Figure, kind: str) -> bytes:
    """The figure as a file of the kind png, svg or pdf; the same figure gives the same bytes."""
    _settle(figure)
    file = io.BytesIO()
    metadata: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    with mpl.rc_context({"svg.hashsalt": "hydrocli"}):
        figure.savefig(file, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)
    return file.getvalue()


def inline(figure: Figure, name: str) -> str:
    """The figure as SVG for the page: as wide as its place, in the page's own ink, grid and paper.

    Identifiers inside it begin with `name`, so that figures of one page never take one another's parts.
    """
    text = encode(figure, "svg").decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', text, count=1)
    text = text.replace('xlink:href="', 'href="')
    text = _renamed(text, name)
    for colour, variable in FOLLOWING.items():
        text = text.replace(colour.lower(), variable)
    return re.sub(r"\n\s*", "\n", text)


def _renamed(text: str, name: str) -> str:
    """Identifiers that something refers to become `name-0`, `name-1` ..., the others go.

    matplotlib's own come from positions whose last bits its layout does not repeat.
    """
    found = dict.fromkeys(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    new = {old: f"{name}-{place}" for place, old in enumerate(found)}
    text = re.sub(r' id="([^"]*)"', lambda match: f' id="{new[match[1]]}"' if match[1] in new else "", text)
    return re.sub(r'(href="#|url\(#)([^")]+)', lambda match: match[1] + new[match[2]], text)


def _settle(figure: Figure) -> None:
    """Let the parts find their places once; drawing again then takes them as they are."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
