"""Means and rates against published values."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest

from openenv.rollout import Interval, mean_estimate, student_quantile, wilson_interval
from openenv.rollout.statistics import running_means


# National Institute of Standards and Technology, Engineering Statistics Handbook, section 1.3.6.7.2
@pytest.mark.parametrize(
    ("probability", "degrees", "quantile"),
    [
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.975, 3, 3.182),
        (0.975, 4, 2.776),
        (0.975, 10, 2.228),
        (0.975, 29, 2.045),
        (0.975, 30, 2.042),
        (0.975, 100, 1.984),
        (0.9, 1, 3.078),
        (0.9, 7, 1.415),
        (0.95, 20, 1.725),
        (0.99, 5, 3.365),
        (0.995, 8, 3.355),
        (0.999, 6, 5.208),
    ],
)
def test_quantiles_of_the_handbook(probability: float, degrees: int, quantile: float) -> None:
    assert student_quantile(probability, degrees) == pytest.approx(quantile, abs=6e-4)


def test_closed_forms_for_one_and_two_degrees() -> None:
    for probability in (0.51, 0.6, 0.9, 0.975, 0.9999):
        assert student_quantile(probability, 1) == pytest.approx(math.tan(math.pi * (probability - 0.5)), rel=1e-9)
        wide = 2 * probability - 1
        assert student_quantile(probability, 2) == pytest.approx(wide * math.sqrt(2 / (1 - wide**2)), rel=1e-9)


def test_the_expansion_takes_over_without_a_step() -> None:
    before, at, after = (student_quantile(0.975, degrees) for degrees in (199, 200, 201))
    assert after < at < before
    assert (before - at) == pytest.approx(at - after, rel=0.03)
    assert student_quantile(0.975, 1000) == pytest.approx(1.9623390808, abs=1e-9)
    assert student_quantile(0.975, 10**9) == pytest.approx(1.959963985, abs=1e-8)


def test_quantiles_are_symmetric() -> None:
    assert student_quantile(0.025, 5) == pytest.approx(-student_quantile(0.975, 5))
    assert student_quantile(0.5, 4) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("probability", "degrees"), [(0.0, 3), (1.0, 3), (0.9, 0)])
def test_there_is_no_such_quantile(probability: float, degrees: int) -> None:
    with pytest.raises(ValueError, match="no quantile"):
        student_quantile(probability, degrees)


def test_a_mean_with_its_interval() -> None:
    # s = √2.5, t(4) = 2.776445
    estimate = mean_estimate([1, 2, 3, 4, 5])
    assert estimate.mean == 3
    assert estimate.standard_error == pytest.approx(math.sqrt(2.5 / 5))
    assert estimate.half_width == pytest.approx(2.776445 * math.sqrt(0.5), rel=1e-6)
    assert estimate.interval.low == pytest.approx(3 - estimate.half_width)
    assert 4.9 in estimate.interval
    assert 5.0 not in estimate.interval
    assert mean_estimate([1, 2, 3, 4, 5], confidence=0.5).half_width < estimate.half_width


def test_order_does_not_change_a_bit() -> None:
    rng = random.Random(3)
    values = [rng.gauss(0, 1) * 10 ** rng.randint(-9, 9) for _ in range(1000)]
    assert mean_estimate(values) == mean_estimate(sorted(values))


def test_few_values() -> None:
    assert mean_estimate([7.0, 7.0]).half_width == 0
    assert mean_estimate([7.0]).interval == Interval(-math.inf, math.inf)
    with pytest.raises(ValueError, match="no values"):
        mean_estimate([])


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = random.Random(11)
    held = sum(2.0 in mean_estimate([rng.gauss(2, 3) for _ in range(5)]).interval for _ in range(2000))
    assert held in Interval(1862, 1938)  # 1900 ± 4 standard deviations


def test_wilson_against_published_values() -> None:
    # R. Newcombe, 1998, Statistics in Medicine 17, 857-872, table I, method 3
    for hits, count, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = wilson_interval(hits, count)
        assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_wilson_at_its_ends() -> None:
    assert wilson_interval(0, 0) == Interval(0, 1)
    assert wilson_interval(0, 9).low == 0
    assert wilson_interval(9, 9).high == 1
    for hits, count in ((5, 4), (-1, 4)):
        with pytest.raises(ValueError, match="hits"):
            wilson_interval(hits, count)


# Running means -----------------------------------------------------------------------------------


def test_running_means_are_the_means_of_the_first_values() -> None:
    values = [1e6 + math.sin(index) for index in range(50)]
    curve = running_means(values, 50)
    assert [one.count for one in curve] == list(range(1, 51))
    for one in curve:
        exact = mean_estimate(values[: one.count])
        assert one.mean == pytest.approx(exact.mean, rel=1e-13)
        assert one.half_width == pytest.approx(exact.half_width, rel=1e-6)


@pytest.mark.parametrize(("count", "most"), [(1000, 10), (7, 7), (7, 100), (1, 5), (2, 2), (999, 2)])
def test_running_means_are_spread_from_the_first_to_all(count: int, most: int) -> None:
    counts = [one.count for one in running_means([0.5] * count, most)]
    assert (counts[0], counts[-1]) == (1, count)
    assert len(counts) == min(count, most)
    gaps = {after - before for before, after in pairwise(counts)}
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_running_means_need_values_and_places() -> None:
    with pytest.raises(ValueError, match="0 values"):
        running_means([], 5)
    with pytest.raises(ValueError, match="1 places"):
        running_means([1.0], 1)
