"""Outside servers in what is served: the spec, whatever its factory is, and what other processes are told of it."""

from __future__ import annotations

import functools
import sys
from typing import Any

import msgspec
import pytest
from tests.unit.mounts.living import OUTSIDE

from openenv.environment import EnvironmentPlan, ToolEnvironment
from openenv.errors import ConfigurationError
from openenv.session.hosting.hosted import HostedEnvironment
from openenv.session.isolation.reference import FactoryReference
from openenv.session.served.spec import EnvironmentSpec
from openenv.tools import Tool, tool
from openenv.types import Action, Observation, State

SERVER = {"name": "outside", "command": [sys.executable, OUTSIDE, "older"], "prefix": "out_"}


class Desk(ToolEnvironment[State]):
    def reset(self, seed: int | None = None) -> Any:
        return Observation()

    @tool
    def own(self) -> str:
        return "mine"


class Busy(Desk):
    """Its constructor looks at its tools already."""

    def __init__(self) -> None:
        self.add_tool(Tool("another", function=dict))


def make_desk() -> Desk:
    return Desk()


def test_a_class_is_another_one_that_is_asynchronous() -> None:
    spec = EnvironmentSpec.of(Desk)
    mounted = spec.with_mounts([SERVER])
    assert mounted.factory is Desk
    assert spec.plan is not None
    assert not spec.plan.is_async
    assert mounted.plan is not None
    assert mounted.plan.is_async
    assert mounted.plan.name == "Desk"
    assert [one.name for one in type(mounted.build()).toolsets] == ["outside"]
    assert spec.build is Desk
    assert "command" not in repr(mounted)


def nameless(made: type[Desk]) -> Any:
    return lambda: made()  # noqa: PLW0108 - it is no class


@pytest.mark.parametrize("factory", [make_desk, nameless(Desk), functools.partial(make_desk), Busy, nameless(Busy)])
def test_whatever_the_factory_is(factory: Any) -> None:
    spec = EnvironmentSpec.of(factory, Action, Observation).with_mounts([SERVER])
    first, second = HostedEnvironment(spec), HostedEnvironment(spec)
    assert first.plan.is_async
    assert first.plan == second.plan
    assert (spec.plan is None) is (EnvironmentSpec.of(factory, Action, Observation).plan is None)
    boxes = [one._environment.__dict__.get("_openenv_book") for one in (first, second)]
    assert all(box is None or [one.name for one in box.toolbox.toolsets] == ["outside"] for box in boxes)
    for one in (first, second):
        assert one.close() is None  # without an event loop it is over when it returns


def test_another_process_is_told() -> None:
    spec = EnvironmentSpec.of(Desk).with_mounts([SERVER])
    reference = FactoryReference.of(spec)
    again = msgspec.json.decode(msgspec.json.encode(reference), type=FactoryReference).load()
    assert again.mounts == spec.mounts
    assert again.plan == spec.plan


def test_more_are_added() -> None:
    spec = EnvironmentSpec.of(Desk).with_mounts([SERVER]).with_mounts([{"name": "desk", "url": "http://x"}])
    assert [one.name for one in type(spec.build()).toolsets] == ["outside", "desk"]


@pytest.mark.parametrize(
    ("factory", "servers", "said"),
    [
        (Desk, [SERVER, SERVER], "two MCP servers are named outside"),
        (Desk, [{"name": "x"}], "give either its command or its url"),
        (Action, [SERVER], "Action is no ToolEnvironment"),
    ],
)
def test_what_cannot_be_mounted(factory: Any, servers: list[dict[str, Any]], said: str) -> None:
    plan = EnvironmentPlan.of(Desk)
    spec = EnvironmentSpec("desk", factory, plan.action_type, plan.observation_type, plan.state_type, plan)
    with pytest.raises(ConfigurationError, match=said):
        spec.with_mounts(servers)
