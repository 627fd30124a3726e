"""Settings of a client, and how it finds out which types it speaks."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest

from openenv import (
    Action,
    EnvClient,
    GenericEnvClient,
    MCPToolClient,
    Observation,
    State,
    SyncEnvClient,
    SyncMCPToolClient,
)
from openenv.client.options import types_of
from openenv.errors import ConfigurationError

URL = "http://localhost:1"
T = TypeVar("T")


class A(Action):
    pass


class O1(Observation):
    pass


class O2(Observation):
    pass


class Full(EnvClient[A, O1, State]):
    pass


class Child(Full):
    pass


class Overrides(EnvClient[A, O1, State]):
    observation_type = O2


class ChildOfOverrides(Overrides):
    pass


class Half(EnvClient[A, T, State]):
    pass


class Filled(Half[O2]):
    pass


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (Full, (A, O1, State)),
        (Child, (A, O1, State)),
        (Overrides, (A, O2, State)),
        (ChildOfOverrides, (A, O2, State)),
        (Half, (A, None, State)),
        (Filled, (A, O2, State)),
        (Half[O1], (A, O1, State)),
        (EnvClient, (None, None, None)),
        (EnvClient[A, O1, State], (A, O1, State)),
        (EnvClient[A, O1], (A, O1, None)),
        (GenericEnvClient, (None, None, None)),
    ],
)
def test_types_of_a_client(written: Any, expected: tuple[Any, ...]) -> None:
    values = written(URL).options.values
    assert (values.action_type, values.observation_type, values.state_type) == expected


def test_arguments_win() -> None:
    values = EnvClient[A, O1, State](URL, observation_type=O2).options.values
    assert (values.action_type, values.observation_type) == (A, O2)


def test_other_classes_have_no_types() -> None:
    assert types_of(int, EnvClient) == types_of(list[int], EnvClient) == (None, None, None)


@pytest.mark.parametrize("name", ["connect_timeout_s", "message_timeout_s", "max_message_bytes", "liveness_timeout_s"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "1", True])
def test_settings_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be a number greater than 0"):
        EnvClient(URL, **{name: value})


@pytest.mark.parametrize("name", ["reconnect_timeout_s", "queue_timeout_s"])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "1", True, None])
def test_settings_that_may_be_nothing_but_not_less(name: str, value: Any) -> None:
    EnvClient(URL, **{name: 0})
    with pytest.raises(ConfigurationError, match=f"{name} must be a number, 0 or greater"):
        EnvClient(URL, **{name: value})


class Ended:
    def __init__(self, ended: bool) -> None:
        self.ended = ended

    def close(self) -> None:
        pass


class Silent:
    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("owned", "ended"), [(None, False), (Silent(), False), (Ended(False), False), (Ended(True), True)]
)
def test_whether_what_is_owned_has_ended(owned: Any, ended: bool) -> None:
    assert EnvClient(URL, owned=owned).options.owned_ended is ended


@pytest.mark.parametrize("name", ["connect_timeout_s", "max_message_bytes"])
def test_only_the_message_time_out_may_be_none(name: str) -> None:
    EnvClient(URL, message_timeout_s=None)
    with pytest.raises(ConfigurationError):
        EnvClient(URL, **{name: None})


def test_a_token_is_a_header_that_is_not_shown() -> None:
    options = EnvClient(URL, token="s3cret", headers={"X-A": "1"}).options
    assert options.headers == {"X-A": "1", "Authorization": "Bearer s3cret"}
    assert "s3cret" not in repr(options)
    assert EnvClient(URL).options.headers == {}


@pytest.mark.parametrize("token", ["", "a b", "a\n", "ä"])
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(ConfigurationError, match="a token is"):
        EnvClient(URL, token=token)


def test_a_token_twice() -> None:
    with pytest.raises(ConfigurationError, match="not both"):
        EnvClient(URL, token="t", headers={"authorization": "Basic x"})


@pytest.mark.parametrize(("client", "of"), [(SyncEnvClient, EnvClient), (SyncMCPToolClient, MCPToolClient)])
def test_a_synchronous_client_takes_a_token_too(client: Any, of: Any) -> None:
    assert client(URL, token="s3cret").options.headers == {"Authorization": "Bearer s3cret"}
    with pytest.raises(ConfigurationError, match="give token= to the client whose options"):
        client(of(URL), token="s3cret")
