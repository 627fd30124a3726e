"""Bins of histograms: a bin a value where there are few, else of equal width."""

from __future__ import annotations

import random

import pytest

from openenv.rollout.bins import common_bins

rng = random.Random(4)
NORMAL = [rng.gauss(10, 3) for _ in range(1000)]


def test_few_values_get_a_bin_each() -> None:
    bins = common_bins([[-1.0, 0.0, 1.0, 1.0], [1.5]])
    assert bins.values == (-1.0, 0.0, 1.0, 1.5)
    assert bins.spacing == 0.5
    assert bins.edges == pytest.approx((-1.3, -0.5, 0.5, 1.25, 1.8))
    assert bins.shares([-1.0, 0.0, 1.0, 1.0]) == [0.25, 0.25, 0.5, 0.0]
    assert bins.shares([1.5]) == [0, 0, 0, 1]


def test_a_single_value() -> None:
    bins = common_bins([[4, 4, 4]])
    assert (bins.values, bins.shares([4, 4])) == ((4,), [1.0])
    assert bins.edges == pytest.approx((3.4, 4.6))


def test_many_values_get_bins_of_equal_width_that_hold_them_all() -> None:
    bins = common_bins([NORMAL])
    assert bins.values == ()
    assert bins.edges[0] == min(NORMAL)
    assert bins.edges[-1] == pytest.approx(max(NORMAL))
    assert 12 <= len(bins.edges) - 1 <= 60
    # the rule for a normal sample: IQR = 1.349 s, so 2 · 1.349 · 3 / 10
    assert bins.spacing == pytest.approx(0.81, rel=0.1)
    shares = bins.shares(NORMAL)
    assert sum(shares) == pytest.approx(1)
    for share, low, high in zip(shares[:-1], bins.edges, bins.edges[1:], strict=False):
        assert share == pytest.approx(sum(low <= value < high for value in NORMAL) / 1000)


def test_few_values_far_from_each_other_and_near_do_not_become_hairlines() -> None:
    bins = common_bins([[0.0, 0.01, 100.0]])
    assert bins.values == ()
    assert len(bins.edges) == 13
    assert bins.shares([0.0, 0.01, 100.0]) == pytest.approx([2 / 3, *[0] * 10, 1 / 3])


def test_whole_numbers_get_whole_bins() -> None:
    lengths = [1 + index % 90 for index in range(900)]
    bins = common_bins([lengths])
    assert bins.edges[0] == 0.5
    assert bins.edges[-1] >= 90.5
    assert bins.spacing == int(bins.spacing)
    assert sum(bins.shares(lengths)) == pytest.approx(1)


def test_outliers_do_not_ask_for_endless_bins() -> None:
    bins = common_bins([[*NORMAL, 1e9]])
    assert len(bins.edges) - 1 == 60
    assert bins.shares([1e9])[-1] == 1
