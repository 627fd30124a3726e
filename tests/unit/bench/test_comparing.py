"""The statistics of the benchmarks."""

from __future__ import annotations

import pytest
from bench.comparing import Better, Comparison


def test_the_ratio_is_taken_pair_by_pair() -> None:
    # the third round was slow on both sides: its ratio is as good as the others', its numbers are not
    found = Comparison(peer=[10.0, 12.0, 400.0], ours=[5.0, 4.0, 100.0], better=Better.LESS)
    assert found.ratios == [2.0, 3.0, 4.0]
    assert found.ratio == 3.0
    assert (found.peer_median, found.our_median) == (12.0, 5.0)


def test_where_more_is_better_the_ratio_turns_over() -> None:
    found = Comparison(peer=[10.0, 10.0], ours=[20.0, 40.0], better=Better.MORE)
    assert found.ratios == [2.0, 4.0]
    assert found.ratio == 3.0


@pytest.mark.parametrize("ours", [0.0, -1.0])
def test_there_is_no_ratio_to_nothing(ours: float) -> None:
    found = Comparison(peer=[1.0, 1.0], ours=[1.0, ours], better=Better.LESS)
    assert found.ratios is None
    assert found.ratio is None


@pytest.mark.parametrize(("peer", "ours"), [([], []), ([1.0], []), ([1.0, 2.0], [1.0])])
def test_rounds_without_their_pair_are_refused(peer: list[float], ours: list[float]) -> None:
    with pytest.raises(ValueError, match="rounds come in pairs"):
        Comparison(peer, ours, Better.LESS)
