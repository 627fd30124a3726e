"""One environment and what may be asked of it, wherever it lives: in the server's process or in a worker's."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from openenv.environment import Environment, EnvironmentPlan, KeywordFilter
from openenv.errors import (
    ActionInvalid,
    EnvironmentFailure,
    ExecutionFailed,
    FactoryFailed,
    InvalidRequest,
    ObservationInvalid,
    OpenEnvError,
)
from openenv.protocol import Observed, Reset, StateIs, Step
from openenv.session.served.discretion import Discretion
from openenv.session.served.outcome import checked_state, observed, told
from openenv.session.served.spec import AnyEnvironment, EnvironmentSpec
from openenv.types.tagged import TAGGED, untagged

if TYPE_CHECKING:
    from openenv.environment import ToolEnvironment
    from openenv.session.served.act import ActOffers
    from openenv.tools import Note

__all__ = ["HostedEnvironment"]

log = logging.getLogger("openenv.session")

T = TypeVar("T")
FailureT = TypeVar("FailureT", bound=OpenEnvError)

_Errors = tuple[type[OpenEnvError], ...]
_OF_OFFERS: _Errors = (EnvironmentFailure, InvalidRequest)


class HostedEnvironment:
    """Turns requests into calls of the author's methods, and what these return into replies.

    Of an asynchronous class the methods return awaitables. What the author's code raises, ``sys.exit`` included,
    is raised as ``ExecutionFailed``.

    Args:
        spec: What is served.

    Raises:
        FactoryFailed: The constructor raised, or did not give an Environment.
        ConfigurationError: Its class cannot be served.
    """

    def __init__(self, spec: EnvironmentSpec) -> None:
        self._spec = spec
        self._parse: Callable[[Any], Any] = spec.actions.parse
        self._act: ActOffers | None = None
        self._seen: Any = None  # the last observation of the episode, for agents that come to it
        self._discretion = Discretion(spec.credentials) if spec.credentials else None
        self._environment = _built(spec, self._discretion)
        try:
            self.plan = EnvironmentPlan.of(type(self._environment))
            if self._discretion is not None:
                self._environment.credentials = self._discretion.credentials
            if self.plan.tools:
                self._begin_tools()
        except BaseException:
            self._environment.close()
            raise

    def _begin_tools(self) -> None:
        from openenv.session.served.tool_actions import ToolActionParser  # here: most environments have no tools

        self._parse = ToolActionParser(self._spec.actions).parse
        self._tools.serving_mode = self._spec.mode

    @property
    def _tools(self) -> ToolEnvironment[Any]:
        return cast("ToolEnvironment[Any]", self._environment)

    def attend(self, sink: Callable[[Note], None], is_cancelled: Callable[[], bool]) -> None:
        """Tell an environment with tools where notes go, and where it learns that its call is not wanted any more.

        Both are called from any thread.
        """
        discretion = self._discretion
        self._tools.note_sink = sink if discretion is None else lambda note: sink(discretion.note(note))
        self._tools.is_cancelled = is_cancelled

    def deadlines(self) -> dict[str, float]:
        """Seconds that calls may take, by the names of those tools that cannot see to it themselves."""
        return self._tools.deadlines() if self.plan.tools else {}

    def cancel_call(self) -> None:
        """Cancel the tool that is awaited, if one is; to be called where it runs."""
        self._tools.cancel_call()

    def reset(self, request: Reset) -> Observed | Awaitable[Observed]:
        """Begin an episode.

        Raises:
            ActionInvalid: An option that ``reset`` does not take.
            ExecutionFailed, ObservationInvalid, RewardInvalid: The environment's own failure.
        """
        own = {"seed": request.seed, "episode_id": request.episode_id}
        keywords = self._keywords(self.plan.reset, own, request.options)
        environment = self._environment
        act = environment.reset_async if self.plan.is_async else environment.reset

        def run() -> Any:
            self._seen = None
            environment.begin_episode(request.seed, request.episode_id)
            return act(**keywords)

        return self._leaving(run, "reset")

    def step(self, request: Step) -> Observed | Awaitable[Observed]:
        """Take an action. An action that does not fit is refused before the environment moves.

        Raises:
            ActionInvalid: Refused; the environment did not move.
            ExecutionFailed: The environment raised.
            ObservationInvalid, RewardInvalid: The step has counted, its answer could not be used.
        """
        action = self._parse(request.action)
        own = {} if request.timeout_s is None else {"timeout_s": request.timeout_s}
        keywords = self._keywords(self.plan.step, own, request.options) if own or request.options else {}
        act = self._environment.step_async if self.plan.is_async else self._environment.step
        return self._leaving(lambda: act(action, **keywords), "step")

    def move_now(self, request: Reset | Step) -> Observed:
        """``reset`` or ``step`` of a class that is not asynchronous.

        Raises:
            BaseException: Whatever the author's code raises.
        """
        if isinstance(request, Step) and not request.options and self._discretion is None:
            environment = self._environment
            returned = environment.step(self._parse(request.action))
            if environment.transform is not None:
                return self._left(returned, "step")
            answer = observed(returned, "step")
            self._seen = returned
            return answer
        found = self.reset(request) if isinstance(request, Reset) else self.step(request)
        assert isinstance(found, Observed)
        return found

    @staticmethod
    def step_together(
        hosted: Sequence[HostedEnvironment], requests: Sequence[Step]
    ) -> list[Observed | EnvironmentFailure]:
        """Take an action in each of several environments of a class that ``batches``, with one call.

        Returns:
            For each its answer, or what ``step`` would raise.
        """
        found: list[Observed | EnvironmentFailure] = []
        going: list[tuple[int, HostedEnvironment, Any]] = []
        for index, (one, request) in enumerate(zip(hosted, requests, strict=True)):
            try:
                going.append((index, one, one._parse(request.action)))
                found.append(_NOT_ASKED)
            except EnvironmentFailure as error:
                found.append(error)
        if going:
            returned = _batch_of(going)
            for (index, one, _), answer in zip(going, returned, strict=True):
                try:
                    if isinstance(answer, EnvironmentFailure):
                        raise one.cleaned(answer)
                    found[index] = one._left(answer, "step")
                except EnvironmentFailure as error:
                    found[index] = error
        return found

    def state(self) -> StateIs:
        """Where the episode stands.

        Raises:
            ExecutionFailed: ``state`` raised, or gave what is no state.
        """
        return StateIs(state=self._clean(checked_state(self._called(lambda: self._environment.state), self.plan.name)))

    def metadata(self) -> Any:
        """What the environment says of itself."""
        return self._clean(self._called(self._environment.get_metadata))

    def offer(self, method: str, params: Mapping[str, Any]) -> Any:
        """What MCP asks besides calls, in its shapes; nothing moves by it.

        An environment without tools offers ``act``, that takes its action, and ``observe``.

        Raises:
            InvalidRequest: There is no such thing.
            InputNeeded: It asks something first.
        """
        if self.plan.tools:
            offered = self._called(lambda: self._tools.offer(method, dict(params)), _OF_OFFERS)
            return self._offered_later(offered) if inspect.isawaitable(offered) else self._clean(offered)
        if self._act is None:
            from openenv.session.served.act import ActOffers  # here: most environments are not asked

            self._act = ActOffers(self._spec, self.metadata)
        return self._act.offer(method, params, self._seen)

    async def _offered_later(self, offered: Awaitable[Any]) -> Any:
        try:
            found = await offered
        except _OF_OFFERS as error:
            if self._discretion is None:
                raise
            raise self.cleaned(error) from error.__cause__
        except (GeneratorExit, asyncio.CancelledError):
            raise
        except BaseException as error:  # whatever the author's code raises, also sys.exit
            raise self._failed(error) from error
        return self._clean(found)

    def snapshot(self) -> bytes:
        """The whole state of the environment, as tagged JSON.

        Raises:
            ExecutionFailed: It raised, or gave what cannot be kept.
        """
        return self._called(lambda: msgspec.json.encode(TAGGED.write(self._clean(self._environment.snapshot()))))

    def restore(self, snapshot: bytes) -> None:
        """Bring the environment to the state of a snapshot."""
        self._called(lambda: self._environment.restore(untagged(msgspec.json.decode(snapshot))))
        self._seen = None

    def close(self) -> Any:
        """Give back what it holds; to be awaited, if the class is asynchronous and there is an event loop."""
        returned = self._called(self._environment.close)
        if not inspect.iscoroutine(returned) or _has_loop():
            return returned
        return self._called(lambda: asyncio.run(returned))  # built where it turned out to need another place

    def _keywords(self, takes: KeywordFilter, own: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        """The keyword arguments of a call: ours where the signature takes them, the caller's options besides."""
        unknown = takes.unknown(options)
        if unknown and self.plan.lifecycle == "strict":
            known = ", ".join(sorted(takes.names)) or "none"
            raise ActionInvalid(
                f"{self.plan.name} does not take {', '.join(unknown)}; it takes: {known}",
                details={"errors": [{"loc": [n], "msg": "unexpected argument", "type": "extra"} for n in unknown]},
            )
        return takes.known({**options, **own})

    def _leaving(self, run: Callable[[], Any], operation: str) -> Observed | Awaitable[Observed]:
        returned = self._called(run)
        if self.plan.is_async and inspect.isawaitable(returned):
            return self._left_later(returned, operation)
        return self._left(returned, operation)

    async def _left_later(self, returned: Awaitable[Any], operation: str) -> Observed:
        try:
            found = await returned
        except EnvironmentFailure as error:
            if self._discretion is None:
                raise
            raise self.cleaned(error) from error.__cause__
        except (GeneratorExit, asyncio.CancelledError):  # who runs it tells who cancelled it
            raise
        except BaseException as error:  # whatever the author's code raises, also sys.exit
            raise self._failed(error) from error
        return self._left(found, operation)

    def _left(self, returned: Any, operation: str) -> Observed:
        transform = self._environment.transform
        if transform is not None:
            returned = self._called(lambda: transform(returned))
        cleaned = self._clean(returned)
        answer = observed(cleaned, operation)
        self._seen = cleaned
        return answer

    def _called(self, function: Callable[[], T], let_through: _Errors = (EnvironmentFailure,)) -> T:
        try:
            return function()
        except let_through as error:
            if self._discretion is None:
                raise
            raise self.cleaned(error) from error.__cause__
        except BaseException as error:  # whatever the author's code raises, also sys.exit
            raise self._failed(error) from error

    def _failed(self, error: BaseException) -> ExecutionFailed:
        log.debug("%s raised", self.plan.name, exc_info=error)
        return self.cleaned(ExecutionFailed(told(error), details={"exception": type(error).__name__}))

    def _clean(self, value: T) -> T:
        """A value as it may leave."""
        return value if self._discretion is None else self._discretion.value(value)

    def cleaned(self, error: FailureT) -> FailureT:
        """An error as it may leave."""
        return error if self._discretion is None else self._discretion.error(error)


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_NOT_ASKED = ExecutionFailed("it was not asked")


def _batch_of(going: Sequence[tuple[int, HostedEnvironment, Any]]) -> Sequence[Any]:
    """What ``step_batch`` returned for each; where that is no use, for each what is wrong."""
    first = going[0][1]
    name = first.plan.name
    try:
        environments = [one._environment for _, one, _ in going]
        returned = [*type(first._environment).step_batch(environments, [action for _, _, action in going])]
    except EnvironmentFailure as error:
        return [type(error)(error.message, details=error.details) for _ in going]
    except BaseException as error:  # whatever the author's code raises, also sys.exit
        log.debug("%s.step_batch raised", name, exc_info=error)
        return [ExecutionFailed(told(error), details={"exception": type(error).__name__}) for _ in going]
    if len(returned) != len(going):
        message = (
            f"{name}.step_batch returned {len(returned)} observations for {len(going)} environments; return one each"
        )
        return [ObservationInvalid(message, details={"reward": None, "done": None}) for _ in going]
    return returned


def _built(spec: EnvironmentSpec, discretion: Discretion | None) -> AnyEnvironment:
    try:
        environment = spec.build()
    except BaseException as error:  # whatever the author's constructor raises, also sys.exit
        log.exception("%s could not be built", spec.name)
        failure = FactoryFailed(f"{spec.name} could not be built: {told(error)}")
        raise (failure if discretion is None else discretion.error(failure)) from error
    if not isinstance(environment, Environment):
        raise FactoryFailed(
            f"the factory of {spec.name} returned a {type(environment).__name__}, which is no Environment"
        )
    return environment
