"""The judge of the soak knows what a death explains, and what it does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.soak import worlds
from tests.soak.claims import Ending, Span
from tests.soak.deaths import Death, How
from tests.soak.judge import Outage
from tests.soak.ledger import Entry, first_sum, next_sum, read
from tests.soak.story import SEED, Story

EPISODE = "one"
OLD_PID, NEW_PID = 1, 2
STARTS_S = 2.0
"""What a server takes to start again."""


class Tale(Story):
    """One episode, three turns of which are answered by instance a; then its process dies and b has its place.

    Attributes:
        died_at: When.
        unanswered: Turns that a took without an answer.
    """

    def __init__(self, how: How = How.KILLED, unanswered: int = 0) -> None:
        super().__init__()
        self.write("a", "create")
        self.episode("a", EPISODE, 3)
        claim = self.claim
        claim.ending, claim.restorable, claim.asked = Ending.PLAYING, True, 3 + bool(unanswered)
        if unanswered:
            self.step("a", EPISODE, 4, self.sums(4)[-1])
        self.died_at = time.monotonic()
        self.death = Death(how, self.died_at, frozenset() if how in (How.SERVER, How.DRAINED) else frozenset({OLD_PID}))

    @property
    def claim(self):  # type: ignore[no-untyped-def]
        return self.claims[EPISODE]

    def sums(self, turns: int) -> list[str]:
        found = [first_sum(SEED)]
        for number in range(1, turns + 1):
            found.append(next_sum(found[-1], number))
        return found

    def replay(self, turns: int = 4, *, mood: str = "") -> None:
        """Instance b does all of it again."""
        self.write("b", "create")
        self.write("b", "reset", episode=EPISODE, seed=SEED, sum=first_sum(SEED), mood=mood)
        for turn in range(1, turns + 1):
            self.step("b", EPISODE, turn, self.sums(turn)[-1])

    def answer(self, instance: str = "b", turn: int = 4, mood: str = "") -> None:
        """The player is told of a turn."""
        seen = {"instance": instance, "episode": EPISODE, "turn": turn, "sum": self.sums(turn)[-1], "mood": mood}
        self.claim.asked = self.claim.asked_at = turn
        self.claim.stepped(turn, turn, 0, seen)

    def finish(self, ending: Ending = Ending.DONE, reason: str = "", closes: str = "b") -> None:
        self.claim.end(ending, reason)
        if closes:
            self.write(closes, "close", episode=EPISODE)

    def write(self, instance, did, **fields):  # type: ignore[no-untyped-def]
        entry = super().write(instance, did, **fields)
        entry.pid = OLD_PID if instance == "a" else NEW_PID
        entry.at += 0.0 if instance == "a" else STARTS_S
        return entry

    def told(self, *outages: Outage) -> list[str]:
        return self.verdict(*outages, deaths=[self.death]).differences

    def outage(self) -> Outage:
        return Outage(self.died_at, self.died_at + 0.1, restores=True)


@pytest.mark.parametrize("how", [How.KILLED, How.STOPPED, How.FORK_SERVER, How.SERVER])
@pytest.mark.parametrize("unanswered", [0, 1])
def test_an_episode_may_be_played_again_after_a_death(how: How, unanswered: int) -> None:
    tale = Tale(how, unanswered)
    tale.replay()
    tale.answer()
    tale.finish()
    verdict = tale.verdict(deaths=[tale.death])
    assert verdict.differences == []
    assert {one: len(costs) for one, costs in verdict.restored.items()} == {how: 1}


@pytest.mark.parametrize("how", [How.SERVER, How.DRAINED])
def test_an_environment_may_be_closed_when_its_server_ends(how: How) -> None:
    tale = Tale(how)
    tale.write("a", "close", episode=EPISODE)
    tale.replay()
    tale.answer()
    tale.finish()
    assert tale.told() == []


def test_what_outran_a_deadline_may_be_played_again() -> None:
    tale = Tale()
    tale.claim.timeouts.append(Span(tale.died_at - 1, time.monotonic() + 10))
    tale.replay()
    tale.answer()
    tale.finish()
    assert tale.verdict().differences == []


def test_what_died_of_hunger_may_be_played_again() -> None:
    tale = Tale()
    tale.write("a", "die", episode=EPISODE, turn=3)
    tale.replay()
    tale.answer()
    tale.finish()
    verdict = tale.verdict()
    assert verdict.differences == []
    assert list(verdict.restored) == [How.MEMORY]


def test_an_episode_that_cannot_be_played_again_may_be_lost_with_its_worker() -> None:
    tale = Tale()
    tale.claim.restorable = False
    tale.finish(Ending.LOST, "worker_died", closes="")
    assert tale.told() == []


def test_a_lie_may_be_found_out() -> None:
    tale = Tale()
    tale.replay(0, mood="sad")
    tale.finish(Ending.LOST, "diverged")
    assert tale.told() == []


def no_death(tale: Tale) -> None:
    tale.death = Death(How.KILLED, tale.died_at, frozenset({77}))
    tale.write("a", "close", episode=EPISODE)
    tale.replay()
    tale.answer()


def a_death_that_came_later(tale: Tale) -> None:
    tale.replay()
    tale.answer()
    tale.death = Death(How.KILLED, time.monotonic() + STARTS_S + 1, frozenset({OLD_PID}))


def closed_and_begun_anew(tale: Tale) -> None:
    tale.write("a", "close", episode=EPISODE)
    tale.replay()
    tale.answer()


def a_class_that_cannot_be_played_again(tale: Tale) -> None:
    tale.claim.restorable = False
    tale.replay()


def a_hole(tale: Tale) -> None:
    tale.replay()
    tale.answer()
    del tale.entries[next(i for i, one in enumerate(tale.entries) if one.instance == "b" and one.turn == 2)]


def nothing_but_the_reset(tale: Tale) -> None:
    tale.replay(0)
    tale.step("b", EPISODE, 1, next_sum(first_sum(SEED), 4)).meant_turn = 4


def other_actions(tale: Tale) -> None:
    tale.replay()
    tale.answer()
    entry = next(one for one in tale.entries if one.instance == "b" and one.turn == 3)
    entry.number, entry.sum = 8, next_sum(tale.sums(2)[-1], 8)


def a_step_twice(tale: Tale) -> None:
    tale.replay()
    tale.answer()
    again = tale.entries[-1]
    tale.entries.append(Entry(**{name: getattr(again, name) for name in Entry.__struct_fields__}))


def both_at_once(tale: Tale) -> None:
    tale.replay()
    tale.answer()
    tale.claim.asked = 5
    tale.step("a", EPISODE, 4, tale.sums(4)[-1])


def an_answer_of_another(tale: Tale) -> None:
    tale.replay()
    tale.answer("c")


def an_answer_of_the_dead(tale: Tale) -> None:
    tale.replay()
    tale.answer()
    tale.claim.asked_state({"episode_id": EPISODE, "step_count": 4, "sum": tale.sums(4)[-1], "instance": "a"})


def another_mood(tale: Tale) -> None:
    tale.replay(mood="sad")
    tale.answer(mood="sad")


def too_few_turns(tale: Tale) -> None:
    tale.replay(2)


def a_step_after_death(tale: Tale) -> None:
    tale.write("a", "die", episode=EPISODE, turn=3)
    tale.step("a", EPISODE, 4, tale.sums(4)[-1])
    tale.replay()


@pytest.mark.parametrize(
    ("forge", "says"),
    [
        (no_death, "began anew on a fresh environment"),
        (a_death_that_came_later, "began anew on a fresh environment"),
        (closed_and_begun_anew, "began anew on a fresh environment"),
        (a_class_that_cannot_be_played_again, "began anew on a fresh environment"),
        (a_hole, "what is between was lost"),
        (nothing_but_the_reset, "what is between was lost"),
        (other_actions, "went another way when it was played again"),
        (a_step_twice, "turn 4 of episode one ran again"),
        (both_at_once, "ran silently elsewhere"),
        (an_answer_of_another, "ran anew on a fresh environment"),
        (an_answer_of_the_dead, "ran anew on a fresh environment"),
        (another_mood, "answered with mood sad"),
        (too_few_turns, "played again up to turn 2; 3 were acknowledged"),
        (a_step_after_death, "after its death"),
    ],
)
def test_a_wrong_is_seen(forge: Callable[[Tale], None], says: str) -> None:
    tale = Tale()
    forge(tale)
    tale.finish()
    assert [one for one in tale.told() if says in one]


@pytest.mark.parametrize("reason", ["worker_died", "diverged", "not_restored", "session_unknown", "server_stopped", ""])
@pytest.mark.parametrize("how", [How.KILLED, How.SERVER])
def test_an_episode_that_could_go_on_may_not_be_lost(how: How, reason: str) -> None:
    tale = Tale(how)
    tale.replay(3)
    tale.finish(Ending.LOST, reason)
    assert [one for one in tale.told(tale.outage()) if "without a cause" in one]


def test_the_shared_session_may_end_with_its_server_but_not_with_its_worker() -> None:
    for how, wrong in ((How.SERVER, 0), (How.KILLED, 1)):
        tale = Tale(how)
        tale.claim.shared = True
        tale.replay(3)
        tale.finish(Ending.LOST, "session_unknown")
        outages = [tale.outage()] if how is How.SERVER else []
        assert len([one for one in tale.told(*outages) if "without a cause" in one]) == wrong


def test_an_episode_whose_replay_is_killed_too_may_be_lost() -> None:
    tale = Tale()
    tale.replay(2)
    tale.finish(Ending.LOST, "worker_died", closes="")
    second = Death(How.KILLED, tale.died_at + STARTS_S + 1, frozenset({NEW_PID}))
    tale.claim.ended_at = second.at + 1
    assert tale.verdict(deaths=[tale.death, second]).differences == []


def test_only_the_time_of_a_request_that_ran_out_in_an_outage_explains_a_timeout() -> None:
    tale = Tale(How.SERVER)
    tale.replay(3)
    tale.claim.asked_at = tale.died_at + 0.05
    tale.finish(Ending.LOST, "timeout")
    assert tale.told(tale.outage()) == []
    tale.claim.asked_at = tale.claim.ended_at = tale.died_at + 5
    assert [one for one in tale.told(tale.outage()) if "without a cause" in one]


def test_only_a_kill_while_it_was_built_explains_that_an_environment_could_not_be() -> None:
    tale = Tale()
    tale.replay(3)
    tale.claim.acknowledged_reset = False
    tale.claim.asked_at = tale.died_at - 0.1
    tale.finish(Ending.NOT_BEGUN, "FACTORY_ERROR")
    assert tale.told() == []
    tale.claim.asked_at = tale.died_at + 0.1
    assert [one for one in tale.told() if "without a cause" in one]


def test_what_was_not_closed_needs_a_death() -> None:
    tale = Tale()
    tale.replay()
    tale.answer()
    tale.finish(closes="")
    assert [one for one in tale.told() if "instance b of process 2 was closed 0 times" in one]


@pytest.fixture
def hungry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> worlds.Steadfast:
    def refuse(_: int) -> None:
        raise MemoryError

    def end() -> None:
        raise SystemExit("aborted")

    monkeypatch.setattr(worlds, "bytearray", refuse, raising=False)
    monkeypatch.setattr(worlds.os, "abort", end)
    world = worlds.Steadfast(str(tmp_path / "ledger"))
    world.reset(SEED, "e", 9)
    return world


def hog(dies: str) -> worlds.Add:
    return worlds.Add(number=3, episode="e", turn=1, hog_mb=1, dies=dies)  # type: ignore[arg-type]


def test_a_world_without_memory_stays_where_it_is(hungry: worlds.Steadfast) -> None:
    with pytest.raises(MemoryError):
        hungry.step(hog(""))
    assert hungry.state.step_count == 0
    hungry.close()


def test_a_world_dies_once_or_always(hungry: worlds.Steadfast, tmp_path: Path) -> None:
    for dies, times in (("once", 1), ("always", 2)):
        for _ in range(times):
            with pytest.raises(SystemExit):
                hungry.step(hog(dies))
    assert hungry.step(hog("once")).turn == 1
    hungry.close()
    assert [one.did for one in read(tmp_path / "ledger")].count("die") == 3


def test_moods_are_drawn_and_told(tmp_path: Path) -> None:
    for number, world in enumerate(worlds.MORTALS):
        path = tmp_path / str(number)
        moods = set()
        for _ in range(40):
            one = world(str(path))
            moods.add(one.reset(SEED, "e", 3).mood)
            one.close()
        assert moods == ({""} if world is worlds.Steadfast else {"merry", "sad"})
        assert {entry.mood for entry in read(path) if entry.did == "reset"} == moods
