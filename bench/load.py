"""A load client that is not the limit: protocol v1, one thread, no sleep. Both sides get the same."""

from __future__ import annotations

import selectors
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from bench.spinning import PATIENCE_S, Spinning, masked

__all__ = ["Load", "connected"]

_RESET = b'{"type":"reset","data":{}}'
_STEP = b'{"type":"step","data":{"message":"hello"}}'


class _Session(Spinning):
    """One connection, which is one session of protocol v1."""

    def answered(self) -> bool:
        """Whether the answer to the request on the way is there now."""
        for message in self.received():
            if not message.startswith(b'{"type":"observation"'):
                raise ConnectionError(f"instead of an observation: {bytes(message[:300])!r}")
            return True
        return False


@dataclass(frozen=True)
class Load:
    """Sessions of one server that have been reset, with one request on the way at most."""

    sessions: list[_Session]

    def steps(self, count: int) -> float:
        """Take ``count`` steps in all, every session as fast as its replies come; returns the seconds."""
        frame = masked(_STEP)
        with selectors.DefaultSelector() as selector:
            for session in self.sessions:
                selector.register(session.socket, selectors.EVENT_READ, session)
            begun = time.perf_counter()
            asked = waiting = min(len(self.sessions), count)
            for session in self.sessions[:asked]:
                session.send(frame)
            heard = begun
            while waiting:
                ready = selector.select(0)
                if ready:
                    heard = time.perf_counter()
                elif time.perf_counter() > heard + PATIENCE_S:
                    raise ConnectionError(f"{waiting} sessions have not been answered for {PATIENCE_S:g} s")
                for key, _ in ready:
                    if key.data.answered():
                        if asked < count:
                            key.data.send(frame)
                            asked += 1
                        else:
                            waiting -= 1
            return time.perf_counter() - begun

    def latencies(self, count: int) -> list[float]:
        """Seconds from request to reply of each of ``count`` steps of the first session."""
        session, frame, taken = self.sessions[0], masked(_STEP), []
        with selectors.DefaultSelector() as selector:
            selector.register(session.socket, selectors.EVENT_READ)
            for _ in range(count):
                begun = time.perf_counter()
                session.send(frame)
                while not (selector.select(0) and session.answered()):
                    pass
                taken.append(time.perf_counter() - begun)
        return taken


@contextmanager
def connected(port: int, sessions: int) -> Iterator[Load]:
    """So many new sessions, reset once; closed in the end."""
    with ExitStack() as stack:
        load = Load([stack.enter_context(closing(_Session(port))) for _ in range(sessions)])
        for session in load.sessions:
            session.send(masked(_RESET))
            give_up_at = time.perf_counter() + PATIENCE_S
            while not session.answered():
                if time.perf_counter() > give_up_at:
                    raise ConnectionError(f"a reset has not been answered for {PATIENCE_S:g} s")
        yield load
