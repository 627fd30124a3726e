"""What is to be seen of an environment: a few episodes in a few instances, gathered once for all rules."""

from __future__ import annotations

import inspect
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pydantic_core
from pydantic import BaseModel

from openenv.environment import EnvironmentPlan
from openenv.errors import ActionInvalid, ConfigurationError, ExecutionFailed, FactoryFailed, OpenEnvError
from openenv.protocol import EncodingFailed, to_json
from openenv.schema import json_schema, sample
from openenv.session import AnyEnvironment, EnvironmentSpec
from openenv.testing.asking import Answer
from openenv.testing.batching import batched
from openenv.testing.player import Closing, Moment, Player
from openenv.testing.restoring import Restoring, restoring
from openenv.types import Action, Observation

__all__ = ["Actions", "Declared", "Evidence", "Play", "Settings", "declared", "gather", "new_action"]

Actions = Callable[[random.Random], Any]
"""Makes an action, a model or a mapping, from random numbers; the same ones give the same action."""

_THREAD_GRACE_S = 1.0
_TRIED_ACTIONS = 20
_REST = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True)
class Settings:
    """How much is played.

    Attributes:
        steps: Most steps of an episode, 1 or more.
        episodes: Episodes of the longest play, 1 or more.
        seed: Seed of the first episode; the next ones have the next seeds.
        actions: Makes the actions; by default they are drawn from the action's schema.
        action_type, observation_type: For classes that do not name theirs.
    """

    steps: int = 50
    episodes: int = 2
    seed: int = 0
    actions: Actions | None = None
    action_type: type[BaseModel] | None = None
    observation_type: type[BaseModel] | None = None


@dataclass(frozen=True)
class Declared:
    """What an environment says of itself.

    Attributes:
        cls: Its class.
        spec: With the types that the class, or else the caller, declares.
        tools: The tools that there are after a reset, as MCP lists them.
    """

    cls: type[AnyEnvironment]
    spec: EnvironmentSpec
    tools: tuple[dict[str, Any], ...] = ()


@dataclass
class Play:
    """What one instance was asked and answered.

    Attributes:
        first_state: The state before the first reset, or the error that came instead.
        closing: How it closed.
    """

    first_state: Any
    metadata: Any
    moments: list[Moment]
    closing: Closing

    def episode(self, seed: int) -> list[Moment]:
        """The calls of the first episode with that seed."""
        found: list[Moment] = []
        for moment in self.moments:
            if moment.operation == "reset" and found:
                break
            if moment.seed == seed:
                found.append(moment)
        return found

    def trace(self, seed: int) -> list[tuple[str, bytes | None]]:
        """Operations and observations of that episode."""
        return [(moment.operation, moment.json) for moment in self.episode(seed)]


@dataclass
class Evidence:
    """All that was seen.

    Attributes:
        spec: The environment; its types are those declared.
        seed: Seed of the first episode.
        unusable: Why nothing could be played; there are no plays then.
        bad_action: Why there are no actions; only resets are played then.
        bad_pair: Why no second instance could be built beside the first.
        plays: ``main`` has several episodes, and at last the first seed once more, in one instance; ``again`` has the
            first one's seed, ``other`` the seed after that; ``idle`` was closed at once. Where several instances
            are allowed, ``turn-main`` and ``turn-other`` are ``again`` and ``other`` stepped in turn.
        threads: Names of the threads that were left.
        cls: The environment's class, once an instance could be built.
        restoring: What came of a snapshot, where the class takes them.
        tools: The tools that there are after a reset, as MCP lists them.
        batched: What the moves of ``again`` and ``other`` gave through ``step_batch``, where the class has it and
            several instances are allowed.
    """

    spec: EnvironmentSpec
    seed: int
    unusable: str | None = None
    bad_action: str | None = None
    bad_pair: str | None = None
    plays: dict[str, Play] = field(default_factory=dict)
    threads: list[str] = field(default_factory=list)
    cls: type[AnyEnvironment] | None = None
    restoring: Restoring | None = None
    tools: tuple[dict[str, Any], ...] = ()
    batched: dict[str, list[Answer]] = field(default_factory=dict)

    @property
    def moments(self) -> list[Moment]:
        """All calls of all plays."""
        return [moment for play in self.plays.values() for moment in play.moments]


async def gather(env: Callable[[], AnyEnvironment], settings: Settings) -> Evidence:
    """Play an environment and keep what comes back.

    Raises:
        ConfigurationError: ``env`` is an instance, cannot be called, or names types that are no models.
    """
    before = set(threading.enumerate())
    evidence = Evidence(EnvironmentSpec.of(env, Action, Observation), settings.seed)
    try:
        found = await declared(env, settings)
        evidence.cls, evidence.spec, evidence.tools = found.cls, found.spec, found.tools
        evidence.unusable = _uncallable(evidence.cls)
        if evidence.unusable is None:
            await _play_all(evidence, settings)
    except FactoryFailed as error:
        evidence.unusable = error.message
    evidence.threads = _left(before)
    return evidence


async def _play_all(evidence: Evidence, settings: Settings) -> None:
    spec, actions = evidence.spec, _Actions(evidence.spec, settings, evidence.tools)
    try:
        for number in range(_TRIED_ACTIONS):
            actions.draw(random.Random(settings.seed + number))  # noqa: S311 - tests, not secrets
    except (ActionInvalid, ConfigurationError) as error:
        evidence.bad_action = error.message
    first, second = settings.seed, settings.seed + 1
    steps = 0 if evidence.bad_action else settings.steps
    evidence.plays["main"] = await _play(spec, [*range(first, first + settings.episodes), first], steps, actions)
    evidence.plays["again"] = await _play(spec, [first], steps, actions)
    evidence.plays["other"] = await _play(spec, [second], steps, actions)
    taken = actions.of(evidence.plays["again"], first)
    if taken and spec.plan is not None and spec.plan.snapshots:
        evidence.restoring = await restoring(spec, first, taken)
    evidence.plays["idle"] = await _play(spec, [], steps, actions)
    if spec.plan is not None and spec.plan.concurrent:
        try:
            evidence.plays |= await _in_turn(spec, (first, second), steps, actions)
            if spec.plan.batches and steps:
                evidence.batched = await _together(evidence, actions)
        except FactoryFailed as error:
            evidence.bad_pair = error.message


async def declared(env: Callable[[], AnyEnvironment], settings: Settings) -> Declared:
    """What the environment that a factory makes says of itself.

    Raises:
        ConfigurationError: ``env`` is an instance, cannot be called, or names types that are no models.
        FactoryFailed: It could not be built.
    """
    player = await Player.open(EnvironmentSpec.of(env, Action, Observation))
    cls = player.environment_class
    plan = EnvironmentPlan.of(cls)
    tools: list[dict[str, Any]] = []
    if plan.tools:
        await player.reset(settings.seed)  # where tools are shown by how an episode stands
        with suppress(OpenEnvError):  # what is wrong then is seen by the rules
            tools = await player.tools()
    await player.close()
    action, observation = settings.action_type or plan.action_type, settings.observation_type or plan.observation_type
    spec = EnvironmentSpec.of(env, action, observation, plan.name)
    is_model = isinstance(plan.state_type, type) and issubclass(plan.state_type, BaseModel)
    spec = replace(spec, plan=plan, state_type=plan.state_type if is_model else spec.state_type)
    return Declared(cls, spec, tuple(tools))


def _uncallable(cls: type[AnyEnvironment]) -> str | None:
    """Why the methods of a class cannot be called as a server calls them."""
    for name, given in ("reset", 1), ("step", 2), ("reset_async", 1), ("step_async", 2):
        needed = [
            parameter.name
            for parameter in list(inspect.signature(getattr(cls, name)).parameters.values())[given:]
            if parameter.default is parameter.empty and parameter.kind not in _REST
        ]
        if needed:
            return f"{name} cannot be called without {', '.join(needed)}"
    return None


class _Actions:
    def __init__(self, spec: EnvironmentSpec, settings: Settings, tools: Sequence[dict[str, Any]] = ()) -> None:
        self._spec = spec
        self._own = settings.actions
        self._schema = json_schema(spec.action_type)
        self._tools = tools if spec.plan is not None and spec.plan.tools else ()

    def draw(self, rng: random.Random) -> bytes:
        """A valid action as JSON; raises ``ConfigurationError`` or ``ActionInvalid``."""
        drawn = self._drawn(rng) if self._own is None else self._own(rng)
        try:
            encoded = to_json(drawn)
        except EncodingFailed as error:
            raise ActionInvalid(f"the action has no JSON form: {error}") from error
        self._spec.parse_action(encoded)
        return encoded

    def _drawn(self, rng: random.Random) -> Any:
        if not self._tools:
            return sample(self._schema, rng)
        why = None
        for tool in rng.sample(self._tools, len(self._tools)):  # one whose arguments cannot be drawn is left out
            try:
                arguments = sample(tool["inputSchema"], rng)
            except ConfigurationError as error:
                why = error
            else:
                return {"type": "call_tool", "tool_name": tool["name"], "arguments": arguments}
        raise ConfigurationError(f"no tool can be called by a random agent: {why}")

    def of(self, play: Play, seed: int) -> list[bytes]:
        """The actions of a play that has one episode, once more."""
        rng = random.Random(seed)  # noqa: S311 - tests, not secrets
        return [self.draw(rng) for moment in play.moments if moment.operation == "step"]


async def _play(spec: EnvironmentSpec, seeds: list[int], steps: int, actions: _Actions) -> Play:
    player = await Player.open(spec)
    first_state, metadata = await player.state(), await player.metadata()
    for seed in seeds:
        moment, rng = await player.reset(seed), random.Random(seed)  # noqa: S311 - tests, not secrets
        for _ in range(steps):
            if _is_over(moment):
                break
            moment = await player.step(actions.draw(rng))
    return Play(first_state, metadata, player.moments, await player.close())


async def _in_turn(spec: EnvironmentSpec, seeds: tuple[int, int], steps: int, actions: _Actions) -> dict[str, Play]:
    names = "turn-main", "turn-other"
    players = [await Player.open(spec)]
    try:
        players.append(await Player.open(spec))
    except FactoryFailed:
        await players[0].close()
        raise
    before = [(await player.state(), await player.metadata()) for player in players]
    moments = [await player.reset(seed) for player, seed in zip(players, seeds, strict=True)]
    rngs = [random.Random(seed) for seed in seeds]  # noqa: S311 - tests, not secrets
    for _ in range(steps):
        for index, player in enumerate(players):
            if not _is_over(moments[index]):
                moments[index] = await player.step(actions.draw(rngs[index]))
    closed = [await player.close() for player in players]
    return {
        name: Play(state, metadata, player.moments, both)
        for name, player, (state, metadata), both in zip(names, players, before, closed, strict=True)
    }


async def _together(evidence: Evidence, actions: _Actions) -> dict[str, list[Answer]]:
    seeds = {"again": evidence.seed, "other": evidence.seed + 1}
    episodes = {seed: actions.of(evidence.plays[name], seed) for name, seed in seeds.items()}
    found = await batched(evidence.spec, episodes)
    return {name: found[seed] for name, seed in seeds.items()}


def _is_over(moment: Moment) -> bool:
    return moment.done or isinstance(moment.error, ExecutionFailed)


def _left(before: set[threading.Thread]) -> list[str]:
    """Names of the threads that have come and do not end; those of an event loop's own pool are not the author's."""
    new = [t for t in threading.enumerate() if t not in before and not t.name.startswith("asyncio_")]
    deadline = time.monotonic() + _THREAD_GRACE_S
    for thread in new:
        thread.join(max(0.0, deadline - time.monotonic()))
    return sorted(thread.name for thread in new if thread.is_alive())


def new_action(found: Declared, settings: Settings, rng: random.Random) -> dict[str, Any]:
    """A valid action as a dictionary of JSON values.

    Raises:
        ActionInvalid: What was drawn does not validate.
        ConfigurationError: The schema asks for what cannot be drawn.
    """
    drawn: dict[str, Any] = pydantic_core.from_json(_Actions(found.spec, settings, found.tools).draw(rng))
    return drawn
