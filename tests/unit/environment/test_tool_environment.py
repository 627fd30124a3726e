"""An environment that is acted in by calling tools, driven as its author and a server do."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.environment.tool_worlds import Guess, Tries, begun, call, error_of

from openenv import (
    Action,
    CallToolAction,
    Observation,
    State,
    ToolEnvironment,
)
from openenv.errors import ActionInvalid, ConfigurationError, InputNeeded
from openenv.tools import Note, ToolErrorType


@pytest.fixture
def guess() -> Guess:
    return begun()


class TestCalls:
    def test_a_call_is_a_step_with_its_reward(self, guess: Guess) -> None:
        guess.secret = 50
        observation = call(guess, "guess", number=3)
        assert observation.tool_name == "guess"
        assert observation.result["data"] == "higher"
        assert (observation.reward, observation.done) == (-0.75, False)
        assert guess.state == Tries(episode_id="e1", step_count=1, tries=1)

    def test_an_end_is_told(self, guess: Guess) -> None:
        observation = call(guess, "guess", number=guess.secret)
        assert (observation.reward, observation.done) == (1.0, True)
        assert (observation.terminated, observation.truncated) == (True, False)

    def test_an_end_by_a_limit_is_told(self, guess: Guess) -> None:
        observation = call(guess, "cut")
        assert (observation.reward, observation.done) == (0.0, True)
        assert (observation.terminated, observation.truncated) == (False, True)

    def test_a_call_without_an_award_has_no_reward(self, guess: Guess) -> None:
        call(guess, "guess", number=guess.secret % 100 + 1)
        assert call(guess, "fails", how="").reward == 3
        assert call(guess, "nothing").reward is None

    def test_an_unknown_tool_is_a_step(self, guess: Guess) -> None:
        observation = call(guess, "gues", number=3)
        assert error_of(observation) == ("tool_not_found", "there is no tool 'gues'; did you mean guess?")
        assert guess.state.step_count == 1

    def test_an_unknown_tool_like_no_other_is_told_the_others(self, guess: Guess) -> None:
        assert error_of(call(guess, "zzz"))[1] == "there is no tool 'zzz'; there are: guess, fails, ask, long, cut"

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({}, "number: Field required"),
            ({"number": 101}, "less than or equal to 100 (got 101)"),
            ({"number": 1, "more": 2}, "more: Extra inputs are not permitted"),
        ],
    )
    def test_bad_arguments_are_a_step_and_do_not_run(self, guess: Guess, arguments: Any, words: str) -> None:
        observation = call(guess, "guess", **arguments)
        kind, message = error_of(observation)
        assert kind == "invalid_args"
        assert words in message
        assert (observation.reward, guess.state.tries, guess.state.step_count) == (None, 0, 1)

    @pytest.mark.parametrize(("how", "message"), [("raises", "ValueError: no luck"), ("exits", "SystemExit: 3")])
    def test_a_tool_that_raises_is_a_step(self, guess: Guess, how: str, message: str) -> None:
        observation = call(guess, "fails", how=how)
        assert error_of(observation) == ("execution_error", message)
        assert (observation.reward, observation.done, guess.state.step_count) == (3, False, 1)

    def test_what_has_no_json_form_keeps_reward_and_end(self, guess: Guess) -> None:
        observation = call(guess, "fails", how="object")
        kind, message = error_of(observation)
        assert kind == "execution_error"
        assert "no JSON form" in message
        assert (observation.reward, observation.done, guess.state.step_count) == (3, True, 1)

    def test_a_refused_call_has_not_been(self, guess: Guess) -> None:
        with pytest.raises(ActionInvalid, match="not now"):
            call(guess, "fails", how="refuses")
        assert guess.state.step_count == 0
        assert call(guess, "nothing").reward is None

    def test_a_call_that_asks_has_not_been(self, guess: Guess) -> None:
        with pytest.raises(InputNeeded) as raised:
            call(guess, "ask")
        assert raised.value.details["requests"]["name"]["params"]["message"] == "Who?"
        assert guess.state.step_count == 0
        observation = call(guess, "nothing")
        assert (observation.reward, observation.done) == (None, False)
        answered = CallToolAction(tool_name="ask", inputs={"name": {"action": "accept", "content": {"name": "Al"}}})
        observation = guess.step(answered)
        assert (observation.result["data"], observation.reward, observation.done) == ("Al", 5, True)
        assert guess.state.step_count == 2

    def test_a_cancelled_call_is_a_step(self, guess: Guess) -> None:
        notes: list[Note] = []
        guess.note_sink, guess.is_cancelled = notes.append, lambda: bool(notes)
        assert error_of(call(guess, "long"))[0] == "cancelled"
        assert len(notes) == 1
        assert guess.state.step_count == 1

    def test_what_is_cancelled_before_it_begins_does_not_run(self, guess: Guess) -> None:
        guess.is_cancelled = lambda: True
        assert error_of(call(guess, "guess", number=3))[0] == "cancelled"
        assert (guess.state.tries, guess.state.step_count) == (0, 1)

    def test_tools_of_another_mode_are_not_there(self, guess: Guess) -> None:
        assert error_of(call(guess, "only_live"))[0] == "tool_not_found"
        assert "the tool only_live is not there now" in error_of(call(guess, "only_live"))[1]
        guess.serving_mode = "production"
        assert call(guess, "only_live").error is None

    def test_an_action_of_another_type_is_refused(self, guess: Guess) -> None:
        with pytest.raises(ActionInvalid, match="acted in by calling tools, not by a"):
            guess.step(Action())
        assert guess.state.step_count == 0


class TestEpisodes:
    def test_a_reset_begins_anew(self, guess: Guess) -> None:
        first = guess.secret
        call(guess, "guess", number=guess.secret)
        guess.begin_episode(7, "e2")
        guess.reset(seed=7)
        assert guess.secret == first
        assert guess.state == Tries(episode_id="e2")
        assert call(guess, "nothing").done is False

    def test_without_a_server_a_reset_begins_an_episode_all_the_same(self) -> None:
        environment = Guess()
        environment.reset(seed=7)
        first = environment.secret
        call(environment, "guess", number=3)
        environment.reset(7)
        assert environment.secret == first
        assert environment.state.step_count == 0

    def test_a_reset_within_a_reset_begins_once(self) -> None:
        begun: list[Any] = []

        class Twice(Guess):
            def begin_episode(self, seed: int | None, episode_id: str | None) -> None:
                begun.append((seed, episode_id))
                super().begin_episode(seed, episode_id)

            def reset(self, seed: int | None = None, **options: Any) -> Observation:
                return super().reset(seed=seed)

        environment = Twice()
        environment.reset(seed=3, episode_id="x")
        assert begun == [(3, "x")]
        environment.begin_episode(4, "y")
        environment.reset(seed=4)
        assert begun == [(3, "x"), (4, "y")]

    def test_a_reset_that_raises_is_no_reset(self) -> None:
        class Shy(Guess):
            raises = True

            def reset(self, seed: int | None = None) -> Observation:
                if self.raises:
                    raise OSError("gone")
                return super().reset(seed)

        environment = Shy()
        with pytest.raises(OSError, match="gone"):
            environment.reset(seed=1)
        environment.raises = False
        environment.reset(seed=2)
        assert environment.state == Tries()

    def test_the_task_is_told(self, guess: Guess) -> None:
        assert guess.reset().metadata == {"task": "Find the number.", "level": 1}
        assert guess.task == "Find the number."

    def test_a_state_of_the_authors_own(self) -> None:
        class Own(Guess):
            @property
            def state(self) -> Tries:
                return Tries(tries=99)

        environment = Own()
        environment.reset()
        call(environment, "guess", number=1)
        assert environment.state == Tries(tries=99)

    def test_a_state_that_cannot_begin_is_told(self) -> None:
        class Needy(State):
            level: int

        class Wrong(ToolEnvironment[Needy]):
            def reset(self) -> Observation:
                return Observation()

        with pytest.raises(ConfigurationError, match=r"a Needy, since some fields have no default: level; give"):
            Wrong().reset()


def test_errors_are_those_of_the_wire() -> None:
    assert {kind.value for kind in ToolErrorType} == {
        "execution_error", "invalid_args", "transport_error", "tool_not_found", "timeout", "cancelled",
    }  # fmt: skip


def test_actions_of_the_authors_own() -> None:
    class Look(Action):
        far: int = 1

    class Seen(Observation):
        place: int = 0

    class Both(Guess):
        def step_other(self, action: Any, timeout_s: float | None = None, **options: Any) -> Seen:
            self.state.step_count += 1
            return Seen(place=action.far)

    environment = Both()
    environment.reset()
    assert environment.step(Look(far=3)) == Seen(place=3)
    assert environment.state.step_count == 1
