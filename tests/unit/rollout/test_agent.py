"""How an agent is come by, and how it is asked."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openenv.errors import ConfigurationError
from openenv.rollout import Agent, agent_of, load_agent, random_agent
from openenv.rollout.agent import random_caller
from openenv.tools import ToolInfo

PATTERN = {"type": "string", "pattern": "^[a-z]+$"}
SCHEMA = {"type": "object", "properties": {"move": {"enum": ["stick", "hit"]}}, "required": ["move"]}


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Path]:
    """A directory for modules, forgotten afterwards."""
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


async def choose(agent: Agent, seed: int = 1) -> Any:
    return (await agent.choose({"hand": 12}, random.Random(seed))).told


async def test_plain_async_and_random_functions() -> None:
    async def later(observation: dict[str, Any]) -> dict[str, Any]:
        return {"saw": observation["hand"]}

    def rolled(observation: dict[str, Any], rng: random.Random) -> dict[str, Any]:
        return {"die": rng.randint(1, 6)}

    def keyword(observation: dict[str, Any], *, rng: random.Random) -> dict[str, Any]:
        return rolled(observation, rng)

    assert await choose(agent_of(lambda observation: {"saw": observation["hand"]})) == {"saw": 12}
    assert await choose(agent_of(later)) == {"saw": 12}
    assert await choose(agent_of(rolled)) == {"die": random.Random(1).randint(1, 6)}
    assert await choose(agent_of(keyword)) == await choose(agent_of(rolled))


async def test_an_object_that_can_be_called() -> None:
    class Remembering:
        def __call__(self, observation: dict[str, Any]) -> dict[str, Any]:
            return {"move": "hit"}

    agent = agent_of(Remembering())
    assert agent.name == "Remembering"
    assert await choose(agent) == {"move": "hit"}


async def test_what_is_told_of_an_action_does_not_change_with_it() -> None:
    kept = {"moves": ["stick"]}
    choice = await agent_of(lambda observation: kept).choose({}, random.Random(1))
    assert choice.action == kept
    kept["moves"].append("hit")
    assert choice.told == {"moves": ["stick"]}


@pytest.mark.parametrize(
    ("action", "told"), [("hit", "must return an action as a dict, not str"), ({"a": object()}, "cannot be sent")]
)
async def test_what_is_no_action(action: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        await choose(agent_of(lambda observation: action))


def test_what_is_no_agent() -> None:
    class Player:
        pass

    for wrong, told in (
        (3, "must be a function"),
        (Player, "must be a function"),
        (dict, r"agent\(observation\)"),
        (lambda observation, memory: {}, r"agent\(observation\)"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            agent_of(wrong)  # type: ignore[arg-type]


async def test_the_random_agent_draws_from_the_schema() -> None:
    agent = random_agent(SCHEMA)
    drawn = [await choose(agent, seed) for seed in range(30)]
    assert {action["move"] for action in drawn} == {"stick", "hit"}
    assert drawn == [await choose(agent, seed) for seed in range(30)]


def test_the_random_agent_says_at_once_what_it_cannot_draw() -> None:
    with pytest.raises(ConfigurationError, match="write an agent"):
        random_agent({"type": "string", "pattern": "^[a-z]+$"})


async def test_an_agent_from_a_file(workplace: Path) -> None:
    (workplace / "my_players.py").write_text("def hit(observation):\n    return {'move': 'hit'}\n", encoding="utf-8")
    agent = load_agent("my_players:hit", workplace)
    assert agent.name == "my_players:hit"
    assert await choose(agent) == {"move": "hit"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("my_faulty", "written as module:function"),
        ("my_faulty:", "written as module:function"),
        (":hit", "written as module:function"),
        ("no_such_module:hit", "no module 'no_such_module'"),
        ("my_faulty:hitt", r"has no 'hitt'; did you mean my_faulty:hit\?"),
        ("my_faulty:something_else", "has no 'something_else'$"),
        ("my_faulty:number", "must be a function"),
        ("my_needing:hit", "needs no_such_package; install it"),
        ("my_broken:hit", "cannot be imported: ZeroDivisionError: division by zero"),
    ],
)
def test_wrong_names_are_explained(workplace: Path, name: str, told: str) -> None:
    (workplace / "my_faulty.py").write_text("number = 3\ndef hit(observation):\n    return {}\n", encoding="utf-8")
    (workplace / "my_needing.py").write_text("import no_such_package\n", encoding="utf-8")
    (workplace / "my_broken.py").write_text("1 / 0\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=told):
        load_agent(name, workplace)


async def test_the_random_agent_of_an_environment_with_tools_calls_each_of_them() -> None:
    number = {"type": "object", "properties": {"number": {"type": "integer", "maximum": 9}}, "required": ["number"]}
    tools = [
        ToolInfo(name="guess", input_schema=number),
        ToolInfo(name="look"),
        ToolInfo(name="odd", input_schema={"type": "object", "properties": {"text": PATTERN}, "required": ["text"]}),
    ]
    agent, rng = random_caller(tools), random.Random(3)
    drawn = [(await agent.choose({}, rng)).action for _ in range(40)]
    assert {one["tool_name"] for one in drawn} == {"guess", "look"}
    assert {one["type"] for one in drawn} == {"call_tool"}
    numbers = {one["arguments"]["number"] for one in drawn if one["tool_name"] == "guess"}
    assert len(numbers) > 1
    assert max(numbers) <= 9


def test_the_random_agent_needs_a_tool_that_it_can_call() -> None:
    with pytest.raises(ConfigurationError, match="no tools before its first reset"):
        random_caller([])
    schema = {"type": "object", "properties": {"text": PATTERN}, "required": ["text"]}
    with pytest.raises(ConfigurationError, match="cannot draw"):
        random_caller([ToolInfo(name="odd", input_schema=schema)])
