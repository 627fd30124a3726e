"""One environment driven as a server drives it, with a note of all that came back."""

from __future__ import annotations

import inspect
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import msgspec
from pydantic import BaseModel

from openenv.errors import ActionInvalid, OpenEnvError
from openenv.protocol import EncodingFailed, Reset, Step, to_json
from openenv.session import AnyEnvironment, EnvironmentSpec, Session, SessionEngine

__all__ = ["Closing", "Moment", "Player"]


@dataclass(frozen=True)
class Moment:
    """One call of ``reset`` or ``step``, and what followed.

    Attributes:
        operation: ``reset`` or ``step``.
        seed, episode_id: Those of the episode.
        steps: Steps that were taken since the reset.
        observation: What the author's method returned; ``None`` where the call failed.
        json: The observation as it was then, reward and all; ``None`` where there is none or it has no JSON form.
        error: Why the call failed, or why the observation has no JSON form.
        state: The state afterwards, or the error that came instead.
        rng_state: State of the environment's own ``rng``, where a reset is seeded through it.
        done: Whether the episode is over.
    """

    operation: str
    seed: int
    episode_id: str
    steps: int
    observation: Any
    json: bytes | None
    error: Exception | None
    state: Any
    rng_state: Any
    done: bool


@dataclass
class Closing:
    """How an environment closed.

    Attributes:
        first, second: What the two calls raised, if anything.
    """

    first: BaseException | None = None
    second: BaseException | None = None

    def close_twice(self, close: Callable[[], Any]) -> Any:
        """Call ``close`` twice, or return what has to be awaited for it."""
        returned, self.first = _tried(close)
        if inspect.isawaitable(returned):
            return self._await_twice(returned, close)
        self.second = _tried(close)[1]
        return None

    async def _await_twice(self, returned: Awaitable[Any], close: Callable[[], Any]) -> None:
        self.first = await _awaited(returned)
        again, self.second = _tried(close)
        if inspect.isawaitable(again):
            self.second = await _awaited(again)


def _tried(close: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return close(), None
    except BaseException as error:  # noqa: BLE001 - whatever the author's close raises is what is looked for
        return None, error


async def _awaited(returned: Awaitable[Any]) -> BaseException | None:
    try:
        await returned
    except Exception as error:  # noqa: BLE001 - whatever the author's close raises is what is looked for
        return error
    return None


class Player:
    """Drives one session of an environment. ``await Player.open(spec)`` makes one.

    Attributes:
        moments: All calls so far.
    """

    def __init__(self, engine: SessionEngine, session: Session, environment: AnyEnvironment) -> None:
        self.moments: list[Moment] = []
        self._engine = engine
        self._session = session
        self._environment = environment
        self._seed, self._episode_id, self._steps = 0, "", 0

    @classmethod
    async def open(cls, spec: EnvironmentSpec) -> Self:
        """Build the environment; raises ``FactoryFailed``."""
        built: list[AnyEnvironment] = []

        def build() -> AnyEnvironment:
            built.append(spec.factory())
            return built[-1]

        engine = SessionEngine(replace(spec, factory=build))
        return cls(engine, await engine.open(), built[-1])

    @property
    def environment_class(self) -> type[AnyEnvironment]:
        """The class of the environment."""
        return type(self._environment)

    async def reset(self, seed: int) -> Moment:
        """Begin an episode with that seed, named after it."""
        self._seed, self._episode_id, self._steps = seed, f"episode-{seed}", 0
        return await self._note("reset", Reset(seed=seed, episode_id=self._episode_id))

    async def step(self, action: bytes) -> Moment:
        """Take an action, given as JSON."""
        return await self._note("step", Step(action=msgspec.Raw(action)))

    async def state(self) -> Any:
        """The state, or the error that came instead."""
        try:
            state = (await self._session.state()).state
            return state.model_copy() if isinstance(state, BaseModel) else state  # authors change theirs in place
        except OpenEnvError as error:
            return error

    async def metadata(self) -> Any:
        """What the environment says of itself, or the error that came instead."""
        try:
            return await self._session.metadata()
        except OpenEnvError as error:
            return error

    async def tools(self) -> list[dict[str, Any]]:
        """The tools that there are now, as MCP lists them; those of a search too."""
        listed: list[dict[str, Any]] = (await self._session.offer("tools/list", {"all": True}))["tools"]
        return listed

    async def close(self) -> Closing:
        """Close the environment, twice."""
        closing = Closing()
        both = partial(closing.close_twice, self._environment.close)
        self._environment.close = both  # type: ignore[method-assign]  # the session calls it where the environment lives
        await self._session.close()
        return closing

    async def _note(self, operation: str, request: Reset | Step) -> Moment:
        error: Exception | None = None
        observation, encoded, done = None, None, False
        try:
            if isinstance(request, Reset):
                reply = await self._session.reset(request)
            else:
                reply = await self._session.step(request)
            observation, done = reply.observation, reply.done
            encoded = to_json(observation)
        except OpenEnvError as raised:
            error, done = raised, bool(raised.details.get("done"))
        except EncodingFailed as raised:
            error = raised
        if operation == "step" and not isinstance(error, ActionInvalid):  # a refused action moved nothing
            self._steps += 1
        moment = Moment(
            operation, self._seed, self._episode_id, self._steps,
            observation, encoded, error, await self.state(), self._rng_state(operation), done,
        )  # fmt: skip
        self.moments.append(moment)
        return moment

    def _rng_state(self, operation: str) -> Any:
        if operation != "reset" or self._session.plan.lifecycle == "lenient":  # those seed themselves
            return None
        rng = self._environment.rng
        return rng.getstate() if isinstance(rng, random.Random) else None
