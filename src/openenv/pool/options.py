"""What a user may set about a pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, get_args

from openenv.client import EnvClient, GenericEnvClient, SyncEnvClient
from openenv.client.options import MAX_MESSAGE_BYTES
from openenv.errors import ConfigurationError
from openenv.pool.events import PoolEvent
from openenv.pool.terms import Autoreset

__all__ = ["OnError", "PoolOptions", "Target", "client_of"]

OnError = Literal["raise", "return"]

Target = str | EnvClient[Any, Any, Any] | SyncEnvClient[Any, Any, Any]
"""A server's address, or a client that was not used yet: its address, types and server are taken over."""


@dataclass(frozen=True)
class PoolOptions:
    """The settings of a pool; ``EnvPool`` says what they mean."""

    sessions: int
    client: type[EnvClient[Any, Any, Any]] | None = None
    autoreset: Autoreset = "disabled"
    prefetch_resets: bool = False
    on_error: OnError = "raise"
    connections: int = 1
    queue_timeout_s: float = 60.0
    on_progress: Callable[[PoolEvent], object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # they may hold secrets
    connect_timeout_s: float = 10.0
    message_timeout_s: float | None = None
    max_message_bytes: int = MAX_MESSAGE_BYTES
    reconnect_timeout_s: float = 60.0
    liveness_timeout_s: float = 20.0

    def __post_init__(self) -> None:
        for name in ("sessions", "connections"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"{name} must be a whole number, 1 or greater, not {value!r}")
        for name, known in (("autoreset", get_args(Autoreset)), ("on_error", get_args(OnError))):
            if getattr(self, name) not in known:
                raise ConfigurationError(f"{name} is one of {', '.join(known)}, not {getattr(self, name)!r}")


def client_of(target: Target, options: PoolOptions) -> Callable[[], EnvClient[Any, Any, Any]]:
    """Makes clients of a target, with the options of the pool.

    Raises:
        ConfigurationError: The address or an option is no good.
    """
    if isinstance(target, str):
        return partial(
            options.client or GenericEnvClient,
            target,
            connect_timeout_s=options.connect_timeout_s,
            message_timeout_s=options.message_timeout_s,
            max_message_bytes=options.max_message_bytes,
            headers=options.headers,
            reconnect_timeout_s=options.reconnect_timeout_s,
            liveness_timeout_s=options.liveness_timeout_s,
            queue_timeout_s=options.queue_timeout_s,
        )
    given = target.options
    client = options.client or (type(target) if isinstance(target, EnvClient) else EnvClient)
    made = partial(
        client,
        given.address.websocket,
        connect_timeout_s=given.connect_timeout_s,
        message_timeout_s=given.message_timeout_s,
        max_message_bytes=given.max_message_bytes,
        headers=given.headers,
        reconnect_timeout_s=given.reconnect_timeout_s,
        liveness_timeout_s=given.liveness_timeout_s,
        queue_timeout_s=options.queue_timeout_s,
        on_queued=given.on_queued,
    )

    def with_its_types() -> EnvClient[Any, Any, Any]:
        values = given.values
        return made(
            action_type=values.action_type, observation_type=values.observation_type, state_type=values.state_type
        )

    return with_its_types
