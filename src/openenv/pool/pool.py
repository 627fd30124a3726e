"""``EnvPool``: many sessions over one or more servers, stepped together."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, Self

from openenv.client import AgentAccess, EnvClient, EpisodeOutcome
from openenv.client.agent_access import access_of
from openenv.client.asking import check_time
from openenv.client.options import MAX_MESSAGE_BYTES, with_token
from openenv.client.outcome import outcome_of
from openenv.errors import ConfigurationError, LocalProtocolError, OpenEnvError, SessionClosed
from openenv.pool.asking import chosen, reset_requests, step_requests
from openenv.pool.call import Call
from openenv.pool.endpoint import Endpoint
from openenv.pool.events import PoolEvent, Teller
from openenv.pool.metrics import PoolMetrics, Tally
from openenv.pool.options import OnError, PoolOptions, Target, client_of
from openenv.pool.placement import Placement
from openenv.pool.results import PoolResult, ResetResult, VectorResult
from openenv.pool.seat import Seat
from openenv.pool.terms import Autoreset, Terms
from openenv.protocol import GetOutcome, GetState, GrantAgent
from openenv.types import ActT, ObsT, StateT, StepResult

__all__ = ["EnvPool"]

_SERVER_KEEPS_S = 5.0
"""Seconds that a server which keeps the time of a request itself may take to end it."""


class EnvPool(Generic[ActT, ObsT, StateT]):
    """Plays many sessions at once, over one connection to each server.

    Example::

        async with EnvPool("http://localhost:8000", sessions=64) as pool:
            result = await pool.reset(seed=7)
            while not all(result.dones):
                result = await pool.step(choose(result.observations))

    Each session is known by its index, from 0. A session stays on its server while its episode runs; broken
    connections are mended as ``EnvClient`` does it. If the server is gone for good its episodes are lost
    (``EpisodeLost``), and their next ones begin on other servers; one that comes back is used again.

    Calls may overlap if they are about different sessions.

    Args:
        endpoints: Addresses of servers, or clients that were not used yet, as ``make`` gives them: the pool takes over
            their address, types and the server started for them.
        sessions: How many there are.
        client: A class of clients, whose types are used; by default values are dictionaries.
        autoreset: What a step does where an episode is over, as in Gymnasium. ``disabled``: you reset. ``next_step``:
            the step after its end begins the next episode; its action is not used. ``same_step``: the step that ends
            it begins the next one, whose first observation it gives; the last one is ``infos["final_obs"]``.
        prefetch_resets: Whether an episode that ended is followed by the next at once, while you think. A reset
            without a seed, or a step with ``next_step``, then finds it begun; ``states`` tells of it already.
        on_error: ``raise``: after all have answered, the first error, which names the others; what came is ``last``.
            ``return``: errors are those of the result.
        connections: How many to each server.
        queue_timeout_s: Seconds that an episode may wait for a place where all are taken.
        on_progress: Told what happens meanwhile; it must not block.
        headers, token, connect_timeout_s, message_timeout_s, max_message_bytes, reconnect_timeout_s,
            liveness_timeout_s: As for ``EnvClient``, of endpoints that are addresses.

    Attributes:
        last: What the last call that ended gave, also if it raised.

    Raises:
        ConfigurationError: One of these is no good.
    """

    def __init__(
        self,
        *endpoints: Target,
        sessions: int,
        client: type[EnvClient[ActT, ObsT, StateT]] | None = None,
        autoreset: Autoreset = "disabled",
        prefetch_resets: bool = False,
        on_error: OnError = "raise",
        connections: int = 1,
        queue_timeout_s: float = 60.0,
        on_progress: Callable[[PoolEvent], object] | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        connect_timeout_s: float = 10.0,
        message_timeout_s: float | None = None,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        reconnect_timeout_s: float = 60.0,
        liveness_timeout_s: float = 20.0,
    ) -> None:
        self.options = PoolOptions(
            sessions=sessions,
            client=client,
            autoreset=autoreset,
            prefetch_resets=prefetch_resets,
            on_error=on_error,
            connections=connections,
            queue_timeout_s=queue_timeout_s,
            on_progress=on_progress,
            headers=with_token(headers, token),
            connect_timeout_s=connect_timeout_s,
            message_timeout_s=message_timeout_s,
            max_message_bytes=max_message_bytes,
            reconnect_timeout_s=reconnect_timeout_s,
            liveness_timeout_s=liveness_timeout_s,
        )
        self._tell = Teller(on_progress)
        if not endpoints:
            raise ConfigurationError("a pool needs an endpoint; write it like EnvPool('http://localhost:8000', ...)")
        self._endpoints = [
            Endpoint(
                client_of(target, self.options),
                connections,
                None if isinstance(target, str) else target.options.owned,
                self._tell,
            )
            for target in endpoints
        ]
        self._tally = Tally()
        terms = Terms(
            placement=Placement(self._endpoints),
            tally=self._tally,
            autoreset=autoreset,
            prefetch_resets=prefetch_resets,
            queue_timeout_s=queue_timeout_s,
            tell=self._tell,
            clock=time.monotonic,
            chance=random.random,
        )
        self._seats = [Seat(index, terms) for index in range(sessions)]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._is_closed = False
        self.last: PoolResult[ObsT] | None = None

    def __len__(self) -> int:
        return len(self._seats)

    async def connect(self) -> Self:
        """Reach the servers, unless that is done. Sessions are opened when they are first reset.

        Raises:
            ConnectFailed: None can be reached. If some cannot, they are tried again meanwhile.
        """
        if self._is_closed:
            raise SessionClosed("this pool was closed; make another one")
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if self._loop is not loop:
            raise LocalProtocolError("this pool is used in another event loop; make another pool in this one")
        if self._connecting is None or (self._connecting.done() and _failed(self._connecting)):
            self._connecting = asyncio.create_task(self._connect())
        if not self._connecting.done():
            await asyncio.shield(self._connecting)
        return self

    async def close(self) -> None:
        """End all sessions and what was started for the pool. Who waits is told ``SessionClosed``."""
        if self._is_closed:
            return
        self._is_closed = True
        for seat in self._seats:
            seat.close()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        await asyncio.gather(*(endpoint.close() for endpoint in self._endpoints))

    async def __aenter__(self) -> Self:
        try:
            return await self.connect()
        except BaseException:
            await self.close()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Episodes ------------------------------------------------------------------------------------

    async def reset(
        self,
        seed: int | Sequence[int | None] | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        indices: Sequence[int] | Sequence[bool] | None = None,
        timeout_s: float | None = None,
    ) -> ResetResult[ObsT]:
        """Begin an episode in every session, or in those of ``indices``.

        Args:
            seed: An integer: session ``i`` gets ``seed + i``. A sequence: one for each that is reset, in order.
                ``None``: the servers draw them.
            options: Options of the environment's own, for all of them.
            indices: Which sessions; or a mask, one bool for each session of the pool.
            timeout_s: Seconds an environment has for it.
        """
        at = chosen(indices, len(self._seats))
        requests = reset_requests(seed, options, at, timeout_s)
        return await self._reset(at, requests, timeout_s)

    async def reset_group(
        self,
        seed: int,
        n: int,
        *,
        options: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
    ) -> ResetResult[ObsT]:
        """Begin the same episode, by its seed, in ``n`` sessions in which none is running: a group, as for GRPO.

        Returns:
            The first results; ``indices`` are those of the group, to be stepped by.

        Raises:
            LocalProtocolError: Not so many sessions are free.
        """
        free = [seat.index for seat in self._seats if seat.is_free]
        if not 1 <= n <= len(free):
            raise LocalProtocolError(
                f"a group of {n} needs as many sessions without a running episode; {len(free)} of {len(self)} are free"
            )
        at = free[:n]
        return await self._reset(at, reset_requests([seed] * n, options, at, timeout_s), timeout_s)

    async def step(
        self,
        actions: Sequence[ActT] | Mapping[int, ActT],
        *,
        indices: Sequence[int] | Sequence[bool] | None = None,
        timeout_s: float | None = None,
    ) -> VectorResult[ObsT]:
        """Take an action in every session, or in those of ``indices``, and wait for all answers.

        Args:
            actions: One for each session that is stepped, in order; an array's first axis is that. Or a dict of them
                by index.
            indices: Which sessions; or a mask, one bool for each session of the pool.
            timeout_s: Seconds that an environment has for it; where it takes longer the episode is lost.

        Raises:
            OpenEnvError: With ``on_error="raise"``, the first error there was; ``last`` has what the others answered.
        """
        call = await self._ask_step(actions, indices, timeout_s)
        await call.all()
        result: VectorResult[ObsT] = VectorResult(call.indices, call.results, call.errors)
        self._tell_last(result)
        return result

    async def as_completed(
        self,
        actions: Sequence[ActT] | Mapping[int, ActT],
        *,
        indices: Sequence[int] | Sequence[bool] | None = None,
        timeout_s: float | None = None,
    ) -> AsyncIterator[tuple[int, StepResult[ObsT] | OpenEnvError]]:
        """Take actions as ``step`` does, and give each answer when it comes, with the index of its session.

        A session that has answered may be asked again meanwhile. With ``on_error="raise"`` errors are raised after the
        last answer; else an error is given like an answer, and where a session has both, as with ``same_step``, before
        it. Who stops reading before loses the episodes that have not answered.
        """
        call = await self._ask_step(actions, indices, timeout_s)
        answers = call.as_completed()
        try:
            async for position in answers:
                error, result = call.errors[position], call.results[position]
                if error is not None and self.options.on_error == "return":
                    yield call.indices[position], error
                if result is not None:
                    yield call.indices[position], result
        finally:
            await answers.aclose()
        self._tell_last(VectorResult(call.indices, call.results, call.errors))

    async def states(self, *, indices: Sequence[int] | Sequence[bool] | None = None) -> list[StateT]:
        """Where the episodes stand; raises the first error there is."""
        return await (await self._new_call(chosen(indices, len(self._seats)), None)).looked(GetState)

    async def outcomes(self, *, indices: Sequence[int] | Sequence[bool] | None = None) -> list[EpisodeOutcome]:
        """What has come of the episodes so far, whoever took their steps; raises the first error there is."""
        call = await self._new_call(chosen(indices, len(self._seats)), None)
        return [outcome_of(told) for told in await call.looked(GetOutcome)]

    async def agent_access(self, *, indices: Sequence[int] | Sequence[bool] | None = None) -> list[AgentAccess]:
        """What agents need to play the running episodes over MCP; raises the first error there is."""
        call = await self._new_call(chosen(indices, len(self._seats)), None)
        granted = await call.looked(GrantAgent)
        return [access_of(self._seats[at].address, one) for at, one in zip(call.indices, granted, strict=True)]

    def metrics(self) -> PoolMetrics:
        """What was done so far, and how fast."""
        return self._tally.metrics(
            sessions=sum(endpoint.sessions for endpoint in self._endpoints),
            in_flight=sum(endpoint.unanswered for endpoint in self._endpoints),
            reconnects=sum(endpoint.reconnects for endpoint in self._endpoints),
        )

    # ---------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        came = await asyncio.gather(*(one.connect() for one in self._endpoints), return_exceptions=True)
        failures = [error for error in came if error is not None]
        foreign = [error for error in failures if not isinstance(error, OpenEnvError)]
        if foreign or len(failures) == len(came):
            raise (foreign or failures)[0]
        for endpoint, error in zip(self._endpoints, came, strict=True):
            if error is not None:
                endpoint.await_return()

    async def _reset(self, at: list[int], requests: list[Any], timeout_s: float | None) -> ResetResult[ObsT]:
        call = await self._new_call(at, timeout_s, opens_s=self.options.queue_timeout_s)
        for position, (index, request) in enumerate(zip(at, requests, strict=True)):
            self._seats[index].reset(request, call.deliver(position))
        await call.all()
        result: ResetResult[ObsT] = ResetResult(at, call.results, call.errors)
        self._tell_last(result)
        return result

    async def _ask_step(self, actions: Any, indices: Any, timeout_s: float | None) -> Call:
        at, requests = step_requests(actions, indices, len(self._seats), timeout_s)
        call = await self._new_call(at, timeout_s)
        for position, (index, request) in enumerate(zip(at, requests, strict=True)):
            self._seats[index].step(request, call.deliver(position))
        return call

    async def _new_call(self, at: list[int], timeout_s: float | None, opens_s: float = 0.0) -> Call:
        check_time(timeout_s)
        await self.connect()
        limit_s = self._endpoints[0].options.message_timeout_s if timeout_s is None else timeout_s
        if limit_s is not None:
            limit_s += opens_s + (0.0 if timeout_s is None else _SERVER_KEEPS_S)
        return Call([self._seats[index] for index in at], limit_s, self._tell)

    def _tell_last(self, result: PoolResult[ObsT]) -> None:
        self.last = result
        if self.options.on_error == "raise":
            result.raise_errors()


def _failed(connecting: asyncio.Task[None]) -> bool:
    return connecting.cancelled() or connecting.exception() is not None
