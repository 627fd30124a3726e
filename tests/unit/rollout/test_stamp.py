"""The environment lock on what is recorded: when it is read, and where it is written."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from openenv.client import GenericEnvClient
from openenv.record import EventStore, EventWriter, Run
from openenv.rollout.stamp import ServerLock, StampedLog, read_lock


@dataclass
class Server:
    """Answers every request with what it is told to, and remembers the requests."""

    url: str
    answer: bytes = b"{}"
    status: int = 200
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append((self.path, self.headers.get("Authorization")))
            self.send_response(served.status)
            self.end_headers()
            self.wfile.write(served.answer)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listening:
        served = Server(f"http://127.0.0.1:{listening.server_port}/base")
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield served
        listening.shutdown()
        thread.join()


class Client:
    """Stands in for one that is connected."""

    def __init__(self, hello: object) -> None:
        self.hello = hello


def lock(digest: str) -> bytes:
    return json.dumps({"name": "walk", "digest": digest}).encode()


async def test_it_is_read_again_only_where_a_new_connection_was_made(server: Server) -> None:
    one, other = (cast(GenericEnvClient, Client(object())) for _ in range(2))
    server.answer = lock("aaa")
    served = ServerLock(server.url, {"Authorization": "me"})
    await served.begin([one, other])
    assert served.lock == {"name": "walk", "digest": "aaa"}
    assert server.asked == [("/base/lock", "me")]
    assert [await served.digest(client) for client in (one, other, one)] == ["aaa"] * 3
    assert len(server.asked) == 1
    server.answer = lock("bbb")
    cast(Client, one).hello = object()
    assert await served.digest(one) == "bbb"
    assert [await served.digest(one), await served.digest(other)] == ["bbb"] * 2
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("answer", "status"), [(b"no json", 200), (b'{"detail":"Not Found"}', 404), (b"[1]", 200), (b'{"digest":1}', 200)]
)
async def test_a_server_may_tell_none(server: Server, answer: bytes, status: int) -> None:
    server.answer, server.status = answer, status
    assert await read_lock(server.url, {}) is None
    served = ServerLock(server.url, {})
    client = cast(GenericEnvClient, Client(None))
    await served.begin([client])
    assert (served.lock, await served.digest(client)) == (None, None)


async def test_a_server_that_is_not_there_tells_none() -> None:
    assert await read_lock("http://127.0.0.1:1", {}) is None


async def test_a_reset_is_stamped_answered_or_not(tmp_path: Path) -> None:
    with EventStore.open(tmp_path, create=True) as store:
        store.begin_run(Run(id="r1", started_at=1.0, environment="walk", agent="random"))
        with EventWriter(store) as writer:
            for episode, digest in (("a", "abc"), ("b", None)):
                log = StampedLog(writer, "r1", episode, digest)
                await log.add("reset", {"seed": 1, "episode_id": episode}, {})
                await log.add("step", {"action": {"seed": 1}}, {})
                await log.add("error", {"seed": 2, "episode_id": episode}, {})
                log.end("failed")
            await StampedLog(writer, "r1", "c", "abc").add("reset", {"seed": 1, "lock": "the user's"}, {})
        requests = {(event.episode, event.index): event.request for event in store.events("r1")}
    assert requests["a", 0] == {"seed": 1, "episode_id": "a", "lock": "abc"}
    assert requests["a", 1] == {"action": {"seed": 1}}
    assert requests["a", 2] == {"seed": 2, "episode_id": "a", "lock": "abc"}
    assert requests["a", 3] == {}
    assert requests["b", 0] == {"seed": 1, "episode_id": "b"}
    assert requests["c", 0] == {"seed": 1, "lock": "the user's"}
