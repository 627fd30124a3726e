"""Options of the resets of a rollout: how they are written, and what each episode gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.e2e.rollout_worlds import recorded

from openenv import Action, Environment, Observation, State, create_app
from openenv.cli import main
from openenv.errors import ConfigurationError
from openenv.rollout import RolloutSettings, plan_episode, run_rollout
from openenv.testing import serving


class Told(Observation):
    """The options of the reset."""

    seed: int | None
    options: dict[str, Any]


class Levels(Environment[Action, Told, State]):
    """Over as soon as it is reset."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Told:
        return Told(seed=seed, options=kwargs, done=True)

    def step(self, action: Action, timeout_s: float | None = None, **kwargs: Any) -> Told:
        raise AssertionError("there is no step")

    @property
    def state(self) -> State:
        return State()


def settings(**fields: Any) -> RolloutSettings:
    return RolloutSettings(**{"environment": "echo", "episodes": 6, "concurrency": 2, "seed": 1, **fields})


def test_the_number_of_the_episode_stands_where_it_is_asked_for() -> None:
    options = {"index": "{index}", "name": "task-{index}", "deep": [{"at": "{index}"}, "{index}/{index}"], "level": 3}
    plan = plan_episode(1, 12, options)
    assert plan.reset_options == {
        "index": 12,
        "name": "task-12",
        "deep": [{"at": 12}, "12/12"],
        "level": 3,
    }
    assert options["index"] == "{index}"
    assert plan_episode(1, 12).reset_options == {}
    assert (plan.id, plan.seed) == (plan_episode(1, 12).id, plan_episode(1, 12).seed)


def test_a_rollout_names_its_episodes_itself() -> None:
    with pytest.raises(ConfigurationError, match="episode_id"):
        settings(reset_options={"episode_id": "mine"})


async def test_every_reset_gets_them_and_the_record_tells(tmp_path: Path) -> None:
    asked = {"index": "{index}", "kind": "a"}
    with serving(create_app(Levels, Action, Told, max_concurrent_envs=2)) as url:
        report = await run_rollout(settings(environment=url, out=tmp_path, reset_options=asked), lambda observation: {})
    assert report.finished == 6
    run, episodes = recorded(tmp_path)
    assert run.settings["reset_options"] == asked
    for index, (name, events) in enumerate(sorted(episodes.items())):
        plan = plan_episode(1, index)
        assert name == plan.id
        given = {"index": index, "kind": "a"}
        lock = run.settings["environment_lock"]["digest"]
        assert events[0].request == {"seed": plan.seed, "episode_id": plan.id, "lock": lock, **given}
        assert events[0].reply["observation"] == {"seed": plan.seed, "options": given}


def test_the_command_reads_json_and_plain_text(tmp_path: Path) -> None:
    given = ["index={index}", "name=plain text", 'list=[1, "{index}"]', "yes=true", "seed=5", "empty=", "eq=a=b"]
    with serving(create_app(Levels, Action, Told, max_concurrent_envs=2)) as url:
        options = [part for one in given for part in ("--reset", one)]
        assert main(["rollout", url, "--episodes", "2", "--concurrency", "1", "--out", str(tmp_path), *options]) == 0
    _, episodes = recorded(tmp_path)
    told = [events[0].reply["observation"] for _, events in sorted(episodes.items())]
    for index in range(2):
        assert told[index]["seed"] == 5
        assert told[index]["options"] == {
            "index": index,
            "name": "plain text",
            "list": [1, index],
            "yes": True,
            "empty": "",
            "eq": "a=b",
        }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["index"], "--reset takes key=value, not 'index'"),
        (["=3"], "--reset takes key=value"),
        (["a b=3"], "--reset takes key=value"),
        (["list=[1,"], "--reset list: [1, is no JSON value"),
        (['map={"a": 1'], "is no JSON value"),
        (["a=1", "a=2"], "--reset a is given twice"),
        (["episode_id=x"], "episode_id"),
    ],
)
def test_what_cannot_be_read_is_one_line(given: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = [part for one in given for part in ("--reset", one)]
    assert main(["rollout", "echo", *options]) != 0
    told = capsys.readouterr().err
    assert message in told
    assert len(told.splitlines()) == 1
