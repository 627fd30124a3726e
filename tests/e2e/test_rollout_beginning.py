"""How a rollout begins: with how many sessions, under which name, and what a stop does before it has begun."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.living import DEADLINE_S, watching
from tests.e2e.rollout_worlds import forward, recorded, slow, walk

from openenv.client import GenericEnvClient
from openenv.errors import CapacityReached
from openenv.rollout import RolloutSettings, run_rollout
from openenv.rollout.target import served

pytestmark = pytest.mark.e2e

SEED = 7


def settings(environment: str, out: Path, **fields: Any) -> RolloutSettings:
    asked = {"episodes": 20, "concurrency": 4, "seed": SEED, "reconnect_delays_s": (0.0, 0.0), **fields}
    return RolloutSettings(environment=environment, out=out, **asked)


async def test_a_run_that_asks_for_no_number_of_sessions_takes_what_there_are(tmp_path: Path) -> None:
    asked = {"concurrency": None, "episodes": 20, "max_steps": 2}
    alone = await run_rollout(settings(walk(tmp_path, "Alone"), tmp_path / "alone", **asked), forward)
    assert (alone.finished, alone.sessions) == (20, 1)
    assert recorded(tmp_path / "alone")[0].settings["concurrency"] == 1
    for name in ("Walk", "make_walk"):
        many = await run_rollout(settings(walk(tmp_path, name), tmp_path / name, **asked), forward)
        assert (many.finished, many.sessions) == (20, 8)
    async with served(walk(tmp_path), 3) as (url, _):
        three = await run_rollout(settings(url, tmp_path / "three", **asked), forward)
        assert (three.finished, three.sessions) == (20, 3)
        async with GenericEnvClient(url):  # taken by another
            with pytest.raises(
                CapacityReached, match=r"1 of them taken .* wants 3; run with --concurrency 2, or start"
            ):
                await run_rollout(settings(url, tmp_path / "three", **asked), forward)


async def test_what_the_record_calls_the_environment(tmp_path: Path) -> None:
    async with served(walk(tmp_path), 8) as (url, _):
        for out, label, name in (("own", None, "Walk"), ("given", "a walk", "a walk")):
            report = await run_rollout(settings(url, tmp_path / out, label=label), forward)
            run, _ = recorded(tmp_path / out)
            assert (run.environment, report.environment, run.settings["target"]) == (name, name, url)


@pytest.mark.parametrize("way", ["stop", "cancel"])
async def test_a_server_that_is_only_starting_is_ended_with_the_run(tmp_path: Path, way: str) -> None:
    target, says = slow(tmp_path)
    stop = asyncio.Event()
    run = asyncio.create_task(run_rollout(settings(target, tmp_path / "runs"), "random", stop=stop))
    with watching(int(await asyncio.to_thread(says.read_text, encoding="ascii"))) as server:
        if way == "stop":
            stop.set()
            report = await asyncio.wait_for(run, DEADLINE_S)
            assert (report.status, report.run, report.finished) == ("interrupted", "", 0)
        else:
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(run, DEADLINE_S)
        assert server.ends()
    assert not (tmp_path / "runs").exists()


async def test_a_connection_that_is_only_beginning_is_given_up(tmp_path: Path) -> None:
    stop, came = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        await reader.readuntil(b"\r\n\r\n")
        await reader.read()  # until it hangs up
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        run = asyncio.create_task(run_rollout(settings(url, tmp_path / "runs"), forward, stop=stop))
        await came.wait()
        stop.set()
        report = await run
    assert (report.status, report.stopped_by, report.run) == ("interrupted", (), "")
