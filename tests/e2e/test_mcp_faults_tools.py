"""Mistakes of models and of tools over MCP, in both eras: each is an answer that can be acted on, and a step."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.e2e.mcp_fault_worlds import AwaitedFaults, Faults
from tests.e2e.mcp_raw import ERAS
from tests.e2e.mcp_stage import Era, staged
from tests.e2e.test_serve import fails
from tests.e2e.worlds import write

from openenv import Observation
from openenv.environment import ToolEnvironment
from openenv.tools import Tool

pytestmark = [pytest.mark.e2e, pytest.mark.agents]

BOTH = pytest.mark.parametrize("era", ERAS)
WORLDS = pytest.mark.parametrize("world", [Faults, AwaitedFaults])
INVALID = -32602


@WORLDS
@BOTH
def test_mistakes_of_a_model_are_answers_it_can_act_on_and_steps(world: Any, era: Era) -> None:
    with staged(world) as stage:
        agent = stage.agent(era)
        assert agent.text("add") == (True, "a: Field required. Its arguments: a, b.")
        is_error, said = agent.text("add", a="much")
        assert is_error
        assert "a: Input should be a valid integer" in said
        assert "'much'" in said
        assert agent.text("add", a=1, c=2) == (True, "c: Extra inputs are not permitted. Its arguments: a, b.")
        error = agent.call("subtract", a=1)["error"]
        assert error["code"] == INVALID
        assert error["message"].startswith("there is no tool 'subtract'; there are: ")
        assert "add" in error["message"]
        assert stage.steps == 4
        assert agent.text("add", a=1) == (False, "2")
        assert stage.trainer.outcome().total_reward > 0


@WORLDS
@BOTH
def test_what_a_tool_does_wrong_is_a_result_and_a_step(world: Any, era: Era, caplog: Any) -> None:
    with staged(world) as stage:
        agent = stage.agent(era)
        for tool, told in {
            "fails": "ValueError: it broke",
            "gives_up": "SystemExit: 3",
            "formless": "no JSON form",
            "overpaid": "cannot be used",
        }.items():
            is_error, said = agent.text(tool)
            assert is_error
            assert told in said
            assert "\n" not in said
        assert stage.steps == 4
        assert agent.text("add", a=2, b=3) == (False, "5")


@BOTH
def test_a_tool_that_takes_too_long_ends_by_its_deadline(era: Era) -> None:
    with staged(AwaitedFaults) as stage:
        agent = stage.agent(era)
        assert agent.text("stuck") == (True, "it took longer than 0.1 s")
        assert agent.text("add", a=1) == (False, "2")
        assert stage.steps == 2


@BOTH
def test_one_that_cannot_be_ended_takes_the_episode_with_it(era: Era) -> None:
    with staged(Faults) as stage:
        agent = stage.agent(era)
        is_error, said = agent.text("stuck")
        assert is_error
        assert said == "The tool took longer than it may. The episode is gone: no more tool calls are taken."
        is_error, said = agent.text("add", a=1)
        assert is_error
        assert said == "The episode is gone: no more tool calls are taken."
        assert stage.trainer.outcome().phase == "lost"
        stage.gate.go.set()
        stage.trainer.reset()
        assert stage.agent(era).text("add", a=1) == (False, "2")


@BOTH
def test_ten_megabytes_arrive(era: Era) -> None:
    with staged(Faults) as stage:
        agent = stage.agent(era)
        assert agent.text("huge", size=10_000_000) == (False, "x" * 10_000_000)
        assert stage.steps == 1


class Many(ToolEnvironment):
    """A thousand tools."""

    SUPPORTS_CONCURRENT_SESSIONS: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        for one in _thousand():
            self.add_tool(one)

    def reset(self, seed: int | None = None) -> Observation:
        return Observation()


class AllOfMany(Many):
    """The same, shown as they are."""

    search_tools: ClassVar[bool | None] = False


@functools.cache
def _thousand() -> list[Tool]:
    def times(number: int) -> Any:
        return lambda x: number * x

    checked = Tool.of(_twice)  # whose schema is that of all
    return [
        dataclasses.replace(checked, name=f"times_{n}", description=f"Multiply by {n}.", function=times(n))
        for n in range(1000)
    ]


def _twice(x: int) -> int:
    return 2 * x


@BOTH
def test_a_thousand_tools_are_searched(era: Era) -> None:
    with staged(Many) as stage:
        agent = stage.agent(era)
        listed = agent.ask("tools/list")["result"]["tools"]
        assert [one["name"] for one in listed] == ["search_tools", "call_tool"]
        _, said = agent.text("search_tools", query="times_777")
        assert "times_777" in said
        assert agent.text("call_tool", name="times_777", arguments={"x": 2}) == (False, "1554")
        assert agent.text("times_777", x=2) == (False, "1554")


@BOTH
def test_a_thousand_tools_are_listed(era: Era) -> None:
    with staged(AllOfMany) as stage:
        agent = stage.agent(era)
        assert len(agent.ask("tools/list")["result"]["tools"]) == 1000
        assert agent.text("times_999", x=3) == (False, "2997")
        assert agent.call("times_1000", x=3)["error"]["code"] == INVALID


@BOTH
def test_a_tool_without_a_description_has_none(era: Era) -> None:
    with staged() as stage:
        tools = {one["name"]: one for one in stage.agent(era).ask("tools/list")["result"]["tools"]}
        assert not tools["silent"].get("description")
        assert tools["silent"]["inputSchema"]["type"] == "object"
        assert stage.agent(era).call("silent")["result"]["content"] == []


@pytest.mark.parametrize("name", ["reset", "step", "state", "close"])
def test_a_tool_with_the_name_of_control_is_refused_at_start(name: str, tmp_path: Path) -> None:
    text = (
        "from openenv import Observation\nfrom openenv.environment import ToolEnvironment\n"
        "from openenv.tools import tool\n\n\nclass Clash(ToolEnvironment):\n"
        "    def reset(self, seed=None):\n        return Observation()\n\n"
        f"    @tool(name={name!r})\n    def other(self) -> str:\n        return ''\n"
    )
    said = fails("serve", write(tmp_path / "clash.py", text), "--port", "0")
    assert said == f"error: a tool cannot be named {name}: that controls the episode; rename it\n"
