"""The asynchronous client of one session."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from openenv.client.address import Address
from openenv.client.async_playing import AsyncPlaying
from openenv.client.options import MAX_MESSAGE_BYTES, ClientOptions, Closable, types_of, with_token
from openenv.client.values import Values
from openenv.protocol import AgentGranted, GetOutcome, GetState, GrantAgent, Hello, OutcomeIs
from openenv.types import ActT, ObsT, StateT, StepResult

if TYPE_CHECKING:
    from openenv.client.agent_access import AgentAccess
    from openenv.client.outcome import EpisodeOutcome
    from openenv.client.sync_client import SyncEnvClient

__all__ = ["EnvClient", "GenericEnvClient"]

_TYPE_NAMES = ("action_type", "observation_type", "state_type")


class EnvClient(AsyncPlaying[ActT, ObsT, StateT]):
    """Plays one session of a served environment.

    Example::

        async with EnvClient("http://localhost:8000") as env:
            result = await env.reset(seed=7)
            result = await env.step({"message": "hello"})

    A subclass that names its types gets and gives them instead of dictionaries::

        class EchoClient(EnvClient[EchoAction, EchoObservation, EchoState]): ...

    One request at a time; use one client per session for several. If the connection breaks, the client connects
    again, resumes its session and asks again for the answer it waits for; nothing runs twice. Only if that does not
    succeed, or the request is given up, the episode is lost: the request and all that follow raise ``EpisodeLost``,
    until ``reset`` begins a new one. With a server of protocol v1 every break has that end.

    After a time-out or a cancellation the server may still be closing the old session; if it has no other place,
    ``reset`` tries again with growing pauses, for ``connect_timeout_s`` in all, before it raises
    ``CapacityReached``.

    Args:
        base_url: Address of the server, ``http(s)://`` or ``ws(s)://``.
        action_type, observation_type, state_type: pydantic models; by default those of the subclass.
        connect_timeout_s: Seconds to wait for the connection.
        message_timeout_s: Seconds to wait for any answer; ``None``: as long as the connection lives.
        max_message_bytes: Largest message taken from the server.
        headers: Additional headers of the handshake.
        token: What a server that was started with ``--auth`` wants to see: the orchestrator's.
        owned: Something to end together with the client, such as a server started for it.
        reconnect_timeout_s: Seconds without a connection after which a break is final; 0: every break is.
        liveness_timeout_s: Seconds of silence, while an answer is waited for, until the server is pinged; after as
            many again without a sign of life the client connects anew.
        queue_timeout_s: Seconds to wait for a place where all are taken; 0: raise ``CapacityReached`` at once.
        on_queued: Is called with the position in that queue, 1 is next; it must not block.
    """

    action_type: type[Any] | None = None
    observation_type: type[Any] | None = None
    state_type: type[Any] | None = None

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        for name, found in zip(_TYPE_NAMES, types_of(cls, EnvClient), strict=True):
            if found is not None and name not in cls.__dict__:
                setattr(cls, name, found)

    @property
    def __orig_class__(self) -> Any:
        """What ``EnvClient[A, O, S](url)`` was written as; ``typing`` sets it after the constructor."""
        return self._written_as

    @__orig_class__.setter
    def __orig_class__(self, written: Any) -> None:
        self._written_as = written
        for name, found in zip(_TYPE_NAMES, types_of(written, EnvClient), strict=True):
            if getattr(self.options.values, name) is None:
                setattr(self.options.values, name, found)

    def __init__(
        self,
        base_url: str,
        *,
        action_type: type[ActT] | None = None,
        observation_type: type[ObsT] | None = None,
        state_type: type[StateT] | None = None,
        connect_timeout_s: float = 10.0,
        message_timeout_s: float | None = None,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        owned: Closable | None = None,
        reconnect_timeout_s: float = 60.0,
        liveness_timeout_s: float = 20.0,
        queue_timeout_s: float = 0.0,
        on_queued: Callable[[int], object] | None = None,
    ) -> None:
        options = ClientOptions(
            address=Address.parse(base_url),
            values=self.values_for(
                action_type or self.action_type,
                observation_type or self.observation_type,
                state_type or self.state_type,
            ),
            connect_timeout_s=connect_timeout_s,
            message_timeout_s=message_timeout_s,
            max_message_bytes=max_message_bytes,
            headers=with_token(headers, token),
            owned=owned,
            reconnect_timeout_s=reconnect_timeout_s,
            liveness_timeout_s=liveness_timeout_s,
            queue_timeout_s=queue_timeout_s,
            on_queued=on_queued,
        )
        super().__init__(options)

    @property
    def hello(self) -> Hello | None:
        """What the server said of itself and its limits; ``None`` while not connected, and from protocol v1."""
        return self._conversation.hello

    def values_for(
        self, action: type[Any] | None, observation: type[Any] | None, state: type[Any] | None
    ) -> Values[ActT, ObsT, StateT]:
        """How values become JSON and come back."""
        return Values(action, observation, state)

    async def connect(self) -> Self:
        """Connect and open the session, unless that is done already. The first request does it too.

        Raises:
            ConnectFailed: The server cannot be reached.
            CapacityReached, FactoryFailed: It has no session for us.
        """
        await self._call(self._conversation.connect())
        return self

    async def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        *,
        timeout_s: float | None = None,
        **options: Any,
    ) -> StepResult[ObsT]:
        """Begin an episode.

        Args:
            seed: Seed of everything random in it, 0 to 2**63 - 1; drawn by the server if ``None``.
            episode_id: Name of the episode, at most 255 characters; drawn by the server if ``None``.
            **options: Options of the environment's own.
        """
        request = self._conversation.reset(seed, episode_id, timeout_s, options)
        return self._conversation.result(await self._ask(request, timeout_s))

    async def step(self, action: ActT, timeout_s: float | None = None, **options: Any) -> StepResult[ObsT]:
        """Take an action.

        Args:
            action: The action, a model or a mapping.
            timeout_s: Seconds to wait for the answer; after that the episode is lost.
            **options: Options of the environment's own.

        Raises:
            EpisodeLost: The episode is gone, now or since an earlier call.
            ActionInvalid, ResetNeeded, EpisodeDone: Refused; the environment did not move.
        """
        request = self._conversation.step(action, timeout_s, options)
        return self._conversation.result(await self._ask(request, timeout_s))

    async def state(self) -> StateT:
        """Where the episode stands."""
        return self._conversation.state(await self._call(self._conversation.ask(GetState(), None)))

    async def outcome(self) -> EpisodeOutcome:
        """What has come of the episode so far, whoever took its steps.

        Raises:
            EpisodeLost: The episode was lost, and with it the session that could tell, for instance since a call was
                given up. Where the session is there, the phase is ``lost``.
            LocalProtocolError: The server is too old to tell.
        """
        from openenv.client.outcome import outcome_of  # here: most clients never ask

        reply = await self._call(self._conversation.ask(GetOutcome(), None))
        return outcome_of(self._conversation.expected(reply, OutcomeIs))

    async def agent_access(self) -> AgentAccess:
        """What an agent needs to play the running episode over MCP, or the first if none was begun.

        It is good until the next reset.

        Raises:
            LocalProtocolError: The server has no such endpoint.
        """
        from openenv.client.agent_access import access_of  # here: most clients never ask

        reply = await self._call(self._conversation.ask(GrantAgent(), None))
        return access_of(self.options.address, self._conversation.expected(reply, AgentGranted))

    async def fork(self) -> Self:
        """Another client, whose session begins where this one stands; both go on by themselves.

        It takes a place of its own and is to be closed like any client.

        Raises:
            NotRestorable: The environment's class neither is deterministic nor takes snapshots.
            CapacityReached: There is no place for it.
            EpisodeLost: There is nothing to fork.
        """
        twin = copy.copy(self)
        twin.options = replace(self.options, owned=None)
        twin._conversation, twin._socket = self._conversation.branch(twin.options), None
        twin._turn_ended = twin._woken = None
        return await twin.connect()

    def sync(self) -> SyncEnvClient[ActT, ObsT, StateT]:
        """A synchronous client of the same server, with the same types and a session of its own."""
        from openenv.client.sync_client import SyncEnvClient

        return SyncEnvClient(self)

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class GenericEnvClient(EnvClient[dict[str, Any], dict[str, Any], dict[str, Any]]):
    """A client without types: actions, observations and states are dictionaries."""
