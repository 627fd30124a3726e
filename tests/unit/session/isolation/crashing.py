"""Environments that take their process down in every way, and what else they do to it."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import numpy.random  # seeded when it is imported, which happens before workers are forked

from openenv.environment import Environment
from openenv.session import EnvironmentSpec, SessionEngine
from openenv.session.isolation.frames import HEAD, JSON
from openenv.types import Action, EnvironmentMetadata, Observation, State


class Move(Action):
    how: str = "ok"
    value: Any = None


class Seen(Observation):
    value: Any = None


class Plain(Observation):
    text: str = ""
    number: float = 0.0


def recurse(depth: int) -> int:
    return max(map(recurse, [depth + 1]))  # through C, whose stack has an end


def leave_grandchild(*, daemon: bool) -> int:
    """A process that outlives the one that started it, in a session of its own if it is a daemon."""
    source = "import os, signal, sys\nprint(os.getpid(), flush=True)\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    command = [sys.executable, "-S", "-c", source + "while True: signal.pause()"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=daemon)
    child.returncode = 0  # nobody waits for it
    with child.stdout as output:
        return int(output.readline())


def forked_grandchild() -> int:
    pid = os.fork()
    if pid == 0:
        os.setsid()
        while True:
            signal.pause()
    return pid


def orphan() -> int:
    """A process whose parent has ended, in a session of its own."""
    forever = "[sys.executable, '-S', '-c', 'import signal; signal.pause()'], stdout=subprocess.DEVNULL"
    source = f"import subprocess, sys\nchild = subprocess.Popen({forever})\nchild.returncode = 0\nprint(child.pid)"
    command = [sys.executable, "-S", "-c", source]
    return int(subprocess.run(command, stdout=subprocess.PIPE, start_new_session=True).stdout)


def act(move: Move, world: World) -> Any:
    match move.how:
        case "echo":
            return move.value
        case "pid":
            return os.getpid()
        case "segfault":
            ctypes.string_at(0)
        case "exit":
            os._exit(3)
        case "sys.exit":
            sys.exit(4)
        case "raise":
            raise ValueError("as it was")
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
            threading.Event().wait()  # it stops its threads one after another
        case "loop":
            while True:
                pass
        case "burn":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGXCPU} if move.value else set())
            while True:
                pass
        case "recurse":
            sys.setrecursionlimit(10**9)
            return recurse(0)
        case "allocate":
            return len(bytearray(move.value))
        case "large":
            return "x" * move.value
        case "grandchild":
            return leave_grandchild(daemon=False)
        case "daemon":
            return leave_grandchild(daemon=True)
        case "orphan":
            return orphan()
        case "fork":
            return forked_grandchild()
        case "fork and go on":
            return os.fork()
        case "threads":
            for _ in range(4):
                threading.Thread(target=threading.Event().wait).start()
        case "ignore":
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.pthread_sigmask(signal.SIG_BLOCK, {number})
        case "print":
            print(move.value, flush=True)
        case "read":
            return sys.stdin.read()
        case "values":
            return world.values
        case "close fds":
            os.closerange(3, 1024)
        case "count":
            world.count += 1
            return world.count
        case "numpy random":
            return float(np.random.random())
        case "unasked":
            body = b'{"type":"observation","observation":{"value":"forged"}}'
            for descriptor in range(3, 64):
                try:
                    os.write(descriptor, HEAD.pack(len(body), JSON) + body)
                except OSError:
                    continue
        case "junk":
            for descriptor in range(3, 64):
                try:
                    os.write(descriptor, b"\xff" * 64)
                except OSError:
                    continue
        case "hang in close":
            world.hangs = True
        case "crash in close":
            world.crashes = True
    return None


class World(Environment[Move, Seen, State]):
    """Does what it is told to."""

    hangs = False
    crashes = False
    values: ClassVar[Any] = {
        "array": np.arange(6, dtype=np.int16).reshape(2, 3),
        "nan": [float("nan"), float("inf")],
        "bytes": b"\x00\xff",
        "keys": {(1, 2): "a tuple"},
        "long": 10**30,
    }

    def __init__(self, count: int = 0) -> None:
        self.count = count

    def reset(self, seed: int | None = None, value: Any = None) -> Seen:
        return Seen(value={"seed": seed, "value": value, "random": self.rng.random()})

    def step(self, action: Move, timeout_s: float | None = None, more: Any = None) -> Seen:
        found = act(action, self)
        return Seen(value=found if more is None else [found, more, timeout_s], reward=1.5, metadata={"how": action.how})

    @property
    def state(self) -> State:
        return State(step_count=self.count)

    def close(self) -> None:
        if self.crashes:
            os._exit(5)
        while self.hangs:
            pass

    def get_metadata(self) -> EnvironmentMetadata:
        return EnvironmentMetadata(name="World", description="of crashes")


class AsyncWorld(World):
    """The same, awaited; it cannot be built without an event loop."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()

    async def reset_async(self, seed: int | None = None) -> Seen:
        await asyncio.sleep(0)
        return Seen(value=seed)

    async def step_async(self, action: Move) -> Seen:
        await asyncio.sleep(0)
        if action.how == "cancel":
            raise asyncio.CancelledError
        if action.how == "exit in a task":
            self.task = asyncio.create_task(self.leave())
            await asyncio.sleep(0)
            return Seen(value="gone on")
        assert asyncio.get_running_loop() is self.loop
        return Seen(value=act(action, self))

    async def leave(self) -> None:
        sys.exit(1)


class PlainWorld(Environment[Move, Plain, State]):
    def reset(self) -> Plain:
        return Plain(text="begun")

    def step(self, action: Move) -> Plain:
        return Plain(text=action.how, number=float(action.value or 0), reward=1.0, done=action.how == "done")

    @property
    def state(self) -> State:
        return State(step_count=7)


class DiesWhenBuilt(World):
    def __init__(self) -> None:
        os._exit(6)


class NeverBuilt(World):
    def __init__(self) -> None:
        threading.Event().wait()


class RaisesWhenBuilt(World):
    def __init__(self) -> None:
        raise ValueError("no world today")


def make_world() -> World:
    return World()


def make_async() -> Any:  # of a class that nobody can tell beforehand
    return AsyncWorld()


def closure() -> Any:
    def make() -> World:
        return World()

    return make


class Maker:
    """A factory that is an instance, and one that is a method."""

    def __call__(self) -> World:
        return World()

    @classmethod
    def make(cls) -> World:
        return World()


def app_of(env: Any) -> Any:
    """What of an app a worker looks at."""
    spec = EnvironmentSpec.of(env, Move, Seen, "world")
    return SimpleNamespace(state=SimpleNamespace(engine=SessionEngine(spec)))


app_of_lambda = app_of(lambda: World(5))
app_of_partial = app_of(functools.partial(World))


def make_app() -> Any:
    return app_of(lambda: World(5))
