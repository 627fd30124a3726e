"""``create_app`` and ``create_fastapi_app`` as existing environments call them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import BaseModel

from openenv import app
from openenv.session import AnyEnvironment

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["create_app", "create_fastapi_app"]

log = logging.getLogger("openenv.core")


def create_app(
    env: Callable[[], AnyEnvironment],
    action_cls: type[BaseModel],
    observation_cls: type[BaseModel],
    env_name: str | None = None,
    max_concurrent_envs: int | None = None,
    *,
    gradio_builder: Callable[..., object] | None = None,
) -> FastAPI:
    """``openenv.create_app``.

    Args:
        env, action_cls, observation_cls, env_name, max_concurrent_envs: As there.
        gradio_builder: Taken, and left out with a warning in the log: there is no page to build.

    Raises:
        ConfigurationError: As there.
    """
    if gradio_builder is not None:
        log.warning("the server has no web page, so gradio_builder is left out; everything else is served")
    return app.create_app(env, action_cls, observation_cls, env_name, max_concurrent_envs)


def create_fastapi_app(
    env: Callable[[], AnyEnvironment],
    action_cls: type[BaseModel],
    observation_cls: type[BaseModel],
    max_concurrent_envs: int | None = None,
    *,
    env_name: str | None = None,
) -> FastAPI:
    """``create_app`` with its arguments in another order."""
    return app.create_app(env, action_cls, observation_cls, env_name, max_concurrent_envs)
