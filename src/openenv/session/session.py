"""One life of one environment: opened, asked in turn, closed once."""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from openenv.environment import Environment, EnvironmentPlan, KeywordFilter
from openenv.errors import ActionInvalid, EnvironmentFailure, ExecutionFailed, FactoryFailed, RewardInvalid
from openenv.protocol import Observed, Reset, StateIs, Step
from openenv.session.departed import Ending, lost
from openenv.session.executors import EnvironmentExit, Executor
from openenv.session.lifecycle import Operation, Phase, refusal
from openenv.session.once import KeyedRequests, NumberedRequests
from openenv.session.outcome import checked_state, observed
from openenv.session.placement import CLOSE, CREATE, RESET, STATE, STEP, Kind, Placement
from openenv.session.spec import AnyEnvironment, EnvironmentSpec

__all__ = ["Session"]

log = logging.getLogger("openenv.session")


class Session:
    """Server-side life of one environment. Requests take turns; every environment call goes to one executor.

    Made by ``Session.open``. After ``close`` every request is refused, with ``SessionClosed`` or, where it was not its
    client that closed it, with ``EpisodeLost``.

    Attributes:
        id: Its name; who knows it can send it single requests.
        token: What a connection has to show to go on with it.
        phase: Where it stands.
        requests: How many were asked of the environment.
        numbered: The requests that came over connections.
        keyed: Those that came with a key, as HTTP status and body.
        ending: Why it ended or is about to.
    """

    def __init__(self, spec: EnvironmentSpec, executor: Executor, environment: AnyEnvironment) -> None:
        self.id = secrets.token_hex(8)
        self.token = secrets.token_urlsafe(24)
        self.phase = Phase.FRESH
        self.requests = 0
        self.numbered: NumberedRequests[tuple[str | None, str | bytes | None]] = NumberedRequests()
        self.keyed: KeyedRequests[tuple[int, bytes]] = KeyedRequests()
        self.ending: Ending | None = None
        self._spec = spec
        self._executor = executor
        self._environment = environment
        self._plan = EnvironmentPlan.of(type(environment))
        self._turn = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None
        self._on_closed: list[Callable[[Session], None]] = []

    @staticmethod
    async def open(spec: EnvironmentSpec, executor: Executor) -> Session:
        """Build the environment where it is to live.

        Raises:
            FactoryFailed: Its constructor raised, or did not give an Environment.
        """
        try:
            environment = await executor.call(CREATE, spec.factory)
        except asyncio.CancelledError:
            await executor.stop()
            raise
        except BaseException as error:  # whatever the author's constructor raises, also sys.exit
            await executor.stop()
            log.exception("%s could not be built", spec.name)
            raised = error.raised if isinstance(error, EnvironmentExit) else error
            raise FactoryFailed(f"{spec.name} could not be built: {_told(raised)}") from raised
        if not isinstance(environment, Environment):
            await executor.stop()
            raise FactoryFailed(
                f"the factory of {spec.name} returned a {type(environment).__name__}, which is no Environment"
            )
        try:
            return Session(spec, executor, environment)
        except BaseException:  # a class that cannot be served
            await executor.call(CLOSE, environment.close)
            await executor.stop()
            raise

    @property
    def placement(self) -> Placement:
        """Where the environment lives."""
        return self._executor.placement

    @property
    def answers_at_once(self) -> bool:
        """Whether requests are answered without giving the event loop to others in between."""
        return self._executor.immediate

    @property
    def is_busy(self) -> bool:
        """Whether a request is running or waiting for its turn."""
        return self._turn.locked()

    @property
    def is_ending(self) -> bool:
        """Whether it was closed, or is about to be after the running request."""
        return self._closing is not None

    @property
    def plan(self) -> EnvironmentPlan:
        """What the environment's class takes."""
        return self._plan

    async def reset(self, request: Reset) -> Observed:
        """Begin an episode. A strict environment always gets a seed and an episode id, drawn if not given.

        Raises:
            ActionInvalid: An option that ``reset`` does not take.
            ExecutionFailed, ObservationInvalid, RewardInvalid: The environment's own failure.
        """
        async with self._turn:
            self._admit(Operation.RESET)
            seed, episode_id = request.seed, request.episode_id
            if self._plan.lifecycle == "strict":
                seed = secrets.randbits(32) if seed is None else seed
                episode_id = secrets.token_hex(8) if episode_id is None else episode_id
            keywords = self._keywords(self._plan.reset, {"seed": seed, "episode_id": episode_id}, request.options)
            self.phase = Phase.FRESH
            returned = await self._call(RESET, partial(self._reset, seed, keywords))
            reply = self._leave(returned, "reset")
            reply.seed, reply.episode_id = seed, episode_id
            return reply

    async def step(self, request: Step) -> Observed:
        """Take an action. An action that does not fit is refused before the environment moves.

        Raises:
            ResetNeeded, EpisodeDone, ActionInvalid: Refused; the environment did not move.
            ExecutionFailed: The environment raised.
            ObservationInvalid, RewardInvalid: The step has counted, its answer could not be used.
        """
        async with self._turn:
            self._admit(Operation.STEP)
            action = self._spec.parse_action(request.action)
            own = {} if request.timeout_s is None else {"timeout_s": request.timeout_s}
            keywords = self._keywords(self._plan.step, own, request.options) if own or request.options else {}
            returned = await self._call(STEP, partial(self._step, action, keywords))
            return self._leave(returned, "step")

    async def state(self) -> StateIs:
        """Where the episode stands.

        Raises:
            ExecutionFailed: ``state`` raised, or gave what is no state.
        """
        async with self._turn:
            self._admit(Operation.STATE)
            found = await self._call(STATE, lambda: self._environment.state)
            return StateIs(state=checked_state(found, self._plan.name))

    async def metadata(self) -> Any:
        """What the environment says of itself."""
        async with self._turn:
            self._admit(Operation.STATE)
            return await self._call(STATE, self._environment.get_metadata)

    def when_closed(self, callback: Callable[[Session], None]) -> None:
        """Have ``callback`` called once the environment is closed, whoever closes it and whether or not that raised."""
        self._on_closed.append(callback)

    def forget(self, callback: Callable[[Session], None]) -> None:
        """Do not call it any more."""
        if callback in self._on_closed:
            self._on_closed.remove(callback)

    async def turn(self) -> None:
        """Wait until the requests that came before have been answered."""
        async with self._turn:
            pass

    async def close(self, ending: Ending = Ending.CLOSED) -> None:
        """Close the environment after the running request, once; later calls wait for the same close.

        Args:
            ending: Why. The first one counts.

        Raises:
            ExecutionFailed: The environment's ``close`` raised. The session has ended all the same.
        """
        await asyncio.shield(self.begin_close(ending))

    def begin_close(self, ending: Ending) -> asyncio.Task[None]:
        """``close`` without waiting: the session is ending from now on; the task is done when it has."""
        if self._closing is None:
            self.ending = ending
            # a task of its own: a caller that is cancelled must not leave the environment half closed
            self._closing = asyncio.create_task(self._close())
        return self._closing

    async def _close(self) -> None:
        async with self._turn:
            self.phase = Phase.CLOSED
            try:
                await self._call(CLOSE, self._environment.close)
            finally:
                await self._executor.stop()
                for callback in list(self._on_closed):
                    callback(self)

    def _admit(self, operation: Operation) -> None:
        self.requests += 1
        if self.phase is Phase.CLOSED and self.ending not in (None, Ending.CLOSED):
            raise lost(self.ending)
        error = refusal(self._plan.lifecycle, self.phase, operation)
        if error is not None:
            raise error

    def _keywords(self, takes: KeywordFilter, own: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        """The keyword arguments of a call: ours where the signature takes them, the caller's options besides."""
        unknown = takes.unknown(options)
        if unknown and self._plan.lifecycle == "strict":
            known = ", ".join(sorted(takes.names)) or "none"
            raise ActionInvalid(
                f"{self._plan.name} does not take {', '.join(unknown)}; it takes: {known}",
                details={"errors": [{"loc": [n], "msg": "unexpected argument", "type": "extra"} for n in unknown]},
            )
        return takes.known({**options, **own})

    def _reset(self, seed: int | None, keywords: dict[str, Any]) -> Any:
        self._environment.reseed(seed)
        act = self._environment.reset_async if self._plan.is_async else self._environment.reset
        return _transformed(act(**keywords), self._environment)

    def _step(self, action: Any, keywords: dict[str, Any]) -> Any:
        act = self._environment.step_async if self._plan.is_async else self._environment.step
        return _transformed(act(action, **keywords), self._environment)

    async def _call(self, kind: Kind, function: Callable[[], Any]) -> Any:
        try:
            return await self._executor.call(kind, function)
        except (EnvironmentFailure, asyncio.CancelledError):
            raise
        except BaseException as error:  # whatever the author's code raises, also sys.exit
            raised = error.raised if isinstance(error, EnvironmentExit) else error
            log.debug("%s raised", self._plan.name, exc_info=raised)
            raise ExecutionFailed(_told(raised), details={"exception": type(raised).__name__}) from raised

    def _leave(self, returned: Any, operation: str) -> Observed:
        self.phase = Phase.RUNNING  # it has moved, whatever it returned
        try:
            reply = observed(returned, operation)
        except RewardInvalid as error:
            self.phase = Phase.DONE if error.details["done"] else Phase.RUNNING
            raise
        if reply.done:
            self.phase = Phase.DONE
        return reply


def _transformed(returned: Any, environment: AnyEnvironment) -> Any:
    """The environment's transform applied to what it returned, now or when it was awaited."""
    if environment.transform is None:
        return returned
    if inspect.isawaitable(returned):
        return _transformed_later(returned, environment.transform)
    return environment.transform(returned)


async def _transformed_later(returned: Any, transform: Callable[[Any], Any]) -> Any:
    return transform(await returned)


def _told(error: BaseException) -> str:
    """An error of the author's code in one line: its type and its text."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
