"""Agents: what chooses the actions, and how to come by one."""

from __future__ import annotations

import difflib
import importlib
import inspect
import random
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from openenv.errors import ConfigurationError
from openenv.schema import sample
from openenv.types.tagged import TAGGED, EncodingFailed, untagged

if TYPE_CHECKING:
    from openenv.tools import ToolInfo

__all__ = ["RANDOM", "Agent", "AgentFunction", "Choice", "agent_of", "load_agent", "random_agent", "random_caller"]

RANDOM = "random"
"""Name of the agent that draws every action from the environment's action schema, or its tools."""

AgentFunction = Callable[..., Mapping[str, Any] | Awaitable[Mapping[str, Any]]]
"""``agent(observation: dict) -> action: dict``, plain or async, with an optional parameter ``rng: random.Random``.

A plain function runs in the event loop, so all sessions wait for it; one that waits for a model or a network is async.
It is called for many episodes in turn, so it keeps nothing between calls. Everything random in it comes from ``rng``,
which is seeded per episode; then the same seed plays the same episodes.
"""


class Choice(NamedTuple):
    """An action that an agent has chosen.

    Attributes:
        action: As the agent gave it.
        told: A copy in JSON values, for the record.
    """

    action: dict[str, Any]
    told: dict[str, Any]


@dataclass(frozen=True)
class Agent:
    """An agent that is ready to play.

    Attributes:
        name: What the record calls it.
        function: What it is.
        takes_rng: Whether it wants ``rng``.
    """

    name: str
    function: AgentFunction
    takes_rng: bool

    async def choose(self, observation: dict[str, Any], rng: random.Random) -> Choice:
        """Ask it for an action.

        Raises:
            TypeError: What the agent returned is no dict, or cannot be sent.
            Exception: Whatever the agent itself raises.
        """
        chosen = self.function(observation, rng=rng) if self.takes_rng else self.function(observation)
        if inspect.isawaitable(chosen):
            chosen = await chosen
        if not isinstance(chosen, Mapping):
            raise TypeError(f"the agent must return an action as a dict, not {type(chosen).__name__}: {chosen!r:.80}")
        try:
            return Choice(dict(chosen), _copy(chosen))
        except EncodingFailed as error:
            raise TypeError(f"the agent's action cannot be sent: {error}") from error


def _copy(action: Mapping[str, Any]) -> Any:
    """The action as it is now, arrays and all: its owner may change it."""
    return untagged(msgspec.json.decode(msgspec.json.encode(TAGGED.write(dict(action)))))


def agent_of(function: AgentFunction, name: str | None = None) -> Agent:
    """The agent that a function is.

    Raises:
        ConfigurationError: It cannot be called with one observation.
    """
    name = name or str(getattr(function, "__qualname__", type(function).__name__))
    if not callable(function) or isinstance(function, type):
        raise ConfigurationError(f"the agent {name} must be a function agent(observation) -> action, not {function!r}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some callables written in C have none; their calls will tell
        return Agent(name, function, takes_rng=False)
    takes_rng = "rng" in signature.parameters
    try:
        signature.bind({}, **({"rng": None} if takes_rng else {}))
    except TypeError:
        raise ConfigurationError(
            f"the agent {name}{signature} must be callable as agent(observation) or agent(observation, rng=...)"
        ) from None
    return Agent(name, function, takes_rng)


def load_agent(name: str, directory: Path | None = None) -> Agent:
    """The agent ``module:function``.

    Args:
        name: Module and function.
        directory: Put first on the path of modules; by default the working directory.

    Raises:
        ConfigurationError: There is no such module or function, or it cannot be imported; the message says which.
    """
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name or ":" in function_name:
        raise ConfigurationError(f"an agent is {RANDOM!r} or written as module:function, not {name!r}")
    place = str(directory or Path.cwd())
    if place not in sys.path:
        sys.path.insert(0, place)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ConfigurationError(f"the agent's module {module_name} needs {error.name}; install it") from error
        raise ConfigurationError(
            f"no module {module_name!r} for the agent {name!r}; looked in {place} and where Python looks"
        ) from error
    except Exception as error:  # importing runs the user's code, which may raise anything
        raise ConfigurationError(
            f"the agent's module {module_name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    for part in function_name.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, [one for one in vars(found) if callable(getattr(found, one))], 1)
            hint = f"; did you mean {module_name}:{near[0]}?" if near else ""
            raise ConfigurationError(f"module {module_name} has no {function_name!r}{hint}")
        found = getattr(found, part)
    return agent_of(found, name)


def random_agent(action_schema: dict[str, Any]) -> Agent:
    """The agent that draws every action from a JSON Schema.

    Raises:
        ConfigurationError: Nothing can be drawn from it; better now than in every episode.
    """
    sample(action_schema, random.Random(0))  # noqa: S311 - nothing secret

    def draw(observation: dict[str, Any], rng: random.Random) -> dict[str, Any]:
        action: dict[str, Any] = sample(action_schema, rng)
        return action

    return Agent(RANDOM, draw, takes_rng=True)


def random_caller(tools: Sequence[ToolInfo]) -> Agent:
    """The agent that draws one of the tools, and its arguments from the tool's schema.

    Args:
        tools: Those whose arguments cannot be drawn are left out.

    Raises:
        ConfigurationError: There is no other.
    """
    known, why = [], ConfigurationError("the environment has no tools before its first reset; write an agent")
    for tool in tools:
        try:
            sample(tool.input_schema, random.Random(0))  # noqa: S311 - nothing secret
            known.append(tool)
        except ConfigurationError as error:
            why = error
    if not known:
        raise why

    def draw(observation: dict[str, Any], rng: random.Random) -> dict[str, Any]:
        tool = rng.choice(known)
        return {"type": "call_tool", "tool_name": tool.name, "arguments": sample(tool.input_schema, rng)}

    return Agent(RANDOM, draw, takes_rng=True)
