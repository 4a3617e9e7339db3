"""Draws the speed of all structures: `python tests/benchmarks/draw_structures.py FIGURE LABEL=FILE...`.

Each file is what `run.py --only structures --json FILE` left, for one instruction set; the label names it.
The larger basin is drawn.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter

SWEEPS = {"forward": "simulation", "gradient": "cost and gradient"}
COLOURS = {"double": "#1f4e79", "single": "#e08214"}
HATCHES = ("", "////", "....")
OURS = "hydrocli "


def draw(figure: Path, tables: dict[str, dict[str, dict[str, float]]]) -> None:
    """Bars of ns per cell and step, one panel for each sweep.

    Args:
        figure: PNG that is written.
        tables: by instruction set, then by contestant and sweep [ns].
    """
    structures = list(dict.fromkeys(_structure(name) for table in tables.values() for name in table))
    series = [(isa, precision) for isa in tables for precision in COLOURS]
    height = 0.8 / len(series)
    page, axes = plt.subplots(1, len(SWEEPS), figsize=(10, 0.55 * len(structures) + 1.6), sharey=True)
    for axis, (sweep, title) in zip(axes, SWEEPS.items(), strict=True):
        for place, (isa, precision) in enumerate(series):
            values = [tables[isa].get(f"{OURS}{name} {precision}", {}).get(sweep, 0.0) for name in structures]
            at = [number + (place - 0.5 * (len(series) - 1)) * height for number in range(len(structures))]
            hatch = HATCHES[list(tables).index(isa)]
            colour = COLOURS[precision]
            axis.barh(
                at,
                values,
                height,
                label=f"{isa}, {precision}",
                color=colour,
                hatch=hatch,
                edgecolor="white",
                linewidth=0.4,
            )
        axis.set(title=title, xlabel="ns per cell and step", xscale="log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(axis="x", alpha=0.3)
        axis.set_axisbelow(True)
    axes[0].set_yticks(range(len(structures)), structures)
    axes[0].invert_yaxis()
    axes[-1].legend(frameon=False, fontsize="small")
    page.tight_layout()
    page.savefig(figure, dpi=110)


def _structure(contestant: str) -> str:
    return contestant.removeprefix(OURS).rsplit(" ", 1)[0]


def main(figure: str, *files: str) -> None:
    """Read the files and draw."""
    tables = {}
    for label, _, path in (file.partition("=") for file in files):
        table = json.loads(Path(path).read_text())["structures"]["large ns"]
        tables[label] = {name: values for name, values in table.items() if name.startswith(OURS)}
    draw(Path(figure), tables)


if __name__ == "__main__":
    main(*sys.argv[1:])
