"""What each rule says to the evidence: nothing, what is wrong, or why it cannot tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pydantic_core
from pydantic import ValidationError

from openenv.errors import ActionInvalid, ExecutionFailed, ObservationInvalid, OpenEnvError, RewardInvalid
from openenv.protocol import EncodingFailed, Observed, http_observation, to_json
from openenv.testing.asking import kind_of
from openenv.testing.difference import first_difference
from openenv.testing.evidence import Evidence
from openenv.testing.packaging import Package, entry_point_fault, manifest_fault, package_of
from openenv.testing.player import Moment
from openenv.testing.rules import Rule
from openenv.testing.tool_results import tool_fault
from openenv.types import EnvironmentMetadata, Observation, State

__all__ = ["NotTold", "wrong"]


class NotTold(Exception):
    """The evidence does not tell; the message says why. Never leaves this package."""


def wrong(rule: Rule, evidence: Evidence) -> str | None:
    """What breaks a rule; ``None`` where it holds.

    Raises:
        NotTold: The evidence does not tell.
    """
    if evidence.unusable is not None and rule is not Rule.R01:
        raise NotTold("nothing could be played")
    return _VERDICTS[rule](evidence)


def _usable(evidence: Evidence) -> str | None:
    return evidence.unusable


def _reset_type(evidence: Evidence) -> str | None:
    return _type("reset", evidence)


def _step_type(evidence: Evidence) -> str | None:
    return _type("step", evidence)


def _type(operation: str, evidence: Evidence) -> str | None:
    expected = Observation if _has_tools(evidence) else evidence.spec.observation_type  # with tools, any will do
    for moment in _some(operation, evidence):
        if isinstance(moment.error, ObservationInvalid):
            return f"{_where(moment)}: {moment.error.message}"
        if moment.observation is not None and not isinstance(moment.observation, expected):
            return f"{_where(moment)} returned a {type(moment.observation).__name__}, declared is {expected.__name__}"
    return None


def _runs(evidence: Evidence) -> str | None:
    for moment in evidence.moments:
        if isinstance(moment.error, ExecutionFailed):
            return f"{_where(moment)} raised {moment.error.message}"
    return None


def _state(evidence: Evidence) -> str | None:
    states = [("before the first reset", play.first_state) for play in evidence.plays.values()]
    states += [(f"after {_where(moment)}", moment.state) for moment in evidence.moments]
    for when, state in states:
        if isinstance(state, OpenEnvError):
            return f"{when}, state raised {state.message}"
        for expected in (State, evidence.spec.state_type):
            if not isinstance(state, expected):
                return f"{when}, state is {_name(state)}, declared is {expected.__name__}"
    return None


def _episode_id(evidence: Evidence) -> str | None:
    for moment in _standing(evidence):
        if moment.state.episode_id != moment.episode_id:
            return (
                f"after {_where(moment)}, state.episode_id is {moment.state.episode_id!r}, "
                f"reset was given {moment.episode_id!r}"
            )
    return None


def _step_count(evidence: Evidence) -> str | None:
    for moment in _standing(evidence):
        if moment.state.step_count != moment.steps:
            return f"after {_where(moment)}, state.step_count is {moment.state.step_count}, not {moment.steps}"
    return None


def _same_seed(evidence: Evidence) -> str | None:
    if not _takes_seed(evidence):
        return None  # then it is for the next rule
    return _difference(evidence)


def _seeds_used(evidence: Evidence) -> str | None:
    difference = None if _takes_seed(evidence) else _difference(evidence)
    if difference is not None:
        return f"reset takes no seed and is random all the same: {difference}"
    first, second = (_first_reset(evidence, name).rng_state for name in ("again", "other"))
    if first is not None and first == second:
        return "self.rng is in the same state after resets with different seeds"
    return None


def _reward(evidence: Evidence) -> str | None:
    for moment in evidence.moments:
        if isinstance(moment.error, RewardInvalid):
            return f"{_where(moment)}: {moment.error.message}"
    return None


def _round_trip(evidence: Evidence) -> str | None:
    for moment in evidence.moments:
        if isinstance(moment.error, EncodingFailed):
            return f"{_where(moment)}: {moment.error}"
        if moment.json is None or moment.observation is None:
            continue
        warned = _warned(moment.observation)
        if warned is not None:
            return f"{_where(moment)}: {warned}"
        cls = type(moment.observation)
        try:
            read = to_json(cls.model_validate_json(moment.json))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            return f"{_where(moment)}: {cls.__name__} does not read what it wrote: {field}: {first['msg']}"
        if pydantic_core.from_json(read) != pydantic_core.from_json(moment.json):
            return f"{_where(moment)}: {cls.__name__} wrote {_short(moment.json)} and read it as {_short(read)}"
    return None


def _warned(observation: Observation) -> str | None:
    """What a server would warn of when it sends the observation, such as a number that is not finite."""
    sent = pydantic_core.from_json(http_observation(Observed(observation=observation), omit_empty=True))
    warnings = sent.get("metadata", {}).get("warnings")
    return warnings[0] if warnings else None


def _actions(evidence: Evidence) -> str | None:
    return evidence.bad_action


def _closes(evidence: Evidence) -> str | None:
    for name, play in evidence.plays.items():
        when = "before any reset" if name == "idle" else "after an episode"
        for which, error in ("", play.closing.first), ("a second time ", play.closing.second):
            if error is not None:
                return f"close, called {which}{when}, raised {type(error).__name__}: {error}"
    return None


def _threads(evidence: Evidence) -> str | None:
    return f"still running: {', '.join(evidence.threads)}" if evidence.threads else None


def _in_turn(evidence: Evidence) -> str | None:
    if evidence.bad_pair is not None:
        return f"a second one beside the first: {evidence.bad_pair}"
    if "turn-main" not in evidence.plays:
        raise NotTold("SUPPORTS_CONCURRENT_SESSIONS is not set")
    if _later_difference(evidence) is not None:
        raise NotTold("the same seed and actions give different episodes, so a difference would prove nothing")
    for alone, together, seed in ("again", "turn-main", evidence.seed), ("other", "turn-other", evidence.seed + 1):
        pairs = zip(evidence.plays[alone].trace(seed), evidence.plays[together].trace(seed), strict=False)
        for number, (expected, found) in enumerate(pairs):
            if expected[0] != found[0] or first_difference(expected[1], found[1], _volatile(evidence)) is not None:
                call = "reset" if number == 0 else f"step {number}"
                return f"{call} gave {_short(found[1])} beside another environment, {_short(expected[1])} alone"
    return None


def _metadata(evidence: Evidence) -> str | None:
    told = evidence.plays["main"].metadata
    if isinstance(told, OpenEnvError):
        return f"get_metadata raised {told.message}"
    return None if isinstance(told, EnvironmentMetadata) else f"get_metadata returned {_name(told)}"


def _manifest(evidence: Evidence) -> str | None:
    return manifest_fault(_package(evidence))


def _entry_point(evidence: Evidence) -> str | None:
    package = _package(evidence)
    if package.installed is None:
        raise NotTold(f"the package {package.module} is not installed")
    return entry_point_fault(package, evidence.spec)


def _deterministic(evidence: Evidence) -> str | None:
    if evidence.spec.plan is None or not evidence.spec.plan.deterministic:
        raise NotTold("deterministic is not set")
    difference = _later_difference(evidence)
    return None if difference is None else f"played twice, {difference}"


def _later_difference(evidence: Evidence) -> str | None:
    """Where an episode differs that was played in two instances."""
    volatile = _volatile(evidence)
    pairs = zip(evidence.plays["main"].episode(evidence.seed), evidence.plays["again"].moments, strict=False)
    for first, second in pairs:
        if type(first.error) is not type(second.error):
            return f"{_where(first)} gave {first.error or 'an observation'}, then {second.error or 'an observation'}"
        difference = first_difference(first.json, second.json, volatile)
        if difference is not None:
            return f"{_where(first)}: {difference}"
        if first.done is not second.done:
            return f"{_where(first)}: done was {first.done}, then {second.done}"
    return None


def _volatile(evidence: Evidence) -> frozenset[str]:
    return evidence.spec.plan.volatile if evidence.spec.plan is not None else frozenset()


def _restored(evidence: Evidence) -> str | None:
    plan, found = evidence.spec.plan, evidence.restoring
    if plan is None or not plan.snapshots:
        raise NotTold("it takes no snapshots")
    if found is None:
        raise NotTold("no step could be played")
    if found.failed is not None:
        return found.failed
    if _later_difference(evidence) is not None:
        raise NotTold("the same seed and actions give different episodes, so a difference would prove nothing")
    for number, ((kind, first), (other, second)) in enumerate(zip(found.original, found.restored, strict=True), 1):
        if kind != other:
            return f"step {number} after the snapshot gave {kind}, restored {other}"
        difference = first_difference(first, second, plan.volatile)
        if difference is not None:
            return f"step {number} after the snapshot: {difference}"
    return None


def _together(evidence: Evidence) -> str | None:
    plan = evidence.spec.plan
    if plan is None or not plan.batches:
        raise NotTold("it has no step_batch")
    if not evidence.batched:
        raise NotTold("SUPPORTS_CONCURRENT_SESSIONS is not set, or no step could be played")
    if _later_difference(evidence) is not None:
        raise NotTold("the same seed and actions give different episodes, so a difference would prove nothing")
    for name, answers in evidence.batched.items():
        for moment, (kind, found) in zip(evidence.plays[name].moments, answers, strict=True):
            if kind != kind_of(moment.error):
                return f"{_where(moment)} gave {kind_of(moment.error)} alone, and {kind} through step_batch"
            difference = first_difference(moment.json, found, plan.volatile)
            if difference is not None:
                return f"{_where(moment)}, first alone and then through step_batch: {difference}"
    return None


def _tool_results(evidence: Evidence) -> str | None:
    if not _has_tools(evidence):
        raise NotTold("it has no tools")
    return tool_fault(evidence)


_VERDICTS: Mapping[Rule, Callable[[Evidence], str | None]] = {
    Rule.R01: _usable,
    Rule.R02: _reset_type,
    Rule.R03: _step_type,
    Rule.R04: _runs,
    Rule.R05: _state,
    Rule.R06: _episode_id,
    Rule.R07: _step_count,
    Rule.R08: _same_seed,
    Rule.R09: _seeds_used,
    Rule.R10: _reward,
    Rule.R11: _round_trip,
    Rule.R12: _actions,
    Rule.R13: _closes,
    Rule.R14: _threads,
    Rule.R15: _in_turn,
    Rule.R16: _metadata,
    Rule.R17: _manifest,
    Rule.R18: _entry_point,
    Rule.R19: _deterministic,
    Rule.R20: _restored,
    Rule.R21: _together,
    Rule.R22: _tool_results,
}


def _package(evidence: Evidence) -> Package:
    found = None if evidence.cls is None else package_of(evidence.cls)
    if found is None:
        raise NotTold("the environment is in no package with an openenv.yaml")
    return found


def _some(operation: str, evidence: Evidence) -> list[Moment]:
    found = [moment for moment in evidence.moments if moment.operation == operation]
    if not found:
        raise NotTold(f"no {operation} could be played")
    return found


def _standing(evidence: Evidence) -> list[Moment]:
    """The calls after which there is a state to look at."""
    return [m for m in evidence.moments if isinstance(m.state, State) and not isinstance(m.error, ExecutionFailed)]


def _takes_seed(evidence: Evidence) -> bool:
    plan = evidence.spec.plan
    return plan is not None and (plan.reset.takes_any or "seed" in plan.reset.names)


def _first_reset(evidence: Evidence, name: str) -> Moment:
    return evidence.plays[name].moments[0]


def _has_tools(evidence: Evidence) -> bool:
    return evidence.spec.plan is not None and evidence.spec.plan.tools


def _difference(evidence: Evidence) -> str | None:
    """How the first observations of one seed differ, if they do."""
    first = _first_reset(evidence, "main").json
    used = [m for m in evidence.plays["main"].moments if m.operation == "reset"][-1]
    for where, found in ("another environment", _first_reset(evidence, "again").json), ("a used one", used.json):
        if found != first:
            return f"seed {evidence.seed} gave {_short(first)}, and in {where} {_short(found)}"
    return None


def _where(moment: Moment) -> str:
    call = "reset" if moment.operation == "reset" else f"step {moment.steps}"
    refused = " (refused)" if isinstance(moment.error, ActionInvalid) else ""
    return f"{call} with seed {moment.seed}{refused}"


def _name(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _short(encoded: bytes | None) -> str:
    text = "nothing" if encoded is None else encoded.decode()
    return text if len(text) <= 200 else f"{text[:197]}..."
