"""Means and rates with their confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

__all__ = ["Estimate", "Interval", "mean_estimate", "running_means", "student_quantile", "wilson_interval"]

_EXACT_UP_TO = 200  # degrees of freedom; beyond, the expansion below is right to ten digits


@dataclass(frozen=True)
class Interval:
    """A range of values, both ends included."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Estimate:
    """What a sample says about the mean of what it was drawn from.

    Attributes:
        mean: Mean of the sample.
        standard_error: Standard deviation of that mean, estimated from the sample; infinite for one value.
        half_width: The interval reaches this far to either side; infinite for one value.
        count: Number of values.
        confidence: Share of samples whose interval holds the true mean, between 0 and 1.
    """

    mean: float
    standard_error: float
    half_width: float
    count: int
    confidence: float

    @property
    def interval(self) -> Interval:
        """The confidence interval."""
        return Interval(self.mean - self.half_width, self.mean + self.half_width)


def mean_estimate(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Mean of a sample, with the interval of Student's t: mean ± t(n - 1) · s / √n, s with n - 1 in its denominator.

    The same values in any order give the same estimate, to the last bit.

    Args:
        values: At least one number.
        confidence: Between 0 and 1.

    Raises:
        ValueError: There are no values.
    """
    count = len(values)
    if count == 0:
        raise ValueError("no values, so no mean")
    mean = math.fsum(values) / count
    if count == 1:
        return Estimate(mean, math.inf, math.inf, 1, confidence)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    standard_error = math.sqrt(variance / count)
    reach = student_quantile(0.5 + confidence / 2, count - 1) * standard_error
    return Estimate(mean, standard_error, reach, count, confidence)


def running_means(values: Sequence[float], most: int, confidence: float = 0.95) -> list[Estimate]:
    """What the first n values say about the mean, for growing n: each as ``mean_estimate`` of those n.

    Computed in one pass (B. P. Welford, 1962, Technometrics 4, 419-420), so equal to it but for rounding.

    Args:
        values: In their order, at least one number.
        most: At most so many estimates, at least 2, evenly spread from the first value alone to all of them.
        confidence: Between 0 and 1, of each interval by itself.

    Raises:
        ValueError: There are no values, or ``most`` is below 2.
    """
    if not values or most < 2:
        raise ValueError(f"no running means of {len(values)} values at {most} places")
    places = min(most, len(values))
    wanted = {1 + place * (len(values) - 1) // max(places - 1, 1) for place in range(places)}
    estimates = []
    mean = squares = 0.0
    for count, value in enumerate(values, start=1):
        before = value - mean
        mean += before / count
        squares += before * (value - mean)
        if count == 1:
            estimates.append(Estimate(mean, math.inf, math.inf, 1, confidence))
        elif count in wanted:
            standard_error = math.sqrt(squares / (count - 1) / count)
            reach = student_quantile(0.5 + confidence / 2, count - 1) * standard_error
            estimates.append(Estimate(mean, standard_error, reach, count, confidence))
    return estimates


def wilson_interval(hits: int, count: int, confidence: float = 0.95) -> Interval:
    """Interval of a rate, from how often something happened in how many cases.

    Wilson's score interval (E. B. Wilson, 1927, Journal of the American Statistical Association 22, 209-212): within
    0 and 1, and sensible also where nothing or everything was a hit. No cases give the interval from 0 to 1.

    Raises:
        ValueError: There are more hits than cases, or fewer than none.
    """
    if not 0 <= hits <= count:
        raise ValueError(f"{hits} hits in {count} cases")
    if count == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate, weight = hits / count, z * z / count
    centre = (rate + weight / 2) / (1 + weight)
    reach = z / (1 + weight) * math.sqrt(rate * (1 - rate) / count + weight / (4 * count))
    # at the ends the two are equal but for rounding
    low = 0.0 if hits == 0 else centre - reach
    high = 1.0 if hits == count else centre + reach
    return Interval(low, high)


def student_quantile(probability: float, degrees: int) -> float:
    """The value that Student's t stays below with this probability.

    Up to 200 degrees of freedom from its distribution function in closed form (Abramowitz & Stegun, Handbook of
    Mathematical Functions, 26.7.3 and 26.7.4), halved in until floats end; beyond, by the expansion around the normal
    distribution (26.7.5), whose error is then below 1e-8.

    Args:
        probability: Between 0 and 1, both excluded.
        degrees: Degrees of freedom, from 1.

    Raises:
        ValueError: An argument is out of its range.
    """
    if not 0 < probability < 1 or degrees < 1:
        raise ValueError(f"no quantile {probability} of Student's t with {degrees} degrees of freedom")
    if probability < 0.5:
        return -student_quantile(1 - probability, degrees)
    if degrees > _EXACT_UP_TO:
        return _expansion(NormalDist().inv_cdf(probability), degrees)
    central = 2 * probability - 1
    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        if _central_probability(middle, degrees) < central:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(low)


def _central_probability(angle: float, degrees: int) -> float:
    """Probability that |t| stays below √degrees · tan(angle)."""
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = 0.0
    for power in range(odd, degrees - 1, 2):
        total += term
        term *= cosine * cosine * (power + 1) / (power + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def _expansion(z: float, degrees: int) -> float:
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3
