"""One episode, asked again: what is sent, what is compared, and where it ends."""

from __future__ import annotations

from typing import Any, cast

import pytest

from openenv.client import GenericEnvClient
from openenv.errors import ActionInvalid, ConnectFailed, EpisodeLost, ExecutionFailed, OpenEnvError, StepTimeout
from openenv.record import Event, Kind, Run, Trajectory
from openenv.rollout.replay_episode import EpisodeReplay, replay_episode, reset_arguments
from openenv.types import StepResult

Answer = StepResult[dict[str, Any]] | OpenEnvError
RUN = Run(id="r1", started_at=1.0, environment="walk", agent="random")


class Scripted:
    """A client whose answers are given, and which remembers what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.asked: list[Any] = []

    async def reset(self, **arguments: Any) -> StepResult[dict[str, Any]]:
        return self._answer(arguments)

    async def step(self, action: Any, timeout_s: float | None = None, **options: Any) -> StepResult[dict[str, Any]]:
        return self._answer((action, timeout_s, options))

    def _answer(self, asked: Any) -> StepResult[dict[str, Any]]:
        self.asked.append(asked)
        answer = self._answers[len(self.asked) - 1]
        if isinstance(answer, OpenEnvError):
            raise answer
        return answer


def reply(place: int = 0, **fields: Any) -> dict[str, Any]:
    usual = {"observation": {"place": place}, "reward": 0.5, "done": False, "terminated": False, "truncated": False}
    return {**usual, "metadata": {}, **fields}


def event(index: int, kind: Kind, request: Any, answered: Any) -> Event:
    return Event("r1", "e1", index, kind, 1.0, 0.1, request, answered)


def begun(**request: Any) -> Event:
    return event(0, "reset", {"seed": 7, "episode_id": "e1", **request}, reply())


def step(index: int, answered: Any = None, **request: Any) -> Event:
    return event(index, "step", {"action": {"by": index}, **request}, answered or reply(index))


def failed(index: int, code: str, request: Any) -> Event:
    return event(index, "error", request, {"code": code, "message": "as it was", "details": {}})


def result(place: int = 0, **fields: Any) -> StepResult[dict[str, Any]]:
    return StepResult(**{"observation": {"place": place}, "reward": 0.5, **fields})


async def replayed(
    events: list[Event], *answers: Answer, volatile: frozenset[str] = frozenset(), run: Run = RUN
) -> tuple[EpisodeReplay, list[Any]]:
    client = Scripted(*answers)
    found = await replay_episode(cast(GenericEnvClient, client), run, Trajectory.of(events), volatile)
    return found, client.asked


async def test_the_same_is_asked_and_answered() -> None:
    end = event(3, "end", {}, {"status": "done"})
    found, asked = await replayed([begun(level=3), step(1), step(2), end], result(), result(1), result(2))
    assert found == EpisodeReplay("e1", "same", compared=3, recorded=3)
    assert asked == [{"seed": 7, "episode_id": "e1", "level": 3}, ({"by": 1}, None, {}), ({"by": 2}, None, {})]


@pytest.mark.parametrize(
    ("answered", "told"),
    [
        (result(9), "step 1: observation.place: 1 != 9"),
        (result(1, reward=0.25), "step 1: reward: 0.5 != 0.25"),
        (result(1, reward=None), "step 1: reward: 0.5 != None"),
        (result(1, terminated=True), "step 1: done: False != True"),
        (result(1, metadata={"lives": 2}), "step 1: metadata.lives: nothing != 2"),
        (result(1, metadata={"seed": 7}), "step 1: metadata.seed: nothing != 7"),
        (ExecutionFailed("lost the way"), f"step 1: an answer != {ExecutionFailed.code} (lost the way)"),
    ],
)
async def test_the_first_difference_is_told_and_ends_it(answered: Answer, told: str) -> None:
    found, asked = await replayed([begun(), step(1), step(2)], result(), answered)
    assert (found.outcome, found.told) == ("different", told)
    assert (found.compared, found.recorded, len(asked)) == (2, 3, 2)


async def test_the_ways_to_end_are_told_apart() -> None:
    over = reply(1, done=True, terminated=True)
    found, _ = await replayed([begun(), step(1, over)], result(), result(1, truncated=True))
    assert found.told == "step 1: terminated: True != False"


async def test_a_difference_of_the_reset_is_told() -> None:
    found, _ = await replayed([begun()], result(4))
    assert (found.outcome, found.told) == ("different", "reset: observation.place: 0 != 4")


async def test_volatile_fields_do_not_count() -> None:
    recorded = reply(1, metadata={"at": 1.0})
    answered = result(5, metadata={"at": 2.0, "more": 1})
    found, _ = await replayed([begun(), step(1, recorded)], result(), answered, volatile=frozenset({"at", "place"}))
    assert found.told == "step 1: metadata.more: nothing != 1"
    volatile = frozenset({"at", "place", "more", "reward"})
    assert (await replayed([begun(), step(1, recorded)], result(), answered, volatile=volatile))[0].outcome == "same"
    deep = reply(1, observation={"board": {"at": 1}})
    found, _ = await replayed(
        [begun(), step(1, deep)], result(), result(observation={"board": {"at": 2}}), volatile=volatile
    )
    assert found.told == "step 1: observation.board.at: 1 != 2"


async def test_what_a_reset_tells_back_does_not_count() -> None:
    told_back = event(0, "reset", {"seed": None, "episode_id": None}, reply(metadata={"seed": 11, "episode_id": "x"}))
    found, asked = await replayed([told_back], result(metadata={"seed": 12}))
    assert found.outcome == "same"
    assert asked == [{"seed": 11, "episode_id": "x"}], "the seed that was really used"


async def test_an_error_of_the_environment_is_compared_by_its_code() -> None:
    request = {"action": {"by": 1}}
    events = [begun(), failed(1, ExecutionFailed.code, request)]
    found, _ = await replayed(events, result(), ExecutionFailed("with another message"))
    assert (found.outcome, found.compared) == ("same", 2)
    found, _ = await replayed(events, result(), result(1))
    assert found.told == f"step 1: {ExecutionFailed.code} != an answer"


async def test_after_an_error_in_the_middle_it_goes_on() -> None:
    events = [begun(), failed(1, ActionInvalid.code, {"action": {}}), step(2)]
    found, _ = await replayed(events, result(), ActionInvalid("no"), result(3))
    assert found.told == "step 2: observation.place: 2 != 3"


async def test_a_reset_that_failed_is_asked_again_and_nothing_after_it() -> None:
    events = [failed(0, ExecutionFailed.code, {"seed": 5, "episode_id": "e1"}), step(1)]
    found, asked = await replayed(events, ExecutionFailed("no such road"))
    assert (found.outcome, found.compared) == ("same", 1)
    assert asked == [{"seed": 5, "episode_id": "e1"}]


@pytest.mark.parametrize("code", ["AGENT_ERROR", "EPISODE_LOST", StepTimeout.code, "NEVER_HEARD_OF"])
async def test_an_error_that_is_not_the_environments_ends_it(code: str) -> None:
    request = {} if code == "AGENT_ERROR" else {"action": {"by": 2}}
    found, asked = await replayed([begun(), step(1), failed(2, code, request)], result(), result(1))
    assert (found.outcome, found.compared, len(asked)) == ("same", 2, 2)
    assert f"was recorded as {code}, which is not the environment's" in found.told


async def test_an_episode_without_its_beginning_is_left_out() -> None:
    found, asked = await replayed([step(0)])
    assert (found.outcome, found.told, asked) == ("left out", "the record does not begin with a reset", [])
    found, asked = await replayed([failed(0, "EPISODE_LOST", {"seed": 1, "episode_id": "e1"})])
    assert (found.outcome, asked) == ("left out", [])


@pytest.mark.parametrize("error", [EpisodeLost("the worker died"), StepTimeout("too slow")])
async def test_a_server_that_does_not_answer_is_no_difference(error: OpenEnvError) -> None:
    found, _ = await replayed([begun(), step(1)], result(), error)
    assert (found.outcome, found.told) == ("failed", f"step 1: {error.code}: {error.message}")


async def test_a_server_that_is_gone_ends_everything() -> None:
    with pytest.raises(ConnectFailed):
        await replayed([begun()], ConnectFailed("cannot reach it"))


def test_the_stamp_of_the_lock_is_no_option() -> None:
    assert reset_arguments(RUN, begun(lock="abc", level=2)) == {"seed": 7, "episode_id": "e1", "level": 2}
    own = Run(id="r", started_at=1.0, environment="e", agent="a", settings={"reset_options": {"lock": "mine"}})
    assert reset_arguments(own, begun(lock="mine")) == {"seed": 7, "episode_id": "e1", "lock": "mine"}


def test_an_episode_that_was_given_no_name_has_that_of_the_record() -> None:
    assert reset_arguments(RUN, begun(episode_id=None)) == {"seed": 7, "episode_id": "e1"}


async def test_a_journal_says_it_as_the_protocol_does() -> None:
    journal = Run(id="j", started_at=1.0, environment="e", agent="clients", settings={"journal": True})
    first = begun(options={"level": 2, "lock": "mine"}, timeout_s=5.0)
    events = [first, step(1, options={"hint": True}, timeout_s=2.5)]
    _, asked = await replayed(events, result(), result(1), run=journal)
    assert asked == [
        {"seed": 7, "episode_id": "e1", "level": 2, "lock": "mine", "timeout_s": 5.0},
        ({"by": 1}, 2.5, {"hint": True}),
    ]
