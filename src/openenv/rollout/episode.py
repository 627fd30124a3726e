"""One episode: reset, then an action for every observation, until it ends or fails."""

from __future__ import annotations

import asyncio
import random
import traceback
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

from openenv.client import EnvClient
from openenv.errors import OpenEnvError
from openenv.record import EndStatus
from openenv.rollout.agent import Agent, Choice
from openenv.rollout.plan import EpisodePlan
from openenv.rollout.recording import EpisodeLog, told
from openenv.types import StepResult

__all__ = ["AGENT_ERROR", "Outcome", "play_episode"]

AGENT_ERROR = "AGENT_ERROR"
"""Kind of the error where not the environment but the agent failed."""

Result = StepResult[dict[str, Any]]
Client = EnvClient[dict[str, Any], dict[str, Any], dict[str, Any]]


@dataclass
class Outcome:
    """What has come of an episode; it grows while the episode is played.

    Attributes:
        index: The episode's number in the run.
        has_begun: Whether its reset was answered; before that it is recorded only if it failed.
        status: How it finished.
        length: Steps that were answered.
        return_: Sum of their rewards; a step without one adds nothing.
        error: Code of the error that ended it, empty if none did.
        was_cut: Whether it was ended by ``max_steps``.
    """

    index: int
    has_begun: bool = False
    status: EndStatus = "interrupted"
    length: int = 0
    return_: float = 0.0
    error: str = ""
    was_cut: bool = False


class _Failed(Exception):
    """The episode cannot go on; its error is recorded. The argument is the code."""


async def play_episode(
    client: Client, agent: Agent, plan: EpisodePlan, log: EpisodeLog, max_steps: int, outcome: Outcome
) -> None:
    """Play one episode and record every event of it.

    An error of the environment, the connection or the agent ends the episode as failed. Nothing is tried twice. If the
    call is cancelled, the episode is recorded as interrupted, unless not even its reset was answered.

    Args:
        client: A session's client; its earlier episode is given up.
        agent: Chooses the actions.
        plan: Which episode.
        log: Takes its events.
        max_steps: Cut it after so many steps.
        outcome: Filled in while the episode is played.

    Raises:
        RecordError: An event cannot be stored.
    """
    try:
        await _play(client, agent, plan, log, max_steps, outcome)
    except _Failed as failure:
        outcome.status, outcome.error = "failed", str(failure)
        log.end("failed")
    except asyncio.CancelledError:
        if outcome.has_begun:
            log.end("interrupted")
        raise
    else:
        outcome.status = "done"
        log.end("done", **({"truncated_by": "max_steps"} if outcome.was_cut else {}))


async def _play(
    client: Client, agent: Agent, plan: EpisodePlan, log: EpisodeLog, max_steps: int, outcome: Outcome
) -> None:
    rng = random.Random(plan.agent_seed)  # noqa: S311 - nothing secret
    request: dict[str, Any] = {"seed": plan.seed, "episode_id": plan.id, **plan.reset_options}
    log.start()
    result = await _answer(log, request, client.reset(**request))
    await log.add("reset", request, told(result))
    outcome.has_begun = True
    while not result.done:
        if outcome.length == max_steps:
            outcome.was_cut = True
            return
        choice = await _chosen(log, agent, result.observation, rng)
        request = {"action": choice.told}
        log.start()
        result = await _answer(log, request, client.step(choice.action))
        outcome.length += 1
        outcome.return_ += result.reward or 0.0
        await log.add("step", request, told(result))


async def _answer(log: EpisodeLog, request: dict[str, Any], asked: Awaitable[Result]) -> Result:
    try:
        return await asked
    except OpenEnvError as error:
        failure = error
    await log.add("error", request, {"code": failure.code, "message": failure.message, "details": failure.details})
    raise _Failed(failure.code)


async def _chosen(log: EpisodeLog, agent: Agent, observation: dict[str, Any], rng: random.Random) -> Choice:
    log.start()
    try:
        return await agent.choose(observation, rng)
    except Exception as error:  # noqa: BLE001 - the agent is the user's code; what it raises ends its episode, not the run
        details = {"type": type(error).__name__, "traceback": "".join(traceback.format_exception(error))}
        message = f"{type(error).__name__}: {error}"
    await log.add("error", {}, {"code": AGENT_ERROR, "message": message, "details": details})
    raise _Failed(AGENT_ERROR)
