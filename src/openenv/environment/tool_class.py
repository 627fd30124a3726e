"""What becomes of a class of tool environments when it is made."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from openenv.environment.base import Environment
from openenv.environment.offered import Offered, has_awaited_methods, offered_by
from openenv.environment.offers import announce_changes, lists_of
from openenv.environment.plan import KeywordFilter
from openenv.environment.tool_book import book_of
from openenv.environment.tool_search import CALL, SEARCH
from openenv.environment.toolbox import Toolbox
from openenv.errors import ConfigurationError
from openenv.tools import Toolset
from openenv.tools.signature import TypeNotKnown

__all__ = ["prepare", "without_waiting"]


def prepare(cls: type[Any]) -> None:
    """Check what a new class offers, and see to it that its resets begin an episode.

    Raises:
        ConfigurationError: Two tools have one name, or something has no schema, or the class overrides what cannot be.
    """
    with suppress(TypeNotKnown):  # a type of the module that comes after the class: all is read when first used
        _check(cls, offered_by(cls))
    if not (isinstance(cls.toolsets, list | tuple) and all(isinstance(one, Toolset) for one in cls.toolsets)):
        raise ConfigurationError(
            f"{cls.__name__}.toolsets must be a tuple of toolsets, such as (OutsideServer(name, url=...),), "
            f"not {cls.toolsets!r}"
        )
    if has_awaited_methods(cls) or cls.toolsets:
        _become_asynchronous(cls)
    own = cls.__dict__
    if "reset" in own:
        cls.reset = _beginning(own["reset"])
    if "reset_async" in own and own["reset_async"] is not Environment.reset_async:
        cls.reset_async = _beginning_async(own["reset_async"])
    if cls.toolsets:
        cls.close = _closing(cls.close)


def without_waiting(work: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns that awaits nothing."""
    try:
        work.send(None)
    except StopIteration as ended:
        return ended.value
    work.close()
    raise TypeError("something is awaited in an environment that is not asynchronous; write it with async def")


async def _all_closed(toolsets: Sequence[Toolset]) -> None:
    """Close toolsets, each whatever becomes of the others; raises what the first raised."""
    failed: BaseException | None = None
    for toolset in toolsets:
        try:
            await toolset.close()
        except Exception as error:  # noqa: BLE001 - the others are closed first
            failed = failed or error
    if failed is not None:
        raise failed


def _check(cls: type[Any], offered: Offered) -> None:
    _hides_nothing(cls, offered)
    names = {found.tool.name for found in Toolbox(offered.tools)}
    taken = names & {SEARCH.name, CALL.name}
    if cls.search_tools and taken:
        raise ConfigurationError(
            f"{cls.__name__} has a tool {', '.join(sorted(taken))}, and search_tools, which adds one of that name; "
            "rename the tool: @tool(name=...)"
        )


def _hides_nothing(cls: type[Any], offered: Offered) -> None:
    """A tool that is named as a method or attribute of the library's classes would stand in its place."""
    functions = {tool.function for tool in offered.tools}
    functions |= {one.function for one in (*offered.resources, *offered.templates, *offered.prompts)}
    ours = [base for base in cls.__mro__ if base.__module__.startswith("openenv.environment.")]
    for name, value in ((name, value) for base in cls.__mro__ for name, value in vars(base).items()):
        if inspect.isfunction(value) and value in functions and any(name in vars(base) for base in ours):
            raise ConfigurationError(
                f"{cls.__name__}.{name} hides {name} of every {ours[0].__name__}; name the method otherwise, and the "
                f'tool by @tool(name="{name}")'
            )


def _become_asynchronous(cls: type[Any]) -> None:
    """Give a class the methods that are awaited, beside those it has."""
    own = cls.__dict__
    if "step" in own and own.get("step_async", Environment.step_async) is Environment.step_async:
        raise ConfigurationError(
            f"{cls.__name__} has tools that are awaited, so its step is not called; override step_async instead"
        )
    if cls.step_async is Environment.step_async:
        cls.step_async = _step_async
    if cls.toolsets and cls.reset_async is Environment.reset_async:
        cls.reset_async = _reset_async


async def _step_async(self: Any, action: Any, timeout_s: float | None = None, **options: Any) -> Any:
    """Take an action: call a tool, list the tools, or whatever ``step_other`` takes."""
    return await self.act(action, timeout_s, **options)


async def _reset_async(self: Any, seed: int | None = None, episode_id: str | None = None, **options: Any) -> Any:
    """Begin an episode, also of the toolsets, with ``reset``."""
    given = {"seed": seed, "episode_id": episode_id, **options}
    return self.reset(**KeywordFilter.of(self.reset).known(given))


def _beginning(reset: Callable[..., Any]) -> Callable[..., Any]:
    """A reset that begins an episode first, unless a server has, or it is called by another."""

    @functools.wraps(reset)
    def begun(self: Any, *positional: Any, **keywords: Any) -> Any:
        book = book_of(self)
        if book.resetting:
            return reset(self, *positional, **keywords)
        before = _begun(self, reset, positional, keywords)
        book.resetting = True
        try:
            returned = reset(self, *positional, **keywords)
            _awards_nothing(self)
        finally:
            book.resetting = False
        book.toolbox.is_new = False
        announce_changes(self, before)
        return returned

    return begun


def _beginning_async(reset: Callable[..., Any]) -> Callable[..., Any]:
    """The same for one that is awaited; the toolsets begin with it."""

    @functools.wraps(reset)
    async def begun(self: Any, *positional: Any, **keywords: Any) -> Any:
        book = book_of(self)
        if book.resetting:
            return await reset(self, *positional, **keywords)
        before = _begun(self, reset, positional, keywords)
        book.resetting = True
        try:
            for toolset in book.toolbox.toolsets:
                await toolset.begin(self.credentials)
            book.toolbox.check_toolsets()
            returned = await reset(self, *positional, **keywords)
            _awards_nothing(self)
        finally:
            book.resetting = False
        book.toolbox.is_new = False
        announce_changes(self, before)
        return returned

    return begun


def _awards_nothing(environment: Any) -> None:
    """Raise ``ConfigurationError`` for a reset whose reward, or end, the first call would get."""
    book = book_of(environment)
    if book.reward is not None or book.is_over:
        raise ConfigurationError(
            f"{type(environment).__name__}.reset calls award() or end(), which are for tools; return "
            "Observation(reward=..., done=...) instead"
        )


def _begun(environment: Any, reset: Callable[..., Any], positional: Any, keywords: Any) -> dict[str, Any]:
    """What was listed before this reset; the episode has begun."""
    book, before = book_of(environment), lists_of(environment)
    if not book.begun:
        given = inspect.signature(reset).bind(environment, *positional, **keywords).arguments
        for value in list(given.values()):
            if isinstance(value, dict):  # of **options
                given = {**value, **given}
        environment.begin_episode(given.get("seed"), given.get("episode_id"))
    book.begun = False
    return before


def _closing(close: Callable[..., Any]) -> Callable[..., Any]:
    """A close that is awaited, and closes the toolsets too."""

    @functools.wraps(close)
    def closed(self: Any) -> Any:
        return close(self) if book_of(self).closing else _close_all(self, close)

    return closed


async def _close_all(environment: Any, close: Callable[..., Any]) -> None:
    book = book_of(environment)
    book.closing = True
    try:
        returned = close(environment)
        if inspect.isawaitable(returned):
            await returned
    finally:
        book.closing = False
        await _all_closed(book.toolbox.toolsets)
