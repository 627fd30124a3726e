"""What an episode's events say about it as a whole."""

from __future__ import annotations

import pytest
from tests.unit.record.samples import an_episode, an_event

from openenv.errors import RecordError
from openenv.record import EpisodeSummary, Trajectory


def test_a_whole_episode() -> None:
    trajectory = Trajectory.of(an_episode(steps=3))
    assert (trajectory.run, trajectory.episode, trajectory.seed) == ("run-1", "first", 7)
    assert trajectory.length == 3
    assert [event.index for event in trajectory.steps] == [1, 2, 3]
    assert trajectory.actions == [{"hit": True}] * 3
    assert trajectory.rewards == [0.5, 0.5, 0.5]
    assert trajectory.return_ == 1.5
    assert trajectory.status == "done"
    assert trajectory.summary == EpisodeSummary("first", 3, 1.5, "done", 7, 100.0, 4.5)


def test_events_come_in_any_order() -> None:
    assert Trajectory.of(reversed(an_episode())) == Trajectory.of(an_episode())


def test_errors_are_no_steps_and_absent_rewards_add_nothing() -> None:
    silent = an_event(3, reply={"reward": None})
    trajectory = Trajectory.of([an_event(0), an_event(1), an_event(2, "error"), silent])
    assert trajectory.length == 2
    assert trajectory.rewards == [0.5, None]
    assert trajectory.return_ == 0.5


def test_an_episode_of_a_reset_alone() -> None:
    trajectory = Trajectory.of([an_event(0)])
    assert (trajectory.length, trajectory.return_, trajectory.actions, trajectory.status) == (0, 0.0, [], "running")
    assert isinstance(trajectory.return_, float)


@pytest.mark.parametrize("status", ["done", "failed", "interrupted"])
def test_the_status_is_the_last_one_told(status: str) -> None:
    events = [an_event(0), an_event(1, "end"), an_event(2, "end", reply={"status": status})]
    assert Trajectory.of(events).status == status


def test_an_end_without_a_known_status_ends_nothing() -> None:
    assert Trajectory.of([an_event(0), an_event(1, "end", reply={})]).status == "running"


def test_the_duration_goes_to_the_last_reply_even_if_a_clock_went_back() -> None:
    summary = Trajectory.of([an_event(0, at=10.0), an_event(1, at=9.0, duration_s=4.0), an_event(2, at=11.0)]).summary
    assert (summary.started_at, summary.duration_s) == (9.0, 4.0)


def test_no_events_are_no_trajectory() -> None:
    with pytest.raises(RecordError, match="no events"):
        Trajectory.of([])


@pytest.mark.parametrize("other", [{"episode": "second"}, {"run": "run-2"}])
def test_events_of_two_episodes_are_refused(other: dict[str, str]) -> None:
    with pytest.raises(RecordError, match="several episodes"):
        Trajectory.of([an_event(0), an_event(1, **other)])
