"""An environment, servers of it and clients, for the tests of the client."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from enum import Enum
from functools import partial
from typing import Any, ClassVar

import numpy as np
import uvicorn
from pydantic import BaseModel

from openenv import Action, EnvClient, Environment, Observation, State, SyncEnvClient, create_app

WAIT_S = 30.0
"""How long a test waits for what must happen; only a failing test waits that long."""


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    x: int
    y: int = 0


class PlayAction(Action):
    do: str = "go"
    text: str = ""
    colour: Colour = Colour.RED
    at: Point | str = "here"
    weights: np.ndarray | None = None


class PlayObservation(Observation):
    text: str = ""
    colour: Colour = Colour.RED
    at: Point | str = "nowhere"
    grid: np.ndarray | None = None
    level: np.float32 = np.float32(0)


class PlayState(State):
    instance: int = 0
    at: Point | None = None


class PlayClient(EnvClient[PlayAction, PlayObservation, PlayState]):
    pass


class Ledger:
    """What the environments of one server were asked, in order, and a gate that holds up a step."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, str]] = []
        self.built = 0
        self.entered = threading.Event()
        self.gate = threading.Event()

    def steps(self) -> list[int]:
        """The number of the instance that took each step."""
        return [instance for instance, what in self.calls if what == "step"]


class Play(Environment[PlayAction, PlayObservation, PlayState]):
    """Does what it is told, and writes it down."""

    SUPPORTS_CONCURRENT_SESSIONS: ClassVar[bool] = True

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        ledger.built += 1
        self.instance = ledger.built
        self.last = PlayAction()

    def _note(self, what: str) -> None:
        self.ledger.calls.append((self.instance, what))

    def reset(self, seed: int | None = None, level: int = 0, do: str = "") -> PlayObservation:
        self._note("reset")
        self._do(PlayAction(do=do))
        return PlayObservation(text=f"seed {seed}", level=np.float32(level))

    def step(self, action: PlayAction, timeout_s: float | None = None, louder: bool = False) -> PlayObservation:
        self._note("step")
        self.last = action
        done = action.do == "end"
        self._do(action)
        text = action.text.upper() if louder else action.text
        reward = float("nan") if action.do == "nan" else 1.0
        grid = None if action.weights is None else action.weights * 2
        return PlayObservation.model_construct(
            text=text, colour=action.colour, at=action.at, grid=grid, reward=reward, done=done,
            metadata={"x": object()} if action.do == "opaque" else {},
        )  # fmt: skip

    def _do(self, action: PlayAction) -> None:
        if action.do == "wait":
            self.ledger.entered.set()
            assert self.ledger.gate.wait(WAIT_S)
        elif action.do == "crash":
            raise ValueError("boom")

    @property
    def state(self) -> PlayState:
        return PlayState(instance=self.instance, at=Point(x=self.instance))

    def close(self) -> None:
        self._note("close")
        if self.last.do == "cling":
            raise OSError("will not go")


class LenientPlay(Play):
    lifecycle = "lenient"


# Servers -----------------------------------------------------------------------------------------


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


class Server:
    """A real server in a thread, on a port of the system's choice."""

    def __init__(self, make_app: Callable[[], Any]) -> None:
        self._make_app = make_app
        self.port = 0
        self.start()

    def start(self) -> None:
        """Begin to listen, the second time on the same port."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server = _Uvicorn(uvicorn.Config(self._make_app(), log_level="critical", ws="websockets-sansio"))
        self._listener = listener
        self._thread = threading.Thread(target=self._server.run, args=([listener],))
        self._thread.start()
        assert self._server.is_up.wait(WAIT_S)

    def stop(self) -> None:
        """End it as a service would be ended: connections are told."""
        self._server.should_exit = True
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        self._listener.close()


@contextmanager
def serving(make_app: Callable[[], Any]) -> Iterator[Server]:
    """A running server of an ASGI application."""
    server = Server(make_app)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def play_server(cls: type[Play] = Play, **options: Any) -> Iterator[tuple[Server, Ledger]]:
    """A running server of ``Play``, and its ledger."""
    ledger = Ledger()
    with serving(lambda: create_app(partial(cls, ledger), **options)) as server:
        try:
            yield server, ledger
        finally:
            ledger.gate.set()


# Clients -----------------------------------------------------------------------------------------

KINDS = ("async", "sync")


class Driven:
    """An asynchronous client that is driven call by call, so that one test serves both kinds.

    Between calls its event loop stands still, like that of a program that computes something.
    """

    def __init__(self, client: EnvClient[Any, Any, Any]) -> None:
        self.client = client
        self._runner = asyncio.Runner()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)
        return lambda *args, **kwargs: self._runner.run(method(*args, **kwargs))

    def end(self) -> None:
        """Close client and event loop."""
        self._runner.run(self.client.close())
        self._runner.close()


@contextmanager
def playing(kind: str, url: str, cls: type[EnvClient[Any, Any, Any]] = PlayClient, **options: Any) -> Iterator[Any]:
    """A client of that kind that is not connected yet."""
    client = cls(url, **options)
    if kind == "sync":
        blocking = SyncEnvClient(client)
        try:
            yield blocking
        finally:
            blocking.close()
    else:
        driven = Driven(client)
        try:
            yield driven
        finally:
            driven.end()


def in_background(function: Callable[[], Any]) -> Future[Any]:
    """Call a function in a thread of its own."""
    done: Future[Any] = Future()

    def work() -> None:
        try:
            done.set_result(function())
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            done.set_exception(error)

    threading.Thread(target=work).start()
    return done
