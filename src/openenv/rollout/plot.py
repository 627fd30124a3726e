"""Recorded runs as figures: the running mean of the return, and the distributions of return and length."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openenv.errors import ConfigurationError, MissingExtra
from openenv.rollout.bins import Bins, common_bins
from openenv.rollout.statistics import Estimate, mean_estimate, running_means

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "PlottedRun", "write_figures"]


@dataclass(frozen=True)
class PlottedRun:
    """What of a run is drawn.

    Attributes:
        label: Its name in the legend.
        returns: Return of each finished episode, in the order in which they began.
        lengths: Its length in steps, in the same order.
        left_out: How many episodes did not finish and are not drawn.
    """

    label: str
    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    left_out: int = 0


# Okabe & Ito, "Color Universal Design" (2008): told apart with every common kind of colour vision. Their yellow is too
# light for lines on white, black is for the axes.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DASHES = ("-", "--", "-.", ":")  # after all colours were used
_INK, _QUIET, _GRID = "#1a1a1a", "#5c5c5c", "#e4e4e4"
_CURVE_POINTS = 600

_STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": _QUIET,
    "axes.grid": True,
    "axes.labelcolor": _INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so a figure looks the same everywhere
    "font.size": 9.5,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "svg.hashsalt": "openenv",  # else the ids in the file are drawn anew each time
    "text.color": _INK,
    "text.parse_math": False,  # a dollar in a name is a dollar
    "xtick.color": _QUIET,
    "xtick.labelcolor": _INK,
    "ytick.color": _QUIET,
    "ytick.labelcolor": _INK,
}


def write_figures(runs: Sequence[PlottedRun], title: str, directory: Path, file_format: str = "png") -> list[Path]:
    """Draw the runs over each other and write one file for each of ``FIGURES``, and the three as one ``overview``.

    Needs no display. The same runs always give the same bytes with the same version of matplotlib.

    Args:
        runs: At least one, each with a finished episode.
        title: What was played.
        directory: Where the files go; made if it is not there. Files of the same names are replaced.
        file_format: ``png`` (180 dots an inch) or ``svg``.

    Returns:
        The files, the overview first.

    Raises:
        MissingExtra: matplotlib is not installed.
        ConfigurationError: There is nothing to draw, or the files cannot be written.
    """
    try:
        import matplotlib.style
    except ImportError as error:
        raise MissingExtra("plots need matplotlib; install it with: pip install 'openenv[plot]'") from error

    if not runs:
        raise ConfigurationError("no runs to plot; name one or more")
    for run in runs:
        if not run.returns:
            raise ConfigurationError(f"run {run.label} has no finished episode, so nothing to plot; leave it out")
    written = []
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # in a name; a box stands for it
        for name in ("overview", *FIGURES):
            figure = _overview(runs, title) if name == "overview" else _single(FIGURES[name], runs, title)
            path = directory / f"{name}.{file_format}"
            _save(figure, path, file_format)
            written.append(path)
    return written


def _save(figure: Figure, path: Path, file_format: str) -> None:
    # What matplotlib writes about itself and the time would make the same figure another file.
    metadata = {"Software": None} if file_format == "png" else {"Creator": None, "Date": None}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format=file_format, dpi=180, metadata=metadata)
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror or error}; choose another --out") from error


def _overview(runs: Sequence[PlottedRun], title: str) -> Figure:
    figure = _titled((10.0, 7.0), runs, title)
    panels = figure.subplot_mosaic([["mean", "mean"], ["return", "length"]], height_ratios=[1.1, 1])
    for axes, draw in zip((panels["mean"], panels["return"], panels["length"]), FIGURES.values(), strict=True):
        draw(axes, runs)
    return figure


def _single(draw: Callable[[Axes, Sequence[PlottedRun]], None], runs: Sequence[PlottedRun], title: str) -> Figure:
    figure = _titled((7.2, 4.0), runs, title)
    draw(figure.subplots(), runs)
    return figure


def _titled(inches: tuple[float, float], runs: Sequence[PlottedRun], title: str) -> Figure:
    """An empty figure: so many inches for the axes, above them a title and one line of the legend for each run."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.lines import Line2D

    width, height = inches[0], inches[1] + 0.52 + 0.21 * len(runs)
    figure = Figure(figsize=(width, height))
    left, top = 0.16 / width, 1 - 0.14 / height
    figure.text(left, top, title, ha="left", va="top", fontsize=15, fontweight="bold")
    handles = [Line2D([], [], linewidth=3, **_look(index)) for index in range(len(runs))]
    figure.legend(
        handles,
        [_told(run) for run in runs],
        loc="upper left",
        bbox_to_anchor=(left, top - 0.3 / height),
        borderaxespad=0,
        borderpad=0.2,
        handlelength=2,
        labelspacing=0.35,
    ).set_in_layout(False)
    free = inches[1] / height
    figure.set_layout_engine(
        ConstrainedLayoutEngine(rect=(0, 0, 1, free), w_pad=0.12, h_pad=0.1, wspace=0.04, hspace=0.06)
    )
    return figure


def _told(run: PlottedRun) -> str:
    count = len(run.returns)
    missing = f" ({run.left_out:,} unfinished left out)" if run.left_out else ""
    return f"{run.label}:  mean return {_with_reach(mean_estimate(run.returns))},  n = {count:,}{missing}"


def _with_reach(estimate: Estimate) -> str:
    """The mean to the digits that its interval leaves meaning to."""
    if not 0 < estimate.half_width < math.inf:
        return _number(estimate.mean)
    digits = max(1 - math.floor(math.log10(estimate.half_width)), 0)
    return f"{estimate.mean:,.{digits}f} ± {estimate.half_width:,.{digits}f}".replace("-", "\u2212")


def _look(index: int) -> dict[str, Any]:
    return {
        "color": _COLOURS[index % len(_COLOURS)],
        "linestyle": _DASHES[index // len(_COLOURS) % len(_DASHES)],
    }


# The three panels --------------------------------------------------------------------------------


def _draw_running_mean(axes: Axes, runs: Sequence[PlottedRun]) -> None:
    ranges = []
    for index, run in enumerate(runs):
        curve = running_means(run.returns, _CURVE_POINTS)
        look = _look(index)
        known = [(one.count, one.interval) for one in curve if one.count > 1]
        if known:
            low, high = [one.low for _, one in known], [one.high for _, one in known]
            axes.fill_between([count for count, _ in known], low, high, color=look["color"], alpha=0.16, linewidth=0)
        counts, means = [one.count for one in curve], [one.mean for one in curve]
        axes.plot(counts, means, linewidth=1.8, marker="o" if len(curve) == 1 else "", **look)
        ranges.append(_interesting(curve))
    bottom, top = min(low for low, _ in ranges), max(high for _, high in ranges)
    margin = 0.06 * (top - bottom) or 0.1 * max(abs(top), 1.0)
    axes.set_ylim(bottom - margin, top + margin)
    axes.set_xlim(0, max(2, *(len(run.returns) for run in runs)))
    axes.set_title("Running mean of the return, with its 95 % interval")
    axes.set_xlabel("finished episodes, in the order in which they began")
    axes.set_ylabel("mean return (sum of rewards)")
    _whole_numbers(axes)


def _interesting(curve: Sequence[Estimate]) -> tuple[float, float]:
    """The range to show: the first few intervals are so wide that they would flatten all the rest."""
    settled = [one for one in curve if one.count >= max(8, curve[-1].count // 50)]
    means = [one.mean for one in (settled or curve)]
    intervals = [one.interval for one in settled]
    return min([*means, *(one.low for one in intervals)]), max([*means, *(one.high for one in intervals)])


def _draw_returns(axes: Axes, runs: Sequence[PlottedRun]) -> None:
    _draw_distribution(axes, [run.returns for run in runs])
    axes.set_title("Distribution of the return")
    axes.set_xlabel("return (sum of rewards); \u25bc mean")


def _draw_lengths(axes: Axes, runs: Sequence[PlottedRun]) -> None:
    if not _draw_distribution(axes, [run.lengths for run in runs]):
        _whole_numbers(axes)
    axes.set_title("Distribution of the length")
    axes.set_xlabel("length (steps); \u25bc mean")


FIGURES: dict[str, Callable[[Axes, Sequence[PlottedRun]], None]] = {
    "running_mean": _draw_running_mean,
    "returns": _draw_returns,
    "lengths": _draw_lengths,
}
"""What draws each figure, by the name of its file."""


def _draw_distribution(axes: Axes, samples: Sequence[Sequence[float]]) -> bool:
    """Draw all samples with the same bins; True if each value got a tick of its own."""
    bins = common_bins(samples)
    for index, sample in enumerate(samples):
        shares = [100 * share for share in bins.shares(sample)]
        look = _look(index)
        if bins.values:
            _draw_bars(axes, bins, shares, index, len(samples))
        else:
            axes.stairs(shares, bins.edges, fill=True, color=look["color"], alpha=0.22, linewidth=0)
            axes.stairs(shares, bins.edges, linewidth=1.6, **look)
        _mark_mean(axes, mean_estimate(sample).mean, look["color"])
    axes.margins(y=0.08)
    axes.set_xlim(bins.edges[0], bins.edges[-1])
    axes.set_ylim(bottom=0)
    axes.grid(visible=False, axis="x")
    axes.set_ylabel("share of episodes (%)")
    if not 0 < len(bins.values) <= 12:
        return False
    axes.set_xticks(bins.values, [_number(value) for value in bins.values])
    return True


def _mark_mean(axes: Axes, mean: float, colour: str) -> None:
    """A triangle at the top, outlined in white so that it is seen before a bar of its own colour too."""
    across = axes.get_xaxis_transform()
    axes.plot([mean, mean], [0, 1], transform=across, color="white", linewidth=2.6, alpha=0.7, zorder=4)
    axes.plot([mean, mean], [0, 1], transform=across, color=colour, linewidth=1.3, linestyle=(0, (2, 1.4)), zorder=5)
    axes.plot(
        mean, 1, "v", transform=across, color=colour, markersize=8, markeredgecolor="white", clip_on=False, zorder=6
    )


def _draw_bars(axes: Axes, bins: Bins, shares: Sequence[float], index: int, count: int) -> None:
    """Bars at the values, those of several runs side by side."""
    width = 0.8 * bins.spacing / count
    shift = (index - (count - 1) / 2) * width
    axes.bar(
        [value + shift for value in bins.values],
        shares,
        width=0.92 * width,
        color=_look(index)["color"],
        hatch=("", "//", "..", "xx")[index // len(_COLOURS) % 4],
        alpha=0.85,
        edgecolor="white",
        linewidth=0,
    )


def _whole_numbers(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _number(value: float) -> str:
    return f"{value:.4g}".replace("-", "\u2212")
