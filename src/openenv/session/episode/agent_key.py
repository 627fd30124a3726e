"""What an agent shows to act in one episode of one session."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass

__all__ = ["AgentKey"]


@dataclass(frozen=True, slots=True)
class AgentKey:
    """Makes the token of an episode's agents, and knows it again. The token holds no secret but its own.

    Attributes:
        id: Name of the session.
        token_digest: Digest of the session's own token.
        ordinal: Number of the episode, from 1.
    """

    id: str
    token_digest: bytes
    ordinal: int

    def token(self) -> str:
        """The token."""
        mac = hmac.digest(self.token_digest, f"agent:{self.ordinal}".encode(), "sha256")
        return f"{self.id}.{self.ordinal}.{urlsafe_b64encode(mac).decode().rstrip('=')}"

    def admits(self, token: str) -> bool:
        """Whether that is it."""
        return hmac.compare_digest(token.encode(errors="replace"), self.token().encode())
