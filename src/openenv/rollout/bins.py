"""Which bins a histogram of several samples needs: one for each value where there are few, else of equal width."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median, quantiles

__all__ = ["Bins", "common_bins"]

_MOST_VALUES = 25
_FEWEST, _MOST = 12, 60  # bins of equal width


@dataclass(frozen=True)
class Bins:
    """Bins for all samples of one histogram.

    Attributes:
        edges: Ascending; the first and the last hold all samples between them.
        values: The only values there are, one a bin; empty where bins have equal widths instead.
        spacing: Smallest distance of two values, 1 for a single one; the width of a bin where there are none.
    """

    edges: tuple[float, ...]
    values: tuple[float, ...]
    spacing: float

    def shares(self, sample: Sequence[float]) -> list[float]:
        """Share of the sample in each bin, 0 to 1; each bin holds its lower edge, the last one both."""
        if self.values:
            found = Counter(sample)
            return [found[value] / len(sample) for value in self.values]
        counts = [0] * (len(self.edges) - 1)
        for value in sample:
            counts[min(max(bisect_right(self.edges, value) - 1, 0), len(counts) - 1)] += 1
        return [count / len(sample) for count in counts]


def common_bins(samples: Sequence[Sequence[float]]) -> Bins:
    """Bins that fit all of these samples.

    Up to 25 different values that do not lie too close to each other get a bin each. More get bins of equal width by
    the rule of D. Freedman and P. Diaconis (1981, Zeitschrift für Wahrscheinlichkeitstheorie 57, 453-476), which is
    2 · IQR / ∛n, the median of what it says for each sample; but 12 to 60 of them, and whole ones for whole numbers.

    Args:
        samples: At least one, none empty.
    """
    values = sorted({value for sample in samples for value in sample})
    span = values[-1] - values[0]
    gaps = [after - before for before, after in pairwise(values)]
    spacing = min(gaps, default=1.0)
    if len(values) <= _MOST_VALUES and span <= 2 * _MOST_VALUES * spacing:
        between = [(before + after) / 2 for before, after in pairwise(values)]
        edges = (values[0] - 0.6 * spacing, *between, values[-1] + 0.6 * spacing)
        return Bins(edges, tuple(values), spacing)
    asked = [width for width in map(_freedman_diaconis, samples) if width > 0] or [span / _FEWEST]
    width = span / min(max(math.ceil(span / median(asked)), _FEWEST), _MOST)
    low = values[0]
    if all(float(value).is_integer() for value in values):
        width = float(max(math.ceil(width), 1))
        low, span = low - 0.5, span + 1  # a whole number lies in the middle of its bin, not on an edge
    count = max(math.ceil(span / width), 1)
    return Bins(tuple(low + width * index for index in range(count + 1)), (), width)


def _freedman_diaconis(sample: Sequence[float]) -> float:
    if len(sample) < 2:
        return 0.0
    lower, _, upper = quantiles(sample, n=4, method="inclusive")
    return float(2 * (upper - lower) / len(sample) ** (1 / 3))
