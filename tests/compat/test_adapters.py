"""What the old names do beyond naming: results, environments and clients as older code makes them."""

from __future__ import annotations

import dataclasses
import logging
import random
from typing import Any

import pytest
from tests.compat.old_style import (
    CounterClient,
    DiceEnvironment,
    DiceObservation,
    GuessAction,
    GuessEnvironment,
    GuessObservation,
)

from openenv import ActionInvalid, ConfigurationError
from openenv.core import EnvClient, Environment, Observation, State, StepResult, Transform, create_app
from openenv.environment import EnvironmentPlan
from openenv.protocol import Observed, Step, client_codec
from openenv.testing import Rule, check_env

# Results -----------------------------------------------------------------------------------------


def test_a_result_takes_what_older_code_passes() -> None:
    result = StepResult("seen", 1.0, True, {"k": 1})
    assert (result.observation, result.reward, result.done, result.metadata) == ("seen", 1.0, True, {"k": 1})
    assert (result.terminated, result.truncated) == (True, False)
    bare = StepResult(observation=None, done=None, metadata=None)
    assert (bare.reward, bare.done, bare.metadata) == (None, False, {})
    assert StepResult[int](observation=1) == StepResult(observation=1)


def test_a_result_is_a_dataclass_as_before() -> None:
    result = StepResult("seen", 1.0, truncated=True)
    assert result.done
    assert dataclasses.replace(result, reward=2.0) == StepResult("seen", 2.0, True, truncated=True)
    assert dataclasses.asdict(result)["truncated"] is True
    assert repr(result).startswith("StepResult(observation='seen'")


# Environments ------------------------------------------------------------------------------------


class Louder(Transform[GuessObservation]):
    def __call__(self, observation: GuessObservation) -> GuessObservation:
        return GuessObservation(hint=observation.hint + "!", reward=observation.reward, done=observation.done)


class Applying(Environment):
    """Puts its own observations through the transform, those of steps alone."""

    def __init__(self, transform=None):
        super().__init__(transform=transform)

    def reset(self):
        return GuessObservation(hint="begin")

    def step(self, action):
        return self._apply_transform(GuessObservation(hint="go"))

    @property
    def state(self):
        return State()


def served(environment: Any, returned: Any) -> Any:
    """An observation after the server's part."""
    return returned if environment.transform is None else environment.transform(returned)


def test_a_transform_is_applied_once() -> None:
    environment = Applying(Louder())
    assert isinstance(environment.transform, Louder)
    for _ in range(2):
        assert served(environment, environment.reset()).hint == "begin!"
        assert served(environment, environment.step(None)).hint == "go!"
        assert served(environment, environment.step(None)).hint == "go!"


def test_without_a_transform_nothing_is_applied() -> None:
    environment = Applying()
    assert served(environment, environment.step(None)).hint == "go"


def test_a_state_method_is_a_property() -> None:
    environment = GuessEnvironment()
    environment.step(GuessAction(guess="bird"))
    assert environment.state == State(episode_id="only", step_count=1)

    class Deeper(GuessEnvironment):
        pass

    assert Deeper().state.step_count == 0


def test_random_numbers_are_the_authors() -> None:
    environment = DiceEnvironment()
    before = environment.rng.getstate()
    assert environment.reseed(5) == 5
    assert 0 <= environment.reseed(None) < 2**32
    assert environment.rng.getstate() == before
    assert environment._rng == "not a random number generator"
    environment.rng = "anything"
    assert environment.rng == "anything"
    assert isinstance(GuessEnvironment().rng, random.Random)


def test_plans_of_old_classes() -> None:
    guess, dice = EnvironmentPlan.of(GuessEnvironment), EnvironmentPlan.of(DiceEnvironment)
    assert (guess.lifecycle, guess.is_async, guess.concurrent) == ("lenient", False, False)
    assert (dice.lifecycle, dice.is_async, dice.concurrent) == ("lenient", True, True)
    assert (dice.observation_type, guess.observation_type) == (DiceObservation, Observation)


def test_an_abstract_class_cannot_be_built() -> None:
    class Half(Environment):
        def reset(self):
            return Observation()

    with pytest.raises(TypeError, match="abstract"):
        Half()


def test_old_environments_can_be_checked() -> None:
    report = check_env(DiceEnvironment)
    in_no_package = {Rule.R17, Rule.R18}
    assert set(report.not_told) <= {Rule.R15, Rule.R19, Rule.R20, Rule.R21, Rule.R22, *in_no_package}


def test_a_page_that_is_not_there_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "openenv.core"):
        create_app(GuessEnvironment, GuessAction, GuessObservation, gradio_builder=print)
    assert "gradio_builder" in caplog.text


def test_an_instance_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="pass the class GuessEnvironment"):
        create_app(GuessEnvironment(), GuessAction, GuessObservation)


# Clients -----------------------------------------------------------------------------------------


def test_a_client_takes_the_arguments_of_the_old_one() -> None:
    client = CounterClient("localhost:8000/", 5.0, 1200.0, 2.0, None, None, None, "Simulation", {"x-a": "b"})
    options = client.options
    assert client.base_url == "localhost:8000"
    assert options.address.websocket == "ws://localhost:8000/ws"
    assert (options.connect_timeout_s, options.message_timeout_s) == (5.0, 1200.0)
    assert options.max_message_bytes == 2 * 1024 * 1024
    assert options.headers == {"x-a": "b"}


@pytest.mark.parametrize("arguments", [{}, {"base_url": "http://a", "provider": object()}])
def test_a_client_needs_an_address(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="start the server first"):
        CounterClient(**arguments)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'simulation' or 'production', not 'zz'"):
        CounterClient("http://a", mode="zz")


def test_a_client_without_hooks_cannot_be_built() -> None:
    class Half(EnvClient[Any, Any, Any]):
        def _step_payload(self, action: Any) -> dict[str, Any]:
            return {}

    with pytest.raises(TypeError, match="_parse_result"):
        Half("http://a")  # type: ignore[abstract]


class Recording(EnvClient[Any, Any, Any]):
    """Keeps the payloads; its results leave everything but ``done`` to the library."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__("http://a", **arguments)
        self.payloads: list[Any] = []

    def _step_payload(self, action: Any) -> dict[str, Any]:
        return {"raw": action}

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[Any]:
        self.payloads.append(payload)
        return StepResult(observation=payload["observation"], done=payload["done"])

    def _parse_state(self, payload: dict[str, Any]) -> Any:
        return payload


def test_metadata_is_where_version_1_has_it() -> None:
    client = Recording()
    client.options.values.decode_result(Observed(observation={"a": 1}, metadata={"k": 2}))
    client.options.values.decode_result(Observed(observation=[1], reward=2))
    assert client.payloads == [
        {"observation": {"metadata": {"k": 2}, "a": 1}, "reward": None, "done": False, "metadata": {"k": 2}},
        {"observation": [1], "reward": 2, "done": False},
    ]


@pytest.mark.parametrize(("terminated", "truncated"), [(True, False), (False, True), (True, True)])
def test_a_cut_episode_is_told_apart_although_hooks_cannot(terminated: bool, truncated: bool) -> None:
    reply = Observed(observation={}, done=True, terminated=terminated, truncated=truncated)
    result = Recording().options.values.decode_result(reply)
    assert (result.done, result.terminated, result.truncated) == (True, terminated, truncated)


def test_a_payload_without_a_json_form_is_refused() -> None:
    action = Recording().options.values.encode_action(object())
    with pytest.raises(ActionInvalid, match="cannot be sent"):
        client_codec(None).encode(Step(action=action))
