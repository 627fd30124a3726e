"""reasoning_gym in the virtual environment of its own: its tests there, and from here a client and a rollout by URL."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.rollout_worlds import checked, recorded

import openenv
from openenv import ActionInvalid
from openenv.testing import serving_command

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "envs" / "reasoning_gym"

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def own_venv() -> Path:
    script = runpy.run_path(str(ROOT / "scripts" / "env_venv.py"))
    try:
        made: Path = script["make"]("reasoning_gym")
    except script["MissingSystemPackages"] as missing:
        pytest.skip(str(missing))
    return made


@pytest.fixture(scope="module")
def address(own_venv: Path) -> Iterator[str]:
    command = [own_venv / "bin" / "openenv", "serve", "reasoning_gym", "--port", "0", "--max-sessions", "8"]
    with serving_command(command) as url:
        yield url


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Client and solver can be imported, also where the package is not installed."""
    monkeypatch.syspath_prepend(str(PACKAGE / "src"))


def test_its_own_tests_pass(own_venv: Path) -> None:
    done = subprocess.run(
        [own_venv / "bin" / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=PACKAGE,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    counted = re.search(r"(\d+) passed", done.stdout)
    assert counted
    assert int(counted[1]) > 300


def test_a_client_from_here_plays_there(address: str, here: None) -> None:
    from openenv_reasoning_gym import ReasoningGymAction, ReasoningGymClient, ReasoningGymObservation

    with ReasoningGymClient(address).sync() as client:
        with pytest.raises(ActionInvalid, match="did you mean 'chain_sum'") as caught:
            client.reset(dataset="chain_sums")
        assert caught.value.details["errors"][0]["loc"] == ["dataset"]
        asked = client.reset(dataset="chain_sum", index=3, seed=7).observation
        assert isinstance(asked, ReasoningGymObservation)
        assert (asked.dataset, asked.index) == ("chain_sum", 3)
        terms = re.findall(r"[+-]?\d+", asked.question.replace(" ", ""))
        result = client.step(ReasoningGymAction(answer=str(sum(map(int, terms)))))
        assert (result.reward, result.done, result.terminated) == (1.0, True, True)
        assert client.state().tasks == 500
    assert "reasoning_gym" not in sys.modules


def test_the_snippet_of_the_readme(
    address: str, here: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from openenv_reasoning_gym import ReasoningGymClient

    monkeypatch.setattr(openenv, "make", lambda name: ReasoningGymClient(address).sync(), raising=False)
    readme = (PACKAGE / "README.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(import openenv\n.*?)```", readme, flags=re.DOTALL)
    exec(snippet, {})
    assert capsys.readouterr().out.endswith("\nscore: 1.0\n")


def rollout(address: str, directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    source, package = Path(openenv.__file__).parents[1], PACKAGE / "src"
    code = f"import sys; sys.path[:0] = {[str(source), str(package)]}; from openenv.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "rollout", address, "--agent", "openenv_reasoning_gym.solver:solve"]
    return subprocess.run([*command, *options], cwd=directory, capture_output=True, text=True)


def test_a_rollout_over_200_tasks_of_three_kinds(address: str, tmp_path: Path) -> None:
    readme = (PACKAGE / "README.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"--episodes 200 \\\n(.*?)```", readme, flags=re.DOTALL)
    options = [one.strip("'") for one in re.findall(r"'[^']*'|\S+", told)]
    assert options.count("--reset") == 3
    plays = []
    for directory in (tmp_path / "one", tmp_path / "two"):
        directory.mkdir()
        done = rollout(address, directory, "--episodes", "200", "--concurrency", "6", *options)
        assert done.returncode == 0, done.stderr
        assert "200 finished" in done.stdout
        run, episodes = recorded(directory / "runs")
        assert run.settings["reset_options"]["index"] == "{index}"
        plays.append(scores(checked(episodes)))
    kinds = ["basic_arithmetic", "number_sorting", "gsm_symbolic"]
    assert plays[0] == plays[1]  # the seed of the run was another one
    assert sorted(plays[0]) == sorted(kinds)
    assert [len(plays[0][kind]) for kind in kinds] == [67, 67, 66]
    right = {kind: sum(reward == 1 for reward in rewards.values()) for kind, rewards in plays[0].items()}
    assert (right["basic_arithmetic"], right["number_sorting"]) == (67, 67)
    assert right["gsm_symbolic"] <= 6


def scores(episodes: dict[str, list[Any]]) -> dict[str, dict[int, float]]:
    """The reward of every task, by dataset and index."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for number, (_, events) in enumerate(sorted(episodes.items())):
        reset, step, _ = events
        assert reset.request["index"] == number
        assert "answer" not in reset.reply["observation"]
        found[step.reply["observation"]["dataset"]][number] = step.reply["reward"]
    return dict(found)


def test_a_rollout_of_options_that_are_refused_says_so(address: str, tmp_path: Path) -> None:
    done = rollout(address, tmp_path, "--episodes", "3", "--reset", "dataset=basic_aritmetic")
    assert done.returncode == 1
    assert "VALIDATION_ERROR" in done.stdout
    _, episodes = recorded(tmp_path / "runs")
    told = json.dumps([event.reply for events in episodes.values() for event in events])
    assert "did you mean 'basic_arithmetic'?" in told
