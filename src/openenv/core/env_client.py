"""The client that existing environments subclass: three hooks translate between types and payloads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from openenv import types
from openenv.client import Closable
from openenv.client import EnvClient as Client
from openenv.client.values import Values
from openenv.core.client_types import StepResult
from openenv.errors import ConfigurationError
from openenv.protocol import Observed
from openenv.types import ActT, ObsT, StateT

__all__ = ["ActT", "EnvClient", "ObsT", "StateT", "StepResult"]

_MODES = ("simulation", "production")


class EnvClient(Client[ActT, ObsT, StateT], ABC):
    """``openenv.EnvClient`` for subclasses that translate by hand.

    A subclass defines ``_step_payload``, ``_parse_result`` and ``_parse_state``. Whatever protocol the server
    speaks, they see the payloads of version 1.

    Args:
        base_url: Address of the server; without a scheme it is ``http://``.
        connect_timeout_s: Seconds to wait for the connection.
        message_timeout_s: Seconds to wait for any answer; ``None``: as long as the connection lives.
        max_message_size_mb: Largest message taken from the server, in MiB.
        websocket_ping_interval_s, websocket_ping_timeout_s: Without effect. Whether the server is there is known
            from TCP, so that one that is busy for minutes is not given up.
        provider: Not taken yet: start the server first and pass its address.
        mode: ``simulation`` or ``production``; the client behaves alike in both.
        headers: Additional headers of the handshake.
        owned: Something to end together with the client.

    Raises:
        ConfigurationError: There is no address, it is none, or ``mode`` is unknown.
    """

    def __init__(
        self,
        base_url: str | None = None,
        connect_timeout_s: float = 10.0,
        message_timeout_s: float | None = None,
        max_message_size_mb: float = 100.0,
        websocket_ping_interval_s: float | None = 20.0,
        websocket_ping_timeout_s: float | None = 20.0,
        provider: object = None,
        mode: str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        owned: Closable | None = None,
    ) -> None:
        if base_url is None or provider is not None:
            raise ConfigurationError("start the server first and pass its address: EnvClient(base_url='http://...')")
        if mode is not None and mode.lower() not in _MODES:
            raise ConfigurationError(f"mode must be 'simulation' or 'production', not {mode!r}")
        self._base_url = base_url.rstrip("/")
        super().__init__(
            base_url if "://" in base_url else f"http://{base_url}",
            connect_timeout_s=connect_timeout_s,
            message_timeout_s=message_timeout_s,
            max_message_bytes=int(max_message_size_mb * 1024 * 1024),
            headers=headers,
            owned=owned,
        )

    @property
    def base_url(self) -> str:
        """The address as it was given, without a slash at the end."""
        return self._base_url

    @abstractmethod
    def _step_payload(self, action: ActT) -> dict[str, Any]:
        """The JSON form of an action."""

    @abstractmethod
    def _parse_result(self, payload: dict[str, Any]) -> types.StepResult[ObsT]:
        """A result from ``{"observation": {...}, "reward": ..., "done": ...}``, plus ``metadata`` if there is any."""

    @abstractmethod
    def _parse_state(self, payload: dict[str, Any]) -> StateT:
        """A state from its JSON form."""

    async def disconnect(self) -> None:
        """The older name of ``close``."""
        await self.close()

    def values_for(
        self, action: type[Any] | None, observation: type[Any] | None, state: type[Any] | None
    ) -> Values[ActT, ObsT, StateT]:
        """Values that go through the three hooks."""
        return _HookedValues(self, action, observation, state)


class _HookedValues(Values[ActT, ObsT, StateT]):
    def __init__(self, client: EnvClient[ActT, ObsT, StateT], *model_types: type[Any] | None) -> None:
        super().__init__(*model_types)
        self._client = client

    def encode_action(self, action: ActT) -> Any:
        return super().encode_action(self._client._step_payload(action))  # type: ignore[arg-type]  # its JSON form

    def decode_result(self, reply: Observed) -> types.StepResult[ObsT]:
        result = self._client._parse_result(_payload(reply))
        if isinstance(result, types.StepResult) and result.done and reply.truncated:
            # no hook can have read it: version 1 has no place for it
            result.terminated, result.truncated = reply.terminated, True
        return result

    def decode_state(self, state: Any) -> StateT:
        return self._client._parse_state(state)


def _payload(reply: Observed) -> dict[str, Any]:
    """The ``data`` of a version 1 answer: metadata is in the observation and, unless empty, beside it."""
    observation = reply.observation
    if isinstance(observation, dict):
        observation = {"metadata": reply.metadata, **observation}
    payload = {"observation": observation, "reward": reply.reward, "done": reply.done}
    return {**payload, "metadata": reply.metadata} if reply.metadata else payload
