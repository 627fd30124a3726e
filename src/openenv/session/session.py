"""One life of one environment: opened, asked in turn, closed once."""

from __future__ import annotations

import asyncio
import functools
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from openenv.environment import EnvironmentPlan
from openenv.protocol import Failed, Observed, OutcomeIs, Reset, StateIs, Step
from openenv.session.episode.agent_key import AgentKey
from openenv.session.episode.branching import Branch, branch_of, follow
from openenv.session.episode.calls import Call, Watcher
from openenv.session.episode.chronicle import digest, token_of
from openenv.session.episode.departed import Ending, gone
from openenv.session.episode.episode import Episode
from openenv.session.episode.lifecycle import Operation, Phase
from openenv.session.episode.survivor import Home
from openenv.session.hosting.host import Host
from openenv.session.hosting.placement import Placement
from openenv.session.once import KeyedRequests, NumberedRequests
from openenv.session.served.tool_actions import asks_for_list
from openenv.session.turn import Turn

if TYPE_CHECKING:
    from openenv.session.tool_calls import ToolCalls

__all__ = ["Session"]


class Session:
    """Server-side life of one environment. Requests take turns; every call goes to one host.

    After ``close`` every request is refused, with ``SessionClosed`` or, where it was not its
    client that closed it, with ``EpisodeLost``.

    Attributes:
        id: Its name; who knows it can send it single requests.
        token: What a connection has to show to go on with it.
        token_digest: All that is known of the token where another server made it.
        episode: The running episode, and the environment.
        has_tools: Whether the environment is acted in by calling tools.
        recalled: Answers of before the server was started again, by idempotency key.
        requests: How many were asked of the environment.
        unbegun: Requests that were taken in and have not come to wait for their turn yet.
        numbered: The requests that came over connections.
        keyed: Those that came with a key, as HTTP status and body.
        ending: Why it ended or is about to.

    Args:
        host: Where its environment lives.
        home: Gives it another one when that is lost.
        session_id: Its name; drawn if empty.
        nonce: What it was opened with; its token follows from it, so that it can be told again.
    """

    def __init__(self, host: Host, home: Home, *, session_id: str = "", nonce: str = "") -> None:
        self.id = session_id or secrets.token_hex(8)
        self.token = token_of(nonce, self.id) if nonce else secrets.token_urlsafe(24)
        self.token_digest = digest(self.token)
        self.episode = Episode(host, home, self.id)
        self.has_tools = host.plan.tools
        self.recalled: dict[str, Observed | Failed] = {}
        self.requests = 0
        self.unbegun = 0
        self.numbered: NumberedRequests[tuple[str | None, str | bytes | None]] = NumberedRequests()
        self.keyed: KeyedRequests[tuple[int, bytes]] = KeyedRequests()
        self.ending: Ending | None = None
        self._turn = Turn()
        self._closing: asyncio.Task[None] | None = None
        self._on_closed: list[Callable[[Session], None]] = []

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        return self.episode.phase

    @property
    def placement(self) -> Placement:
        """Where the environment lives."""
        return self.episode.host.placement

    @property
    def plan(self) -> EnvironmentPlan:
        """What the environment's class takes."""
        return self.episode.plan

    @property
    def answers_at_once(self) -> bool:
        """Whether requests are answered without giving the event loop to others in between."""
        return self.episode.host.prompt is not None

    @property
    def is_prompt(self) -> bool:
        """Whether ``move_now`` may be asked: nothing came before, and nothing is to be waited for."""
        return not (self._turn.is_taken or self.unbegun) and self.episode.is_prompt

    @property
    def is_busy(self) -> bool:
        """Whether a request is running, waiting for its turn, or about to."""
        return self._turn.is_taken or self.unbegun > 0

    @property
    def is_ending(self) -> bool:
        """Whether it was closed, or is about to be after the running request."""
        return self._closing is not None

    @property
    def can_come_back(self) -> bool:
        """Whether the journal has all that another server needs to go on with it."""
        return self.episode.can_come_back

    async def reset(self, request: Reset, key: str = "") -> Observed:
        """Begin an episode. A strict environment always gets a seed and an episode id, drawn if not given.

        After a loss this is what goes on, with another environment.

        Raises:
            ActionInvalid: An option that ``reset`` does not take.
            ExecutionFailed, ObservationInvalid, RewardInvalid: The environment's own failure.
            StepTimeout: It did not answer in time.
            EpisodeLost: It died of it.
        """
        async with self._turn:
            self.admit(Operation.RESET)
            return await self.episode.move(request, key)

    async def step(self, request: Step, key: str = "") -> Observed:
        """Take an action. An action that does not fit is refused before the environment moves.

        Raises:
            ResetNeeded, EpisodeDone, ActionInvalid: Refused; the environment did not move.
            ExecutionFailed: The environment raised.
            ObservationInvalid, RewardInvalid: The step has counted, its answer could not be used.
            StepTimeout: It did not answer in time; ``details["usable"]`` says whether the episode goes on.
            EpisodeLost: The environment is gone.
        """
        if self.has_tools and asks_for_list(request.action):
            return await self._tools.listed()
        async with self._turn:
            self.admit(Operation.STEP)
            return await self.episode.move(request, key)

    async def call(self, request: Step, call: Call | None = None, key: str = "") -> Observed:
        """``step`` with somebody who hears of it and may give it up.

        Giving up is asking: a call that runs ends as a step, when its tool likes. A caller that is cancelled gives it
        up, too; a step that has begun goes on to its end.

        Args:
            request: What to do.
            call: Hears of it; ``None``: nobody does.
            key: Its idempotency key.

        Raises:
            InputNeeded: The tool asks something first; the step has not counted.
            CallCancelled: It was given up before its turn came, and has not run.
            EpisodeDone: Another episode has begun than the one that it is for, too.
            OpenEnvError: As ``step``.
        """
        if self.has_tools and asks_for_list(request.action):
            return await self._tools.listed()
        return await self._tools.call(request, call, key)

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any],
        call: Call | None = None,
        *,
        inputs: Mapping[str, Any] | None = None,
        capabilities: Mapping[str, Any] | None = None,
        key: str = "",
    ) -> Observed:
        """``call`` of a tool by its name.

        An environment without tools has ``act``, whose arguments are its action, and ``observe``, which tells its last
        observation and is no step.

        Args:
            name: Of the tool.
            arguments: By name.
            call: As of ``call``.
            inputs: Answers to what the tool asked before.
            capabilities: What can be asked, by MCP's names.
            key: Its idempotency key.

        Returns:
            The observation is a ``CallToolObservation``, or, from another process, its fields as a dict.
        """
        return await self._tools.call_tool(name, arguments, (inputs, capabilities), call, key)

    def cancel_call(self, call: Call) -> None:
        """Give up a call. One that waits for its turn never runs; one that runs is asked to end."""
        self._tools.cancel(call)

    async def offer(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """What MCP asks besides calls, in its shapes: ``tools/list``, ``prompts/get``, ``about`` and so on.

        It waits its turn, is legal in every phase of a session that lives, and moves nothing.

        Raises:
            InvalidRequest: There is no such thing.
            InputNeeded: It asks something first.
        """
        return await self._tools.offered(method, params)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Have somebody hear of every move that is answered, as ``Moved``, and of lists that change, as ``Changed``.

        Returns:
            The way to stop, which may be called twice.
        """
        return self._tools.watch(watcher)

    def outcome(self) -> OutcomeIs:
        """What has come of the episode so far, as of the last answer; also while a request runs.

        Raises:
            SessionClosed, EpisodeLost: The session has ended.
        """
        if self.episode.phase is Phase.CLOSED:
            self._refuse(Operation.STATE)
        return self.episode.outcome()

    def agent_token(self) -> str:
        """What an agent shows to act in the running episode, or in the first, if none has begun; good until the next
        one begins."""
        return self._agent_key.token()

    def admits(self, token: str) -> bool:
        """Whether that is the agent's token of the episode that runs now."""
        return self._agent_key.admits(token)

    @property
    def _agent_key(self) -> AgentKey:
        return AgentKey(self.id, self.token_digest, self.episode.tally.ordinal)

    @functools.cached_property
    def _tools(self) -> ToolCalls:
        from openenv.session.tool_calls import ToolCalls  # here: most sessions have none

        return ToolCalls(self._turn, self.episode, self.admit)

    def move_now(self, request: Step | Reset) -> Observed:
        """``step`` or ``reset`` where ``is_prompt``; the journal is to be flushed before the answer leaves."""
        if self.episode.phase is Phase.RUNNING:  # as at nearly every step, which then is legal
            self.requests += 1
        else:
            self.admit(Operation.STEP if isinstance(request, Step) else Operation.RESET)
        return self.episode.move_now(request)

    async def state(self) -> StateIs:
        """Where the episode stands.

        Raises:
            ExecutionFailed: ``state`` raised, or gave what is no state.
        """
        async with self._turn:
            self.admit(Operation.STATE)
            return await self.episode.state()

    async def metadata(self) -> Any:
        """What the environment says of itself."""
        async with self._turn:
            self.admit(Operation.STATE)
            return await self.episode.metadata()

    async def follow(self, other: Session) -> None:
        """Bring the environment, which is fresh, to where another session's stands.

        Raises:
            NotRestorable: The class neither is deterministic nor takes snapshots.
            EpisodeLost, SessionClosed: There is nothing to branch, or played again it went another way.
        """
        await follow(self.episode, await other.branch())

    async def branch(self) -> Branch:
        """What brings another environment to where this one stands; raises as ``follow`` does."""
        async with self._turn:
            self.admit(Operation.STATE)
            return await branch_of(self.episode)

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

    def take_turn(self) -> None:
        """Have the turn at once, unless ``is_busy``, for a move that several sessions make together."""
        self._turn.join()

    def end_turn(self) -> None:
        """Give back what ``take_turn`` took."""
        self._turn.give_on()

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
            # in line from now on: what comes later must not overtake it
            given = self._turn.join()
            # a task of its own: a caller that is cancelled must not leave the environment half closed
            self._closing = asyncio.create_task(self._close(given))
        return self._closing

    async def _close(self, given: asyncio.Future[None] | None) -> None:
        if given is not None:
            await self._turn.given(given)
        self.episode.phase = Phase.CLOSED
        try:
            await self.episode.close()
        finally:
            for callback in list(self._on_closed):
                callback(self)
            self._turn.give_on()

    def admit(self, operation: Operation) -> None:
        """Count a request whose turn it is; raise what forbids it."""
        self.requests += 1
        self._refuse(operation)

    def _refuse(self, operation: Operation) -> None:
        """Raise what forbids it."""
        if self.episode.phase is Phase.CLOSED and self.ending not in (None, Ending.CLOSED):
            raise gone(self.ending)
        self.episode.admit(operation)
