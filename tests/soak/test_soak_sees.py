"""The judge of the soak sees what must not be: ledgers and claims that are forged, one wrong at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.soak.claims import Claim, Crossing, Ending
from tests.soak.judge import Judge, Outage
from tests.soak.ledger import Entry, Ledger, first_sum, next_sum, padding, read
from tests.soak.story import SEED, Story
from tests.soak.worlds import WORLDS, Add


@pytest.fixture
def story() -> Story:
    """Two instances, three episodes, all well."""
    story = Story()
    story.write("a", "create")
    story.episode("a", "one", 4)
    story.write("b", "create")
    story.episode("b", "two", 3)
    story.episode("a", "three", 2)
    story.write("b", "close")
    story.write("a", "close")
    return story


def test_a_good_run_is_good(story: Story) -> None:
    verdict = story.verdict()
    assert verdict.differences == []
    assert (verdict.steps, verdict.episodes, verdict.instances) == (9, 3, 2)


def duplicate_step(story: Story) -> None:
    at = story.find("step", 2)
    story.entries.insert(at + 1, story.entries[at])


def step_again_that_counts(story: Story) -> None:
    at = story.find("step", 4)  # the last of its episode
    again = Entry(**{name: getattr(story.entries[at], name) for name in Entry.__struct_fields__})
    again.turn, again.sum = 5, next_sum(again.sum, again.number)
    story.entries.insert(at + 1, again)


def duplicate_reset(story: Story) -> None:
    story.entries.insert(2, story.entries[1])


def lost_last_step(story: Story) -> None:
    del story.entries[story.find("step", 4)]


def lost_step_between(story: Story) -> None:
    del story.entries[story.find("step", 2)]


def lost_reset(story: Story) -> None:
    story.entries = [one for one in story.entries if one.episode != "two"]


def fresh_environment(story: Story) -> None:
    at = story.find("step", 3)
    story.entries[at].instance, story.entries[at].episode, story.entries[at].turn = "b", "", 1
    story.entries.insert(0, story.entries.pop(story.find("create", 0)))
    story.entries.sort(key=lambda one: one.did != "create")


def fresh_environment_under_the_same_name(story: Story) -> None:
    story.entries.sort(key=lambda one: one.did != "create")
    first = next(one for one in story.entries if one.did == "reset")
    story.entries.insert(5, Entry(**{n: getattr(first, n) for n in Entry.__struct_fields__} | {"instance": "b"}))


def step_of_another_episode(story: Story) -> None:
    story.entries[story.find("step", 3)].meant_episode = "three"


def another_environment_in_the_episode(story: Story) -> None:
    story.entries.sort(key=lambda one: one.did != "create")
    story.entries[story.find("step", 3)].instance = "b"


def the_environment_in_another_episode(story: Story) -> None:
    next(one for one in story.entries if one.did == "step" and one.episode == "three").episode = "one"


def missing_close(story: Story) -> None:
    story.entries.pop()


def second_close(story: Story) -> None:
    story.entries.append(story.entries[-1])


def step_after_close(story: Story) -> None:
    story.entries.append(story.entries.pop(story.find("step", 4)))


def wrong_checksum(story: Story) -> None:
    story.entries[story.find("step", 4)].sum = "0" * 16


def wrong_seed(story: Story) -> None:
    story.entries[1].seed = 6


def unasked_step(story: Story) -> None:
    at = story.find("step", 4)
    story.entries.insert(at + 1, Entry(**{n: getattr(story.entries[at], n) for n in Entry.__struct_fields__}))
    unasked = story.entries[at + 1]
    unasked.turn = unasked.meant_turn = 5
    unasked.sum = next_sum(unasked.sum, unasked.number)


def unasked_episode(story: Story) -> None:
    del story.claims["two"]


def unfinished_player(story: Story) -> None:
    story.claims["two"].ending = Ending.PLAYING


def wrong_answer(story: Story) -> None:
    story.claims["two"].stepped(4, 4, 0, {"instance": "b", "episode": "two", "turn": 5, "sum": "0"})
    story.claims["two"].acknowledged = 3


def wrong_state(story: Story) -> None:
    story.claims["two"].asked_state({"episode_id": "two", "step_count": 0, "sum": "", "instance": "b"})


def lost_without_a_reason(story: Story) -> None:
    story.claims["two"].ending, story.claims["two"].reason = Ending.LOST, ""


def lost_while_the_server_lived(story: Story) -> None:
    story.claims["two"].ending, story.claims["two"].reason = Ending.LOST, "session_unknown"


def reset_that_failed_while_the_server_lived(story: Story) -> None:
    story.claims["two"].ending, story.claims["two"].reason = Ending.NOT_BEGUN, "CONNECTION_LOST"


@pytest.mark.parametrize(
    ("forge", "says"),
    [
        (duplicate_step, "ran again"),
        (step_again_that_counts, "ran again"),
        (duplicate_reset, "began once more"),
        (lost_last_step, "has 3 turns in the ledger; 4 were acknowledged"),
        (lost_step_between, "what is between was lost"),
        (lost_reset, "was acknowledged and is not in the ledger"),
        (fresh_environment, "ran silently elsewhere"),
        (fresh_environment_under_the_same_name, "began anew on a fresh environment"),
        (step_of_another_episode, "ran silently elsewhere"),
        (another_environment_in_the_episode, "ran silently elsewhere"),
        (the_environment_in_another_episode, "ran silently elsewhere"),
        (missing_close, "closed 0 times"),
        (second_close, "closed 2 times"),
        (step_after_close, "after its close"),
        (wrong_checksum, "has checksum"),
        (wrong_seed, "with seed 6"),
        (unasked_step, "nobody asked for it"),
        (unasked_episode, "nobody asked for it"),
        (unfinished_player, "never finished"),
        (wrong_answer, "answered with sum"),
        (wrong_state, "the state is"),
        (lost_without_a_reason, "without a cause"),
        (lost_while_the_server_lived, "without a cause"),
        (reset_that_failed_while_the_server_lived, "without a cause"),
    ],
)
def test_a_wrong_is_seen(story: Story, forge: Callable[[Story], None], says: str) -> None:
    forge(story)
    assert [one for one in story.verdict().differences if says in one]


def test_a_loss_needs_an_outage_at_that_time(story: Story) -> None:
    claim = story.claims["two"]
    claim.ending, claim.reason = Ending.LOST, "session_unknown"
    assert story.verdict(Outage(claim.began_at - 2, claim.began_at - 1)).differences
    verdict = story.verdict(Outage(claim.ended_at - 1, claim.ended_at + 1))
    assert verdict.differences == []
    assert verdict.lost == {"session_unknown": 1}


def test_an_outage_does_not_explain_everything(story: Story) -> None:
    claim = story.claims["two"]
    claim.ending, claim.reason = Ending.LOST, "protocol_error"
    assert story.verdict(Outage(claim.began_at, claim.ended_at)).differences


def began_elsewhere_first(story: Story) -> tuple[Entry, Entry]:
    """The reset of episode one runs on instance b, then again on a, which answers it."""
    story.entries.sort(key=lambda one: one.did != "create")
    second = next(one for one in story.entries if one.did == "reset")
    first = Entry(**{n: getattr(second, n) for n in Entry.__struct_fields__} | {"instance": "b", "at": second.at - 1})
    story.entries.insert(2, first)
    return first, second


def test_a_reset_may_be_asked_of_another_session_where_the_first_cannot_be_reached(story: Story) -> None:
    first, second = began_elsewhere_first(story)
    assert any("began anew on a fresh environment" in one for one in story.verdict().differences)
    assert story.verdict(Outage(first.at + 0.1, second.at - 0.1)).differences == []
    story.claims["one"].reconnects = False
    assert story.verdict().differences == []


def test_a_reset_that_was_answered_may_not_run_anew(story: Story) -> None:
    story.claims["one"].reconnects = False
    story.entries = [one for one in story.entries if one.did != "step"]
    for claim in story.claims.values():
        claim.acknowledged = 0
    began_elsewhere_first(story)
    story.entries[2], story.entries[3] = story.entries[3], story.entries[2]
    assert [one for one in story.verdict().differences if "ran anew on a fresh environment" in one]


def test_a_player_may_lose_what_it_gave_up(story: Story) -> None:
    claim = story.claims["two"]
    claim.ending, claim.reason, claim.own_doing = Ending.LOST, "cancelled", frozenset({"cancelled"})
    assert story.verdict().differences == []


def test_a_step_that_was_asked_for_may_run_without_an_answer(story: Story) -> None:
    claim = story.claims["one"]
    claim.asked, claim.ending, claim.reason, claim.own_doing = 5, Ending.LOST, "timeout", frozenset({"timeout"})
    last = story.entries[story.find("step", 4)]
    story.entries.insert(story.find("step", 4) + 1, story.entries[0])
    story.entries[story.find("step", 4) + 1] = Entry(
        at=0, pid=1, instance="a", did="step", episode="one", turn=5, meant_episode="one", meant_turn=5, number=9,
        sum=next_sum(last.sum, 9),
    )  # fmt: skip
    assert story.verdict().differences == []


def test_when_a_step_ran_is_told_of_those_that_crossed_connections(story: Story) -> None:
    story.claims["one"].crossings.append(Crossing(3, 0.0, 1.0, 0.5, 1))
    ran = story.entries[story.find("step", 3)].at
    assert story.verdict().step_times == {("one", 3): ran}


@pytest.mark.parametrize("world", WORLDS)
async def test_worlds_write_what_they_do(world: type, tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    env = world(str(path))
    is_async = world.__name__ == "Awaited"
    began = await env.reset_async(seed=SEED, episode_id="e", length=2) if is_async else env.reset(SEED, "e", 2)
    assert (began.turn, began.sum, began.done) == (0, first_sum(SEED), False)
    action = Add(number=7, episode="e", turn=1, slow_s=0.0001, padding=20)
    seen = await env.step_async(action) if is_async else env.step(action)
    assert seen.sum == next_sum(first_sum(SEED), 7)
    assert seen.padding == padding(seen.sum, 20)
    assert len(seen.padding) == 20
    assert not seen.done
    assert (await env.step_async(action) if is_async else env.step(action)).done
    assert (env.state.step_count, env.state.episode_id) == (2, "e")
    env.close()
    wrote = list(read(path))
    assert [one.did for one in wrote] == ["create", "reset", "step", "step", "close"]
    assert {one.instance for one in wrote} == {seen.instance}
    assert [one.at for one in wrote] == sorted(one.at for one in wrote)
    told = Judge([Claim("p", "e", SEED, asked=2)]).judge(wrote).differences
    assert [one for one in told if "turn 1 of episode e ran again" in one]  # the second step was meant as the first


def test_ledgers_of_several_writers_do_not_mix(tmp_path: Path) -> None:
    writers = [Ledger(tmp_path / "ledger", name) for name in "abc"]
    for turn in range(50):
        for writer in writers:
            writer.write("step", episode="é" * turn, turn=turn)
    for writer in writers:
        writer.close()
    assert [(one.instance, one.turn) for one in read(tmp_path / "ledger")] == [(n, t) for t in range(50) for n in "abc"]
