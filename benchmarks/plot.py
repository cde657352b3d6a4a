"""A bar for each figure: how far it is over its bar."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import Figure


def draw(figures: Sequence[Figure], path: Path) -> None:
    """Draw the margins; without matplotlib (it comes with `make bench`) nothing is drawn."""
    try:
        import matplotlib as mpl
    except ImportError:
        print("matplotlib is not installed: no plot")
        return
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names = [textwrap.fill(figure.name, 60) for figure in figures]
    margins = [
        figure.ratio / figure.bar if figure.better == "higher" else figure.bar / figure.ratio
        for figure in figures
    ]
    colours = ["#2a7f62" if figure.met else "#b3392f" for figure in figures]
    drawing, axes = plt.subplots(figsize=(11, 0.42 * len(figures) + 1.2))
    axes.barh(names, margins, color=colours)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlim(right=max(margins) * 3)
    axes.set_xlabel("times better than the bar (1 = just met)")
    axes.invert_yaxis()
    for place, margin in enumerate(margins):
        axes.text(margin, place, f" {margin:.2f}", va="center", fontsize=8)
    drawing.tight_layout()
    drawing.savefig(path, dpi=110)
