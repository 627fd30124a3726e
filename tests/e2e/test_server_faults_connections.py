"""Several sessions on one real connection: order, independence, resends, and what the connection's end leaves."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
import threading
from typing import Any

import pytest
from tests.unit.server.serving import V2, Running, V1Line, V2Line, serving
from tests.unit.session.worlds import PATIENCE_S, AsyncWorld, Move, Seen, World, threads_left, world
from websockets.sync.client import ClientConnection

from openenv.app import create_app

pytestmark = pytest.mark.e2e


def tell(socket: ClientConnection, **frame: Any) -> None:
    socket.send(json.dumps(frame))


def hear(socket: ClientConnection) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(socket.recv(timeout=PATIENCE_S))
    return frame


def open_session(socket: ClientConnection, nonce: str) -> str:
    tell(socket, type="open", nonce=nonce)
    session: str = hear(socket)["session"]
    return session


@pytest.mark.parametrize("base", [World, AsyncWorld])
def test_a_slow_session_does_not_hold_up_a_fast_one(base: type[World]) -> None:
    cls = world(base)
    with serving(create_app(cls, Move, Seen)) as server, server.connect(V2) as socket:
        assert hear(socket)["type"] == "hello"
        slow, fast = open_session(socket, "a"), open_session(socket, "b")
        assert open_session(socket, "a") == slow
        for session in (slow, fast):
            tell(socket, type="reset", session=session, id=1)
            assert hear(socket)["id"] == 1
        for request_id, how in ((2, "wait"), (3, "ok"), (4, "done"), (5, "ok")):
            tell(socket, type="step", session=slow, id=request_id, ack=1, action={"how": how})
        cls.ledger.wait("waiting")  # for an asynchronous one this blocks its event loop
        for request_id in range(2, 12):
            tell(socket, type="step", session=fast, id=request_id, ack=request_id - 1, action={})
            reply = hear(socket)
            assert (reply["session"], reply["id"]) == (fast, request_id)
        cls.ledger.gate.set()
        replies = [hear(socket) for _ in range(4)]
        assert [(reply["session"], reply["id"]) for reply in replies] == [(slow, i) for i in range(2, 6)]
        assert [reply["type"] for reply in replies] == ["observation"] * 3 + ["error"]
        tell(socket, type="step", session=slow, id=4, ack=3, action={})
        assert hear(socket) == replies[2]
        tell(socket, type="close", session=slow, id=6)
        assert hear(socket)["type"] == "closed"
        assert server.active() == 1
    cls.ledger.check_closed_once()
    assert not threads_left()


def test_the_end_of_a_connection_ends_none_of_its_sessions_also_not_the_one_that_opens() -> None:
    cls = world()
    with serving(create_app(cls, Move, Seen)) as server:
        line = V2Line(server)
        line.reset()
        tell(line.socket, type="open", nonce="idle")
        idle = hear(line.socket)
        assert idle["session"] != line.session
        line.start_step(how="wait")
        cls.ledger.wait("waiting")
        cls.on_make = "wait"
        tell(line.socket, type="open", nonce="late")
        cls.ledger.wait("waiting", 2)
        line.vanish()
        line.come_back()
        tell(line.socket, type="resume", session=idle["session"], token=idle["token"])
        assert hear(line.socket)["last_id"] == 0
        tell(line.socket, type="open", nonce="late")
        line.socket.send(line.again)
        cls.ledger.gate.set()
        replies = {reply["type"]: reply for reply in (hear(line.socket), hear(line.socket))}
        assert replies["observation"]["observation"]["value"] == 1
        assert server.active() == cls.ledger.count("made") == 3
        for session in (idle["session"], replies["opened"]["session"]):
            tell(line.socket, type="close", session=session, id=1)
            assert hear(line.socket)["type"] == "closed"
        line.close()
        assert server.active() == 0
        assert cls.ledger.count("step") == 1
    cls.ledger.check_closed_once()
    assert not threads_left()


def test_an_asynchronous_environment_goes_on_between_steps() -> None:
    ticked = threading.Event()

    class Ticking(AsyncWorld):
        async def reset_async(self) -> Seen:
            self.ticking = asyncio.create_task(self.tick())
            return Seen()

        async def tick(self) -> None:
            while True:
                ticked.set()
                await asyncio.sleep(0)

    cls = world(Ticking)
    with serving(create_app(cls, Move, Seen)) as server:
        line = V1Line(server)
        line.reset()
        ticked.clear()
        assert ticked.wait(PATIENCE_S)
        line.close()
        server.wait_idle()
    assert not threads_left()
    cls.ledger.check_closed_once()


def test_seed_and_name_of_an_episode_are_reported() -> None:
    cls = world()
    with serving(create_app(cls, Move, Seen)) as server:
        line = V2Line(server)
        drawn = line.reset().body
        assert cls.ledger.seen[-1]["seed"] == drawn["seed"]
        assert cls.ledger.seen[-1]["episode_id"] == drawn["episode_id"]
        given = line.reset(seed=11, episode_id="mine").body
        assert (given["seed"], given["episode_id"]) == (11, "mine")
        refused = line.reset(colour="red")
        assert refused.code == "VALIDATION_ERROR"
        assert "it takes: episode_id, how, seed" in refused.message
        line.close()


def test_a_request_that_cannot_be_read_is_answered_under_its_id() -> None:
    cls = world()
    with serving(create_app(cls, Move, Seen)) as server, server.connect(V2) as socket:
        hear(socket)
        session = open_session(socket, "a")
        tell(socket, type="reset", session=session, id=1)
        tell(socket, type="reset", session=session, id=2, seed=-1)
        tell(socket, type="step", session=session, id=3, ack=0)
        tell(socket, type="step", session=session, id=4, ack=0, action={})
        replies = [hear(socket) for _ in range(4)]
        assert [reply["id"] for reply in replies] == [1, 2, 3, 4]
        assert [reply.get("code") for reply in replies] == [None, "INVALID_REQUEST", "INVALID_REQUEST", None]
        tell(socket, type="step", session=session, id=5, ack=4, action={})
        assert hear(socket)["type"] == "observation"


MAIN_THREAD = """
    import asyncio, signal, socket, sys
    import uvicorn
    from openenv.app import create_app
    from openenv.environment import Environment
    from openenv.types import Action, Observation, State

    class Seen(Observation):
        value: int = 0

    async def later():
        await asyncio.sleep(0)
        return 42

    class Nested(Environment[Action, Seen, State]):
        def reset(self):
            return Seen(value=asyncio.run(later()))
        def step(self, action):
            if action.metadata:
                sys.exit(3)
            return Seen(value=asyncio.run(later()))
        @property
        def state(self):
            return State()
        def close(self):
            print("closed", flush=True)

    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(create_app(Nested), loop=sys.argv[1], log_level="error")).run([listener])
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_the_main_thread_of_a_process_survives_what_environments_do(loop: str) -> None:
    command = [sys.executable, "-c", textwrap.dedent(MAIN_THREAD), loop]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            server = Running(int(process.stdout.readline()), threading.current_thread())
            for _ in range(4):  # by the last one the class may have moved into the server's thread
                line = V1Line(server)
                assert line.reset().value == 42
                for _ in range(210):
                    assert line.step().value == 42
                assert "SystemExit: 3" in line.step(metadata={"leave": True}).message
                assert line.step().value == 42
                line.close()
                server.wait_idle()
        finally:
            process.terminate()
            said = process.stdout.read()
        assert said.count("closed") == 4
    assert process.returncode in (0, -15)
