"""``openenv rollout`` and ``openenv trajectories`` as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.e2e.living import watching
from tests.e2e.rollout_worlds import checked, recorded, slow, walk

import openenv
from openenv.app.making import embedded
from openenv.app.resolve import Local, resolve

pytestmark = pytest.mark.e2e

# the openenv of this process, wherever the command runs
_SOURCE = str(Path(openenv.__file__).parents[1])
_CODE = f"import sys; sys.path.insert(0, {_SOURCE!r}); from openenv.cli import main; sys.exit(main())"
COMMAND = [sys.executable, "-c", _CODE]

PLAYERS = '''"""Agents for the tests."""

import asyncio
import os
import signal
import sys

asked = 0


def forward(observation):
    return {"by": 1}


async def telling(observation):
    """Say where the environment runs, then never answer again."""
    global asked
    asked += 1
    if asked == 20:
        print(observation["pid"], flush=True)
    if asked >= 20:
        await asyncio.Event().wait()
    return {"by": 1}


def killing(observation):
    """Kill the server after a while."""
    global asked
    asked += 1
    if asked == 20:
        os.kill(observation["pid"], signal.SIGKILL)
    return {"by": 1}


def stuck(observation):
    """Never give the loop back, whatever is asked of it but by force."""
    print("stuck", flush=True)
    while True:
        signal.pause()


def failing(observation):
    raise RuntimeError("no idea")
'''


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A directory with agents and an environment."""
    (tmp_path / "players.py").write_text(PLAYERS, encoding="utf-8")
    walk(tmp_path)
    return tmp_path


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=directory, capture_output=True, text=True, timeout=60)


@contextmanager
def begun(directory: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_rollout_from_beginning_to_export(workplace: Path) -> None:
    arguments = ("--agent", "players:forward", "--episodes", "12", "--concurrency", "3", "--seed", "5")
    done = run(workplace, "rollout", "walk.py:Walk", *arguments)
    assert done.returncode == 0, done.stderr
    for told in ("mean return", "95 %", "12 finished", "steps/s", "complete"):
        assert told in done.stdout
    assert "\x1b" not in done.stdout + done.stderr  # a log is no terminal
    assert "\r" not in done.stdout + done.stderr
    record, episodes = recorded(workplace / "runs")
    assert (len(checked(episodes)), record.seed) == (12, 5)
    assert f"openenv trajectories show {record.id}" in done.stderr

    listed = run(workplace, "trajectories", "list").stdout
    assert record.id in listed
    assert "players:forward" in listed

    shown = run(workplace, "trajectories", "show").stdout
    first, *_ = sorted(episodes)
    assert first in shown
    assert "reset" in shown
    assert "  by: 1" in shown.splitlines()
    assert run(workplace, "trajectories", "show", record.id[:4], "--episode", first).stdout == shown

    exported = run(workplace, "trajectories", "export", record.id, "--format", "jsonl").stdout.splitlines()
    assert len(exported) == sum(len(events) for events in episodes.values())
    assert {json.loads(line)["episode"] for line in exported} == set(episodes)
    written = run(workplace, "trajectories", "export", "-o", "events.jsonl")
    assert written.returncode == 0
    assert (workplace / "events.jsonl").read_text(encoding="utf-8").splitlines() == exported


def test_a_seed_that_was_drawn_is_told_and_plays_the_same_again(workplace: Path) -> None:
    arguments = ("rollout", "walk.py:Walk", "--episodes", "8")
    first = run(workplace, *arguments, "--out", "first")
    record, episodes = recorded(workplace / "first")
    assert str(record.seed) in first.stdout
    again = run(workplace, *arguments, "--out", "again", "--seed", str(record.seed), "--concurrency", "2")
    assert again.returncode == 0
    _, repeated = recorded(workplace / "again")
    assert {name: [event.reply for event in events] for name, events in episodes.items()} == {
        name: [event.reply for event in events] for name, events in repeated.items()
    }


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_ends_with_what_there_is(workplace: Path, number: signal.Signals, code: int) -> None:
    arguments = ("--agent", "players:telling", "--concurrency", "4", "--max-steps", "4")
    with begun(workplace, "rollout", "walk.py:Endless", *arguments) as process:
        assert process.stdout is not None
        with watching(int(process.stdout.readline())) as server:
            process.send_signal(number)
            printed, errors = process.communicate(timeout=30)
            assert process.returncode == code
            assert server.ends()
    assert "interrupted" in printed
    assert "mean return" in printed
    assert "Traceback" not in errors
    record, episodes = recorded(workplace / "runs")
    assert record.status == "interrupted"
    assert {events[-1].reply["status"] for events in checked(episodes).values()} == {"done", "interrupted"}


def test_ctrl_c_while_the_server_starts(workplace: Path) -> None:
    target, says = slow(workplace)
    with begun(workplace, "rollout", target) as process, watching(int(says.read_text(encoding="ascii"))) as server:
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=30)
        assert (process.returncode, printed) == (130, "")
        assert server.ends()
    assert errors.splitlines()[1:] == ["The run had not begun; nothing is recorded."]
    assert not (workplace / "runs").exists()


def test_an_environment_for_one_session_is_played_without_being_told(workplace: Path) -> None:
    arguments = ("rollout", "walk.py:Alone", "--episodes", "3", "--max-steps", "2")
    done = run(workplace, *arguments)
    assert done.returncode == 0, done.stderr
    assert "the server takes 1 session at a time, so the run had no more" in done.stderr.splitlines()
    told = run(workplace, *arguments, "--concurrency", "2")
    assert told.returncode == 0, told.stderr  # each session gets a process of its own
    assert "so the run had no more" not in run(workplace, *arguments, "--concurrency", "1").stderr


def test_a_run_against_a_url_is_listed_by_the_environments_name(workplace: Path) -> None:
    with served_by(workplace, "walk.py:Walk") as url:
        assert run(workplace, "rollout", url, "--episodes", "2").returncode == 0
    assert " Walk " in run(workplace, "trajectories", "list").stdout


@contextmanager
def served_by(directory: Path, target: str) -> Iterator[str]:
    local = resolve(str(directory / target))
    assert isinstance(local, Local)
    server = embedded(local).start()
    try:
        yield server.url
    finally:
        server.close()


def test_a_second_ctrl_c_ends_an_agent_that_does_not_let_go(workplace: Path) -> None:
    with begun(workplace, "rollout", "walk.py:Endless", "--agent", "players:stuck") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stuck\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "once more" in process.stderr.readline()  # it says that it ends
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "Traceback" not in errors
    assert recorded(workplace / "runs")[0].status == "interrupted"


def test_a_server_that_was_killed_is_one_line_behind_the_table(workplace: Path) -> None:
    arguments = ("--agent", "players:killing", "--concurrency", "4", "--max-steps", "4", "--episodes", "50")
    done = run(workplace, "rollout", "walk.py:Endless", *arguments)
    assert done.returncode == 1
    assert "EPISODE_LOST" in done.stdout
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: the run was stopped: the server at http://127.0.0.1:")
    record, episodes = recorded(workplace / "runs")
    assert record.status == "failed"
    assert {events[-1].reply["status"] for events in checked(episodes).values()} == {"done", "failed"}


def test_a_run_without_a_finished_episode_is_no_success(workplace: Path) -> None:
    done = run(workplace, "rollout", "walk.py:Walk", "--agent", "players:failing", "--episodes", "4")
    assert done.returncode == 1
    assert "AGENT_ERROR" in done.stdout
    assert "no episode was finished" in done.stdout
    shown = run(workplace, "trajectories", "show", "--failed", "--index", "1").stdout
    assert "RuntimeError: no idea" in shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rollout", "no-such-env"], "no-such-env"),
        (["rollout", "http://127.0.0.1:1"], "cannot reach http://127.0.0.1:1"),
        (["rollout", "walk.py:Walk", "--agent", "players:forwards"], "did you mean players:forward?"),
        (["trajectories", "list"], "openenv rollout ENV"),
        (["trajectories", "show", "--store", "elsewhere"], "no events in elsewhere"),
    ],
)
def test_an_error_is_one_line(workplace: Path, arguments: list[str], told: str) -> None:
    done = run(workplace, *arguments)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert told in line
    with_debug = run(workplace, *arguments, "--debug")
    assert "Traceback" in with_debug.stderr
    assert with_debug.returncode == 1


def test_output_that_nobody_reads_is_no_error(workplace: Path) -> None:
    assert run(workplace, "rollout", "walk.py:Walk", "--episodes", "300").returncode == 0
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as nobody:
        done = subprocess.run(
            [*COMMAND, "trajectories", "export"],
            cwd=workplace,
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
