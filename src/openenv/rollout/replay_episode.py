"""One recorded episode, asked again: the same requests, and the first answer that is another one."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from openenv.client import GenericEnvClient
from openenv.errors import ERRORS, ConnectFailed, EnvironmentFailure, OpenEnvError, StepTimeout
from openenv.record import EndStatus, Event, Kind, Run, Trajectory
from openenv.record.payload import payload_of, payload_text
from openenv.rollout.difference import Difference, differences
from openenv.rollout.recording import EpisodeLog, told
from openenv.rollout.stamp import LOCK_STAMP
from openenv.types import StepResult

__all__ = ["EpisodeReplay", "ReplayOutcome", "replay_episode", "reset_arguments"]

ReplayOutcome = Literal["same", "different", "failed", "left out"]

_COMPARED = ("observation", "reward", "done", "terminated", "truncated", "metadata")
_TOLD_BACK = {"seed", "episode_id"}  # metadata of a reset that repeats what was asked
_NOT_OPTIONS = {"seed", "episode_id", "timeout_s", "options"}


@dataclass(frozen=True)
class EpisodeReplay:
    """What has come of one episode.

    Attributes:
        episode: Its id.
        outcome: ``same``; ``different`` (its first difference is told); ``failed``: the server did not answer;
            ``left out``: it was not recorded from its beginning, or the agent or the connection failed there.
        compared: Answers that were compared, the reset among them.
        recorded: Answers that were recorded.
        told: The first difference, such as ``step 7: observation.board[3]: 4 != 5``; else why it ended where it did,
            or empty.
    """

    episode: str
    outcome: ReplayOutcome
    compared: int
    recorded: int
    told: str = ""


class _Answer(NamedTuple):
    """What was answered now: a reply as an event holds it, with the code of the error if it is one."""

    reply: dict[str, Any]
    error: str


async def replay_episode(
    client: GenericEnvClient, run: Run, trajectory: Trajectory, volatile: frozenset[str], log: EpisodeLog | None = None
) -> EpisodeReplay:
    """Play an episode again, up to the first answer that differs.

    Args:
        client: A session's client; its earlier episode is given up.
        run: The run that the episode belongs to.
        trajectory: The episode.
        volatile: Fields of the observation and its metadata that do not count.
        log: Takes what happens now.

    Raises:
        ConnectFailed: There is no server any more.
        RecordError: An event cannot be stored.
    """
    events = [event for event in trajectory.events if event.kind != "end"]
    compared = 0
    last: _Answer | None = None

    def ended(outcome: ReplayOutcome, told: str = "") -> EpisodeReplay:
        if log is not None and compared:
            log.end(_status(last, trajectory))
        return EpisodeReplay(trajectory.episode, outcome, compared, len(events), told)

    for event in events:
        if stop := _why_not(event):
            return ended("same" if compared else "left out", stop)
        try:
            last = await _asked(client, run, event, log)
        except ConnectFailed:
            raise
        except OpenEnvError as error:
            return ended("failed", f"{_named(event)}: {error.code}: {error.message}")
        compared += 1
        difference = _first_difference(event, last, volatile)
        if difference is not None:
            return ended("different", f"{_named(event)}: {difference}")
        if _is_reset(event) and last.error:
            break  # nothing has begun
    return ended("same")


def reset_arguments(run: Run, event: Event) -> dict[str, Any]:
    """What to reset with, so that the episode of this first event begins again.

    Args:
        run: The run that the episode belongs to.
        event: Its reset.
    """
    request, reply = event.request, event.reply
    metadata = reply.get("metadata") if isinstance(reply, dict) else None
    episode_id = request.get("episode_id") or (metadata or {}).get("episode_id") or event.episode
    if run.settings.get("journal"):  # as the message of the protocol says it
        options = {name: value for name, value in request.items() if name not in _NOT_OPTIONS}
        options.update(request.get("options") or {})
        options["timeout_s"] = request.get("timeout_s")
    else:
        options = {name: value for name, value in request.items() if name not in ("seed", "episode_id")}
        if LOCK_STAMP not in run.settings.get("reset_options", {}):
            options.pop(LOCK_STAMP, None)
    return {**options, "seed": event.seed, "episode_id": episode_id}


def _why_not(event: Event) -> str:
    """Why an event cannot be asked again or says nothing about the environment; empty if it can and does."""
    if event.index == 0 and not _is_reset(event):
        return "the record does not begin with a reset"
    if event.kind != "error":
        return ""
    code = str(event.reply.get("code"))
    cls = ERRORS.get(code)
    is_of_environment = cls is not None and issubclass(cls, EnvironmentFailure) and not issubclass(cls, StepTimeout)
    return "" if is_of_environment else f"{_named(event)} was recorded as {code}, which is not the environment's"


def _is_reset(event: Event) -> bool:
    return "action" not in event.request


def _named(event: Event) -> str:
    return "reset" if _is_reset(event) else f"step {event.index}"


async def _asked(client: GenericEnvClient, run: Run, event: Event, log: EpisodeLog | None) -> _Answer:
    """Ask for what was asked then; raises what is no answer of the environment."""
    if _is_reset(event):
        request = reset_arguments(run, event)
        asked = client.reset(**request)
    else:
        request = {"action": event.request["action"]}
        timeout_s, options = event.request.get("timeout_s"), event.request.get("options") or {}
        asked = client.step(request["action"], timeout_s, **options)
    if log is not None:
        log.start()
    answer = await _answered(asked)
    if log is not None:
        kind: Kind = "error" if answer.error else "reset" if _is_reset(event) else "step"
        await log.add(kind, {name: value for name, value in request.items() if name != "timeout_s"}, answer.reply)
    return answer


async def _answered(asked: Awaitable[StepResult[dict[str, Any]]]) -> _Answer:
    try:
        return _Answer(payload_of(payload_text(told(await asked))), "")  # in the form that a record has
    except EnvironmentFailure as failure:
        if isinstance(failure, StepTimeout):
            raise
        reply = {"code": failure.code, "message": failure.message, "details": failure.details}
        return _Answer(reply, failure.code)


def _first_difference(event: Event, answer: _Answer, volatile: frozenset[str]) -> Difference | None:
    recorded_error = event.reply["code"] if event.kind == "error" else ""
    if recorded_error or answer.error:  # their messages may hold addresses and times
        if recorded_error == answer.error:
            return None
        now = f"{answer.error} ({answer.reply['message']})" if answer.error else "an answer"
        return Difference("", recorded_error or "an answer", now)
    for name in _COMPARED:
        if name in event.reply:
            left_out = volatile | _TOLD_BACK if name == "metadata" and _is_reset(event) else volatile
            one, other = (_without(reply[name], name, left_out) for reply in (event.reply, answer.reply))
            found = next(differences(one, other, name), None)
            if found is not None:
                return found
    return None


def _without(value: Any, name: str, left_out: frozenset[str]) -> Any:
    if name not in ("observation", "metadata") or not isinstance(value, Mapping):
        return value
    return {key: one for key, one in value.items() if key not in left_out}


def _status(last: _Answer | None, trajectory: Trajectory) -> EndStatus:
    """How the episode ends that was played now: one that was cut then is cut now."""
    if last is None or last.error:
        return "failed"
    return "done" if last.reply["done"] or trajectory.status == "done" else "interrupted"
