"""Runs short Python programs in a sandbox, for the tests."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from openenv.sandbox import Ended, Level, Limits, Sandbox, SandboxedProcess, choose, probe, python_paths

DEADLINE_S = 30.0
"""How long something that must happen is waited for; nothing takes so long unless it is broken."""


def sandbox_at(level: Level) -> Sandbox:
    """The sandbox of a level; skipped where it cannot be had, failed where it is there and breaks a promise."""
    finding = next(found for found in probe() if found.level is level)
    assert "an experiment here broke" not in finding.reason, finding.reason
    if not finding.available:
        pytest.skip(f"sandbox level {level.value}: {finding.reason}")
    return choose(level)


@dataclass(frozen=True)
class Played:
    output: str
    ended: Ended


class Stage:
    """A program that runs, and the end of the pipe that it writes to."""

    def __init__(self, sandbox: Sandbox, argv: list[str], limits: Limits | None = None, **options: object) -> None:
        self._reading, writing = os.pipe()
        try:
            self.process: SandboxedProcess = sandbox.spawn(
                argv, limits=limits, read_only=python_paths(), stdout=writing, stderr=writing, **options
            )
        finally:
            os.close(writing)

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        os.close(self._reading)

    def line(self) -> str:
        """The next line, without its end."""
        read = b""
        while not read.endswith(b"\n"):
            poller = select.poll()
            poller.register(self._reading, select.POLLIN)
            assert poller.poll(DEADLINE_S * 1000), f"silent after {read!r}"
            byte = os.read(self._reading, 1)
            assert byte, f"it ended after {read!r}"
            read += byte
        return read.decode().rstrip("\n")

    def rest(self, max_bytes: int = 1_000_000) -> str:
        """Everything up to the end."""
        read = b""
        while len(read) < max_bytes and (more := os.read(self._reading, 65536)):
            read += more
        return read.decode(errors="replace")


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def play(
    sandbox: Sandbox, code: str, limits: Limits | None = None, env: Mapping[str, str] | None = None, **options: object
) -> Played:
    """Run a Python program to its end."""
    with Stage(sandbox, python(code), limits, env=env, **options) as stage:
        ended = stage.process.wait(DEADLINE_S)
        return Played(stage.rest().strip(), ended)
