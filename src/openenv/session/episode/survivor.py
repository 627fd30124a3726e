"""An environment that outlives its process and its deadlines, as far as its class allows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from openenv.environment import EnvironmentPlan
from openenv.errors import ActionInvalid, EpisodeLost, OpenEnvError, StepTimeout
from openenv.protocol import Observed, Reset, StateIs, Step
from openenv.session.episode.departed import Ending, lost
from openenv.session.episode.history import Diverged, History, Move
from openenv.session.hosting.host import After, Host
from openenv.session.isolation import WorkerDied

if TYPE_CHECKING:
    from openenv.tools import Note

__all__ = ["REPLAY_LIMIT_S", "Home", "Survivor"]

REPLAY_LIMIT_S = 120.0
"""Seconds that playing an episode again may take."""

T = TypeVar("T")


class Home(Protocol):
    """What a session needs of the server it lives in."""

    async def rebuild(self) -> Host:
        """A fresh environment for a session that lost its own. Its place is kept."""

    def has_better(self, host: Host) -> bool:
        """Whether the next episode is better begun in a fresh environment, and would be the same there."""

    def strand(self, host: Host, call: asyncio.Task[Any]) -> None:
        """Take over an environment that does not let go; it keeps a place until it does."""

    def drop(self, host: Host) -> None:
        """Close an environment that no session wants, or that is dead, in its own time."""


class Survivor:
    """Asks the environment of one session. If its process dies, another one is brought to where it stood.

    Args:
        host: Where the environment lives.
        home: Gives another one.

    Attributes:
        host: Where it lives now.
        history: The moves of the running episode, where it can be played again.
        lost: Why the episode is gone, with the environment; ``renew`` goes on with another.
        has_moved: Whether anything was asked of it that a fresh one does not know.
        is_unsure: Whether a call was cancelled in its middle since the last ``renew`` or reset.
    """

    def __init__(self, host: Host, home: Home) -> None:
        self.host = host
        self.history = History()
        self.lost: EpisodeLost | None = None
        self.is_unsure = False
        self._home = home
        self._sink: Callable[[Note], None] | None = None
        self.has_moved = False

    @property
    def plan(self) -> EnvironmentPlan:
        """What the environment's class takes."""
        return self.host.plan

    async def renew(self) -> None:
        """Have another environment after a loss.

        Raises:
            CapacityReached, FactoryFailed: There is none.
        """
        self._settle_in(await self._home.rebuild())
        self.lost, self.has_moved = None, False

    def stand(self, history: History) -> None:
        """Take note of where the environment stands that this session was given."""
        self.history, self.has_moved = history, history.is_whole

    async def move(self, request: Move) -> Observed:
        """Begin an episode, or take an action.

        Raises:
            StepTimeout: It did not answer in time; ``details["usable"]`` says whether the episode goes on.
            EpisodeLost: It is gone, and so is ``host``.
            EnvironmentFailure: What the environment did instead of answering.
        """
        try:
            if isinstance(request, Reset):
                reply = await self._begin(request)
            elif request.timeout_s is not None:
                reply = await self.ask(lambda: self._in_time(request))
            else:
                reply = await self._step(request)
        except ActionInvalid:  # refused before it moved
            raise
        except OpenEnvError:
            self.has_moved = True
            raise
        except asyncio.CancelledError:  # it goes on in the environment, and nobody will know its answer
            self.is_unsure = True
            self.history.spoil()
            raise
        self.has_moved = True
        return reply

    async def _step(self, request: Step) -> Observed:
        try:
            return await self.host.step(request)
        except WorkerDied as death:
            await self._restore(death)
        return await self._last_time(lambda: self.host.step(request))

    async def _begin(self, request: Reset) -> Observed:
        """Begin an episode; if the process dies of it, once more in a fresh one: the last episode is over."""
        if request.timeout_s is None and self._home.has_better(self.host):
            return await self._begin_elsewhere(request)
        had_moved = self.has_moved
        try:
            reply = await self._in_time(request)
        except WorkerDied as death:
            self._replace(await self._another(death))
            self.history.spoil()
            self.has_moved = False
            try:
                reply = await self._in_time(request)
            except WorkerDied as again:
                raise self._lose(Ending.WORKER_DIED, str(again)) from again
            except ActionInvalid:  # it had died before, with the episode that this was not to end
                if had_moved:
                    self._lose(Ending.WORKER_DIED, str(death))
                raise
        except StepTimeout:  # the last episode is over, and no other has begun
            self.history.spoil()
            raise
        self.is_unsure = False
        return reply

    async def _begin_elsewhere(self, request: Reset) -> Observed:
        host = await self._home.rebuild()
        try:
            reply = await host.reset(request)
        except ActionInvalid:  # the episode goes on where it is
            self._home.drop(host)
            raise
        except BaseException:
            self._replace(host)
            raise
        self._replace(host)
        self.is_unsure = False
        return reply

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """Ask; if the process dies of it, once more in another one that was brought to the same place.

        Raises:
            EpisodeLost: That could not be done, or it dies of it again.
        """
        try:
            return await call()
        except WorkerDied as death:
            await self._restore(death)
        return await self._last_time(call)

    async def _last_time(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await call()
        except WorkerDied as death:  # again: this request is what kills it
            raise self._lose(Ending.WORKER_DIED, str(death)) from death

    # In each of these the host may be another one when it is asked again: hence the functions.

    async def state(self) -> StateIs:
        """Where the episode stands."""
        return await self.ask(lambda: self.host.state())  # noqa: PLW0108

    async def metadata(self) -> Any:
        """What the environment says of itself."""
        return await self.ask(lambda: self.host.metadata())  # noqa: PLW0108

    async def offer(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """What MCP asks besides calls."""
        return await self.ask(lambda: self.host.offer(method, params))

    def listen(self, sink: Callable[[Note], None]) -> None:
        """Tell who listens to what is said during calls, whatever environment makes them."""
        self._sink = sink
        self.host.listen(sink)

    async def snapshot(self) -> bytes:
        """The whole state of the environment."""
        return await self.ask(lambda: self.host.snapshot())  # noqa: PLW0108

    async def close(self) -> None:
        """Close the environment, unless it is gone."""
        if self.lost is None:
            await self.host.close()

    async def _restore(self, death: WorkerDied) -> None:
        """Play the episode again in another process, or say that it is lost."""
        if self.has_moved and not self.history.is_whole:
            raise self._lose(Ending.WORKER_DIED, str(death)) from death
        host = await self._another(death)
        try:
            async with asyncio.timeout(REPLAY_LIMIT_S):
                await self.history.play(host)
        except (Diverged, WorkerDied, OpenEnvError, TimeoutError) as error:
            self._home.drop(host)
            ending = Ending.DIVERGED if isinstance(error, Diverged) else Ending.WORKER_DIED
            raise self._lose(ending, str(error) or "playing it again took too long") from error
        except BaseException:
            self._home.drop(host)
            raise
        self._replace(host)

    def _replace(self, host: Host) -> None:
        self._home.drop(self.host)
        self._settle_in(host)

    def _settle_in(self, host: Host) -> None:
        self.host = host
        if self._sink is not None:
            host.listen(self._sink)

    async def _another(self, death: WorkerDied) -> Host:
        try:
            return await self._home.rebuild()
        except OpenEnvError as error:
            raise self._lose(Ending.WORKER_DIED, f"{death}; {error}") from error

    async def _in_time(self, request: Move) -> Observed:
        """Ask the environment; if it does not answer within the time of the request, end what it does."""
        host = self.host
        if request.timeout_s is None:
            return await _ask(host, request)
        host.expect_deadlines()
        call = asyncio.ensure_future(_ask(host, request))
        try:
            await asyncio.wait({call}, timeout=request.timeout_s)
        except asyncio.CancelledError:
            call.cancel()
            raise
        if call.done():
            return call.result()
        usable = await self._give_up(host, call) and not isinstance(request, Reset)
        what = "reset" if isinstance(request, Reset) else "step"
        raise StepTimeout(
            f"{what}() did not return within {request.timeout_s:g} s; "
            + ("the episode goes on from where it stood" if usable else "the episode is lost; reset() begins another"),
            details={"timeout_s": request.timeout_s, "usable": usable},
        )

    async def _give_up(self, host: Host, call: asyncio.Task[Observed]) -> bool:
        """End a call that takes too long; whether the episode goes on."""
        match await host.interrupt(call):
            case After.USABLE:
                self.is_unsure = True  # how far it had moved is not known
                self.history.spoil()
                return True
            case After.STUCK:
                self._home.strand(host, call)
                self._lose(Ending.STUCK)
                return False
            case After.GONE:  # whoever asks next finds that out, and has it brought back
                return self.history.is_whole

    def _lose(self, ending: Ending, how: str = "") -> EpisodeLost:
        """The episode is lost, and the environment with it."""
        if ending is not Ending.STUCK:
            self._home.drop(self.host)
        self.lost = lost(ending, how)
        self.history.spoil()
        return self.lost


async def _ask(host: Host, request: Move) -> Observed:
    return await (host.reset(request) if isinstance(request, Reset) else host.step(request))
