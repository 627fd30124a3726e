"""Tool environments that behave badly when they are asked to."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path
from typing import Any, ClassVar

from openenv import Observation
from openenv.environment import ToolEnvironment
from openenv.tools import ToolContext, tool

REWARD = 0.71828125
"""What a step of these is worth; agents must not see it."""


class Gate:
    """Tells the test that a tool runs, and the tool that it may go on. In one process with the server."""

    def __init__(self) -> None:
        self.began, self.ended, self.go = threading.Semaphore(0), threading.Semaphore(0), threading.Event()


class Faults(ToolEnvironment):
    """Everything that goes wrong."""

    SUPPORTS_CONCURRENT_SESSIONS: ClassVar[bool] = True
    gate: ClassVar[Gate] = Gate()

    def reset(self, seed: int | None = None) -> Observation:
        return Observation()

    @tool
    def add(self, a: int, b: int = 1) -> int:
        """Add two numbers.

        Args:
            a: The first.
            b: The second.
        """
        self.award(REWARD)
        return a + b

    @tool
    def silent(self):  # type: ignore[no-untyped-def]
        self.award(REWARD)

    @tool
    def fails(self) -> str:
        """Raise."""
        self.award(REWARD)
        raise ValueError("it broke")

    @tool
    def gives_up(self) -> str:
        """Raise what ends programs."""
        raise SystemExit(3)

    @tool
    def dies(self) -> str:
        """Kill the process that it runs in."""
        os.kill(os.getpid(), signal.SIGKILL)
        return "alive"

    @tool
    def formless(self) -> Any:
        """Return what has no JSON form."""
        self.award(REWARD)
        return {"it": object()}

    @tool
    def huge(self, size: int) -> str:
        """Return so many letters."""
        self.award(REWARD)
        return "x" * size

    @tool
    def overpaid(self) -> str:
        """Award what is no number."""
        self.award(float("nan"))
        return "rich"

    @tool
    def finish(self) -> str:
        """End the episode."""
        self.end(reward=REWARD)
        return "over"

    @tool
    def waits(self, context: ToolContext) -> str:
        """Wait until it may go on, or is cancelled."""
        self.award(REWARD)
        context.progress(1, 2)
        self.gate.began.release()
        while not self.gate.go.wait(0.005):
            if context.is_cancelled:
                self.gate.ended.release()
                context.check()
        context.progress(2, 2)
        self.gate.ended.release()
        return "went on"

    @tool(timeout_s=0.1)
    def stuck(self) -> str:
        """Wait longer than it may."""
        self.gate.began.release()
        self.gate.go.wait(30)
        return "late"


class Steady(ToolEnvironment):
    """Adds up, and can be played again; what its tools do with files is for tests in other processes."""

    SUPPORTS_CONCURRENT_SESSIONS: ClassVar[bool] = True
    deterministic: ClassVar[bool] = True

    def reset(self, seed: int | None = None) -> Observation:
        self.total = 0
        return Observation()

    @tool
    def add(self, amount: int) -> int:
        """Add to the total."""
        self.award(REWARD)
        self.total += amount
        return self.total

    @tool
    def waits(self, says: str, until: str, context: ToolContext) -> str:
        """Write the process id into one file, and wait until the other is opened."""
        self.award(REWARD)
        context.progress(1, 2)
        if Path(says).exists():  # not where it is played again
            _tell(says, str(os.getpid()))
            open(until).close()
        return "went on"

    @tool
    async def waits_long(self, says: str, context: ToolContext) -> str:
        """Write a file, and wait until it is cancelled; then write it again."""
        context.progress(1, 2)
        _tell(says, "began")
        try:
            await asyncio.Event().wait()
        finally:
            _tell(says, "cancelled")
        return "never"


def _tell(path: str, words: str) -> None:
    """Write a file; where it is a pipe, as soon as somebody reads."""
    with open(path, "w", encoding="utf-8") as told:
        told.write(words)


class AwaitedFaults(Faults):
    """The same, awaited."""

    @tool
    async def waits(self, context: ToolContext) -> str:  # type: ignore[override]
        """Wait until it may go on, or is cancelled."""
        self.award(REWARD)
        context.progress(1, 2)
        self.gate.began.release()
        try:
            while not self.gate.go.is_set():  # noqa: ASYNC110 - it is set by another thread
                await asyncio.sleep(0.005)
        finally:
            self.gate.ended.release()
        context.progress(2, 2)
        return "went on"

    @tool
    async def large(self, context: ToolContext) -> str:
        """Return two megabytes once it may."""
        await self.waits(context)
        return "x" * (2 * 1024 * 1024)

    @tool(timeout_s=0.1)
    async def stuck(self) -> str:  # type: ignore[override]
        """Wait longer than it may."""
        await asyncio.Event().wait()
        return "late"
