"""``check_env``: play an environment, and say which rules it breaks and how to mend it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from openenv.errors import ConfigurationError, OpenEnvError
from openenv.session import AnyEnvironment
from openenv.testing.evidence import Actions, Declared, Evidence, Settings, declared, gather
from openenv.testing.rules import Rule
from openenv.testing.verdicts import NotTold, wrong

__all__ = ["ContractBroken", "Report", "check_env", "declared_by", "evidence_of", "hold"]

_T = TypeVar("_T")


@dataclass(frozen=True)
class Report:
    """How an environment did.

    Attributes:
        name: Name of its class.
        broken: What is wrong, for each broken rule.
        not_told: Why it could not be told, for each rule that found nothing to look at.
        steps: Steps that were played, over all episodes.
        episodes: Episodes that were begun.
        reached_done: Whether an episode came to its end.
    """

    name: str
    broken: dict[Rule, str]
    not_told: dict[Rule, str]
    steps: int
    episodes: int
    reached_done: bool

    def __str__(self) -> str:
        """A line for each broken rule, or one that says that all is well."""
        if self.broken:
            return "\n".join(_told(self.name, rule, what) for rule, what in self.broken.items())
        end = "with" if self.reached_done else "without"
        return f"{self.name} keeps all rules: {self.episodes} episodes, {self.steps} steps, {end} an end"


class ContractBroken(OpenEnvError, AssertionError):
    """An environment breaks rules of the contract; one line for each, with the way to mend it.

    Attributes:
        report: Everything that was found.
    """

    def __init__(self, report: Report) -> None:
        super().__init__(str(report))
        self.report = report

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.report,)


def check_env(
    env: Callable[[], AnyEnvironment],
    *,
    steps: int = 50,
    episodes: int = 2,
    seed: int = 0,
    actions: Actions | None = None,
    action_cls: type[BaseModel] | None = None,
    observation_cls: type[BaseModel] | None = None,
) -> Report:
    """Play an environment as a server does and hold it to every ``Rule``.

    About six instances are built. Nothing is served; ``EnvironmentContract`` does that too.

    Args:
        env: The environment class, or a function that makes one.
        steps: Most steps of an episode, 1 or more.
        episodes: Episodes of the longest play, 1 or more.
        seed: Seed of the first episode, 0 or more; the next ones have the next seeds.
        actions: Makes an action, a model or a mapping, from a ``random.Random``, and from it alone. By default actions
            are drawn from the action's schema.
        action_cls, observation_cls: Its models, where the class does not name them.

    Returns:
        What was played and what could not be told.

    Raises:
        ContractBroken: Rules are broken; its ``report`` has all of them.
        ConfigurationError: ``env`` is an instance, cannot be called, or a number is out of range.
    """
    settings = Settings(steps, episodes, seed, actions, action_cls, observation_cls)
    report = _report(evidence_of(env, settings))
    if report.broken:
        raise ContractBroken(report)
    return report


def declared_by(env: Callable[[], AnyEnvironment], settings: Settings) -> Declared:
    """``declared`` from synchronous code, also while an event loop runs in this thread."""
    return _run(declared(env, settings))


def evidence_of(env: Callable[[], AnyEnvironment], settings: Settings) -> Evidence:
    """``gather`` from synchronous code, also while an event loop runs in this thread."""
    if settings.steps < 1 or settings.episodes < 1 or settings.seed < 0:
        raise ConfigurationError("steps and episodes must be 1 or more, seed 0 or more")
    return _run(gather(env, settings))


def hold(rule: Rule, evidence: Evidence) -> str | None:
    """Hold an environment to one rule.

    Returns:
        Why it could not be told; ``None`` where the rule is kept.

    Raises:
        ContractBroken: The rule is broken.
    """
    report = _report(evidence, (rule,))
    if report.broken:
        raise ContractBroken(report)
    return report.not_told.get(rule)


def _report(evidence: Evidence, rules: tuple[Rule, ...] = tuple(Rule)) -> Report:
    broken, not_told = {}, {}
    for rule in rules:
        try:
            what = wrong(rule, evidence)
        except NotTold as error:
            not_told[rule] = str(error)
        else:
            if what is not None:
                broken[rule] = what
    return Report(
        name=evidence.spec.name,
        broken=broken,
        not_told=not_told,
        steps=sum(moment.operation == "step" for moment in evidence.moments),
        episodes=sum(moment.operation == "reset" for moment in evidence.moments),
        reached_done=any(moment.done for moment in evidence.moments),
    )


def _told(name: str, rule: Rule, what: str) -> str:
    one_line = " ".join(what.split())
    return f"{name} breaks {rule.name} ({rule.says.rstrip('.')}): {one_line}. To mend it, {rule.mend}."


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as one:  # a loop runs here, as in a notebook: this one needs a thread of its own
        return one.submit(asyncio.run, work).result()
