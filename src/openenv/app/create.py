"""``create_app``: from an environment class to an application."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from pydantic import BaseModel

from openenv.app.guarding import guard_of_settings
from openenv.environment import Isolation
from openenv.server import MAX_MESSAGE_BYTES, AccessOptions, build_app
from openenv.session import LEASE_S, AnyEnvironment, EnvironmentSpec, JournalOptions, SessionEngine
from openenv.settings import load_settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from openenv.record import JournalMode
    from openenv.tools import Mode

__all__ = ["create_app", "guarded_elsewhere"]

_is_guarded_elsewhere: ContextVar[bool] = ContextVar("_is_guarded_elsewhere", default=False)


@contextmanager
def guarded_elsewhere() -> Iterator[None]:
    """Whoever makes applications in here says itself who may do what, whatever the environment variables say."""
    token = _is_guarded_elsewhere.set(True)
    try:
        yield
    finally:
        _is_guarded_elsewhere.reset(token)


def create_app(
    env: Callable[[], AnyEnvironment],
    action_cls: type[BaseModel] | None = None,
    observation_cls: type[BaseModel] | None = None,
    env_name: str | None = None,
    max_concurrent_envs: int | None = None,
    *,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    lease_s: float = LEASE_S,
    idle_timeout_s: float | None = None,
    isolation: Isolation | None = None,
    journal: str | os.PathLike[str] | None = None,
    journal_mode: JournalMode = "relaxed",
    auth: AccessOptions | None = None,
    mode: Mode | None = None,
    credentials: Mapping[str, str] | None = None,
) -> FastAPI:
    """An ASGI application that serves an environment over HTTP and WebSocket.

    Run it with any ASGI server, for instance ``uvicorn my_env.server.app:app``. It is a FastAPI: add routes, mount and
    include what you like. FastAPI is imported once that is done, or a page such as ``/docs`` is asked for.

    Args:
        env: The environment class, or a function that makes one. Called once per session.
        action_cls: Its action model; by default the class's first type parameter.
        observation_cls: Its observation model; by default the class's second type parameter.
        env_name: Name to serve it under; by default the class's name.
        max_concurrent_envs: Sessions at the same time. By default 64 where the class says
            ``SUPPORTS_CONCURRENT_SESSIONS``, else 1.
        max_message_bytes: Largest message a client may send.
        lease_s: Seconds a session outlives its last connection, so that its client can come back and go on.
        idle_timeout_s: Seconds without a request after which a session ends although its client is connected;
            ``None``: never.
        isolation: Where sessions live: ``process``, each in a process that can crash alone (Linux); ``thread``;
            ``inline``, in the server's thread. ``None``: as the class says, in processes where it does not support
            that many sessions in one, and else on threads, and inline once measured to be fast.
        journal: Directory of a journal, of this server alone: sessions of classes that say ``deterministic``, or take
            snapshots, then survive the server. ``None``: none is kept.
        journal_mode: ``relaxed``: a reply leaves once what it says is written, which survives ``kill -9``;
            ``durable``: once it is on the disk, which survives a power failure.
        auth: Who may do what. ``None``: what ``OPENENV_AUTH``, the tokens of the roles, such as
            ``OPENENV_ORCHESTRATOR_TOKEN``, and ``OPENENV_ALLOWED_HOSTS`` say; without them, whoever reaches it may do
            everything.
        mode: ``simulation``: for training and evaluation. ``production``: for real, so that there are tools over MCP
            and nothing that controls episodes. ``None``: what ``OPENENV_MODE`` says, else ``simulation``.
        credentials: Secrets for the environment, by name. ``openenv serve`` reads those that ``openenv.yaml`` names.

    Raises:
        ConfigurationError: ``env`` is an instance, a type is no pydantic model, the class does not support that
            many sessions, a time is not above 0, or a variable cannot be.
    """
    spec = EnvironmentSpec.of(env, action_cls, observation_cls, env_name)
    engine = SessionEngine(
        spec, max_concurrent_envs, lease_s=lease_s, idle_timeout_s=idle_timeout_s, isolation=isolation
    )
    if journal is not None:
        engine.journal = JournalOptions(journal, journal_mode)
    if credentials:
        engine.equip(credentials=credentials)
    engine.workers.module = sys._getframe(1).f_globals.get("__name__")
    chosen = mode or load_settings(only=("mode",)).mode
    if auth is None and not _is_guarded_elsewhere.get():
        auth = guard_of_settings(chosen)
    return build_app(engine, max_message_bytes=max_message_bytes, auth=auth, mode=chosen)
