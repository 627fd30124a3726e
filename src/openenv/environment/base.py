"""The class an environment's author subclasses."""

from __future__ import annotations

import inspect
import random
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Self

from openenv.environment.credentials import Credentials
from openenv.errors import ConfigurationError
from openenv.types import ActT, EnvironmentMetadata, ObsT, StateT

if TYPE_CHECKING:
    from openenv.environment.transform import Transform
    from openenv.errors import ActionInvalid

__all__ = ["Environment", "Isolation", "Lifecycle"]

Lifecycle = Literal["strict", "lenient"]
Isolation = Literal["inline", "thread", "process"]


class Environment(ABC, Generic[ActT, ObsT, StateT]):
    """A world an agent acts in: write ``reset``, ``step`` and ``state``, and it can be served.

    Example::

        class Countdown(Environment[Tick, Remaining, State]):
            def reset(self, seed=None): ...
            def step(self, action): ...
            @property
            def state(self): ...

    ``reset`` and ``step`` may leave out any keyword argument they do not use: the caller passes what the
    signature takes. An environment whose work is awaited overrides ``reset_async``/``step_async`` instead.

    A served environment is created, stepped and closed on one thread. Cheap ones move into the server's own
    thread once measured to be fast; set ``REQUIRES_SINGLE_THREAD_EXECUTOR`` for libraries that insist on a
    thread of their own.
    """

    SUPPORTS_CONCURRENT_SESSIONS: ClassVar[bool] = False
    """Whether several instances may live in one process: no shared files, ports or module state."""

    REQUIRES_SINGLE_THREAD_EXECUTOR: ClassVar[bool] = False
    """Whether each instance must keep a thread of its own, never the server's."""

    lifecycle: ClassVar[Lifecycle] = "strict"
    """``strict``: a step before the first reset, or after the episode's end, is refused and does not run."""

    isolation: ClassVar[Isolation | None] = None
    """Where sessions of the class live unless the server is told otherwise: ``process``, so that a crash takes nothing
    else with it; ``thread``; ``inline``, in the server's thread, for one that can never wait. ``None``: on a thread,
    and inline once measured to be fast."""

    deterministic: ClassVar[bool] = False
    """Whether the same seed and the same actions always give the same answers, so that an episode can be played again
    after a crash, or branched. ``check_env`` tries it."""

    volatile: ClassVar[frozenset[str]] = frozenset()
    """Fields of the observation or its metadata that may differ all the same, such as a time of day."""

    transform: Transform | None = None
    """Applied to every observation before it leaves, if set."""

    credentials: Credentials = Credentials()
    """Secrets that ``openenv.yaml`` names, from the variables or files of whoever serves it: there from the first reset
    on. Whatever leaves the environment has ``[NAME]`` in the place of each."""

    offers_tools: ClassVar[bool] = False
    """Whether it is acted in by calling tools: ``ToolEnvironment`` and its kind."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        marking = sys.modules.get("openenv.tools.marking")  # without it nothing is marked, and nobody pays for it
        if marking is not None and not cls.offers_tools:
            for name in (name for base in cls.__mro__ for name, value in vars(base).items() if marking.marked(value)):
                raise ConfigurationError(
                    f"{cls.__name__}.{name} is marked, but {cls.__name__} has no tools; make it a ToolEnvironment"
                )
        for name in ("reset", "step"):
            if _sync_twin_is_newer(cls, name):
                setattr(cls, f"{name}_async", getattr(Environment, f"{name}_async"))
        if cls.reset is Environment.reset and cls.reset_async is not Environment.reset_async:
            cls.reset = _only_awaited  # type: ignore[method-assign]
        if cls.step is Environment.step and cls.step_async is not Environment.step_async:
            cls.step = _only_awaited  # type: ignore[method-assign]

    if TYPE_CHECKING:
        # An author overrides these with any subset of the keyword arguments below, which only such signatures allow.
        @abstractmethod
        def reset(self, *args: Any, **kwargs: Any) -> ObsT: ...
        @abstractmethod
        def step(self, action: ActT, *args: Any, **kwargs: Any) -> ObsT: ...
        async def reset_async(self, *args: Any, **kwargs: Any) -> ObsT: ...
        async def step_async(self, action: ActT, *args: Any, **kwargs: Any) -> ObsT: ...
    else:

        @abstractmethod
        def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> ObsT:
            """Begin an episode and return its first observation.

            Args:
                seed: Seed of everything random in the episode. A strict environment that is served always gets
                    one; without a server ``None`` means "any".
                episode_id: Name of the episode, to be shown in ``state``.
                **kwargs: Options of the environment's own, such as a level or a task.
            """

        @abstractmethod
        def step(self, action: ActT, timeout_s: float | None = None, **kwargs: Any) -> ObsT:
            """Take one action and return what follows.

            Args:
                action: The agent's action, already validated.
                timeout_s: Seconds the caller is willing to wait; ``None`` for no limit.
                **kwargs: Options of the environment's own.
            """

        async def reset_async(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> ObsT:
            """``reset`` for environments whose work is awaited. Overriding it makes the environment asynchronous."""
            return _pass_on(self.reset, {"seed": seed, "episode_id": episode_id, **kwargs})

        async def step_async(self, action: ActT, timeout_s: float | None = None, **kwargs: Any) -> ObsT:
            """``step`` for environments whose work is awaited. Overriding it makes the environment asynchronous."""
            return _pass_on(self.step, {"timeout_s": timeout_s, **kwargs}, action)

    @classmethod
    def step_batch(cls, environments: Sequence[Self], actions: Sequence[ActT]) -> Sequence[ObsT | ActionInvalid]:
        """Step several instances in one call, where that is faster than one after the other.

        A class that overrides it is asked so for the steps that arrive together, as an ``EnvPool`` sends them; all its
        instances then live on one thread. ``step`` is needed all the same: it must do the same for one.

        Args:
            environments: Different instances, each in the middle of an episode.
            actions: One for each, already validated.

        Returns:
            One observation for each, in the same order; where ``step`` would raise ``ActionInvalid``, that error in its
            place. An exception that is raised is the answer of all of them.
        """
        raise NotImplementedError(f"{cls.__name__} has no step_batch")

    @property
    @abstractmethod
    def state(self) -> StateT:
        """Where the episode stands. Legal at any time, also before the first reset."""

    def close(self) -> None:
        """Give back what the environment holds. Called once, on the thread that created it."""

    def snapshot(self) -> Any:
        """The whole state of the episode, as anything that an observation may hold; overridden together with
        ``restore``. With it an episode can be branched or go on after a crash without being played again."""
        raise NotImplementedError(f"{type(self).__name__} takes no snapshots")

    def restore(self, snapshot: Any) -> None:
        """Bring a fresh environment to where another one of its class stood when it took this snapshot."""
        raise NotImplementedError(f"{type(self).__name__} takes no snapshots")

    @property
    def rng(self) -> random.Random:
        """Random numbers of this episode. A server seeds it before each reset with the seed it reports."""
        found: random.Random | None = self.__dict__.get("_openenv_rng")
        if found is None:  # also where a subclass skips super().__init__
            found = self.__dict__["_openenv_rng"] = random.Random()  # noqa: S311 - games, not secrets
        return found

    def begin_episode(self, seed: int | None, episode_id: str | None) -> None:
        """Called by a server before each reset: seeds ``rng``. Who overrides it calls ``super().begin_episode``."""
        self.reseed(seed)

    def reseed(self, seed: int | None) -> int:
        """Seed ``rng`` and return the seed used: the given one, or a fresh 32-bit one for ``None``."""
        used = random.SystemRandom().getrandbits(32) if seed is None else seed
        self.rng.seed(used)
        return used

    def get_metadata(self) -> EnvironmentMetadata:
        """What the environment says of itself: by default its class name and docstring."""
        own_words = inspect.getdoc(type(self)) if type(self).__doc__ else None
        return EnvironmentMetadata(
            name=type(self).__name__,
            description=own_words or f"{type(self).__name__} environment",
            version="1.0.0",
        )


def _sync_twin_is_newer(cls: type[Any], name: str) -> bool:
    """Whether a class has an asynchronous twin of a method from a class further up, which the newer one stands for."""
    for base in cls.__mro__:
        if f"{name}_async" in base.__dict__:
            return False
        if name in base.__dict__:
            return getattr(cls, f"{name}_async") is not getattr(Environment, f"{name}_async")
    return False


def _only_awaited(self: object, *positional: Any, **keywords: Any) -> Any:
    """Stands in for the synchronous twin in a class that has the asynchronous one alone."""
    raise TypeError(f"{type(self).__name__} is asynchronous: await reset_async() and step_async() instead")


def _pass_on(method: Any, keywords: dict[str, Any], *positional: Any) -> Any:
    """Call the synchronous twin with those keywords that it takes."""
    from openenv.environment.plan import KeywordFilter

    return method(*positional, **KeywordFilter.of(method, len(positional)).known(keywords))
