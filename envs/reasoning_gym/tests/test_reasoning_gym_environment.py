"""Which questions the environment asks, what it pays for answers, and what it keeps to itself."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import reasoning_gym

from openenv import ActionInvalid, ConfigurationError
from openenv_reasoning_gym import ReasoningGymAction, ReasoningGymObservation
from openenv_reasoning_gym.server.environment import ReasoningGymEnvironment
from openenv_reasoning_gym.server.library import COMPOSITE, CONFIGS
from openenv_reasoning_gym.server.tasks import MOST_TASKS, dataset_seed
from openenv_reasoning_gym.solver import solve

MIX = {"datasets": [{"name": "chain_sum", "weight": 3}, {"name": "gcd", "weight": 1, "config": {"max_numbers": 2}}]}
for _spec in MIX["datasets"]:
    _spec.setdefault("config", {})

QUESTIONS = """
import json, random, sys
from openenv_reasoning_gym.server.environment import ReasoningGymEnvironment
from openenv_reasoning_gym.server.library import COMPOSITE, CONFIGS
random.seed()  # what a process has drawn before must not matter
environment, mix = ReasoningGymEnvironment(), json.loads(sys.argv[1])
for name in CONFIGS:
    config = mix if name == COMPOSITE else None
    for index in (4, 0, 13):
        asked = environment.reset(seed=11, dataset=name, index=index, size=20, config=config)
        print("asked", json.dumps([name, index, asked.question]))
"""


@pytest.fixture
def environment() -> Iterator[ReasoningGymEnvironment]:
    made = ReasoningGymEnvironment()
    yield made
    made.close()


def answer(text: str) -> ReasoningGymAction:
    return ReasoningGymAction(answer=text)


def right_answer(name: str, index: int, *, split: Any = "train", seed: int = 0, size: int = 500) -> str:
    """From reasoning-gym itself, by the documented seed."""
    dataset = reasoning_gym.create_dataset(name, seed=dataset_seed(split, seed), size=size)
    return str(dataset[index]["answer"])


def test_every_dataset_asks_the_same_in_every_process() -> None:
    told: list[list[str]] = []
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", QUESTIONS, json.dumps(MIX)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        told.append(done.stdout.splitlines())  # nothing but questions: what datasets print is kept out
    assert len(told[0]) == 3 * len(CONFIGS)
    assert all(line.startswith("asked ") for line in told[0])
    assert len(CONFIGS) > 100
    assert told[0] == told[1]


@pytest.mark.parametrize("name", ["chain_sum", "isomorphic_strings", "list_functions", "pool_matrix", "acre"])
def test_a_question_does_not_depend_on_what_was_asked_before(name: str) -> None:
    forward: dict[int, str] = {}
    backward: dict[int, str] = {}
    for told, order in ((forward, range(20)), (backward, reversed(range(20)))):
        environment = ReasoningGymEnvironment(dataset=name, size=20)
        for index in order:
            random.seed()  # nor on what the process draws
            told[index] = environment.reset(seed=3, index=index).question
    assert forward == backward


def test_seed_index_split_and_options_each_choose_another_question(environment: ReasoningGymEnvironment) -> None:
    base: dict[str, Any] = {"seed": 5, "dataset": "chain_sum", "index": 2}
    asked = {
        environment.reset(**(base | change)).question
        for change in ({}, {"seed": 6}, {"index": 3}, {"split": "test"}, {"config": {"min_digits": 4}})
    }
    assert len(asked) == 5


def test_the_random_numbers_of_the_process_go_on_as_if_nothing_was_asked(environment: ReasoningGymEnvironment) -> None:
    random.seed(1)
    expected = [random.random() for _ in range(2)]
    random.seed(1)
    drawn = [random.random()]
    environment.reset(seed=1, dataset="list_functions", index=3)
    assert [*drawn, random.random()] == expected


def test_the_splits_share_no_seed() -> None:
    seeds = [*range(2000), 2**63 - 1]
    train = {dataset_seed("train", seed) for seed in seeds}
    test = {dataset_seed("test", seed) for seed in seeds}
    assert min(len(train), len(test)) >= len(seeds) - 2  # any two meet with a chance of one in 2**31
    # with the seeds of their tasks, and of the datasets that a composite numbers from its own
    assert max(train) + 2 * MOST_TASKS <= min(test)
    assert max(test) + 2 * MOST_TASKS <= 2**32
    # neither follows from the other
    assert {seed - 2**31 for seed in test}.isdisjoint(train)


def test_the_derivation_of_seeds_does_not_change_between_versions() -> None:
    assert (dataset_seed("train", 0), dataset_seed("test", 0)) == (1295504247, 2201890223)


def test_one_answer_ends_the_episode_with_the_datasets_own_score(environment: ReasoningGymEnvironment) -> None:
    for index in range(20):
        right = right_answer("chain_sum", index, split="test", seed=9)
        for text, reward in ((right, 1.0), (f"it is {right}", len(right) / (len(right) + 6)), ("x", 0.0)):
            asked = environment.reset(seed=9, dataset="chain_sum", index=index, split="test")
            assert (asked.done, asked.reward, asked.feedback) == (False, None, None)
            ended = environment.step(answer(text))
            assert (ended.done, ended.terminated, ended.truncated) == (True, True, False)
            assert ended.reward == pytest.approx(reward)
            assert (ended.feedback, ended.question) == (None, asked.question)


def test_over_several_turns_a_right_answer_ends_the_episode(environment: ReasoningGymEnvironment) -> None:
    asked = environment.reset(seed=0, dataset="sentence_reordering", index=1, max_turns=3)
    first = environment.step(answer("no"))
    assert (first.done, first.terminated, first.truncated, first.reward) == (False, False, False, 0.0)
    assert first.feedback == "That is not right: score 0.05 of 1. 2 turns are left."
    assert first.question == asked.question
    second = environment.step(answer(right_answer("sentence_reordering", 1)))
    assert (second.done, second.terminated, second.truncated, second.reward) == (True, True, False, 1.0)
    assert second.feedback == "That is right."
    assert environment.state.step_count == 2


def test_without_a_right_answer_the_turns_run_out(environment: ReasoningGymEnvironment) -> None:
    environment.reset(seed=0, dataset="sentence_reordering", index=1, max_turns=2)
    told = [environment.step(answer("no")) for _ in range(2)]
    assert [one.reward for one in told] == [0.0, 0.05]  # the last one counts
    assert [(one.done, one.terminated, one.truncated) for one in told] == [(False, False, False), (True, False, True)]
    assert told[0].feedback.endswith("1 turn is left.")  # type: ignore[union-attr]
    assert told[1].feedback.endswith("No turn is left.")  # type: ignore[union-attr]


def test_indices_go_round_the_datasets(environment: ReasoningGymEnvironment) -> None:
    names = ["chain_sum", "gcd", "lcm"]
    for index in range(9):
        mixed = environment.reset(seed=4, dataset=names, index=index, size=3)
        assert (mixed.dataset, mixed.index, environment.state.tasks) == (names[index % 3], index, 9)
        alone = environment.reset(seed=4, dataset=names[index % 3], index=index // 3, size=3)
        assert alone.question == mixed.question
        assert environment.state.tasks == 3


def test_a_composite_mixes_datasets_with_their_options(environment: ReasoningGymEnvironment) -> None:
    asked = [environment.reset(seed=2, dataset=COMPOSITE, index=index, config=MIX) for index in range(80)]
    counts = [sum(one.dataset == name for one in asked) for name in ("chain_sum", "gcd")]
    assert sum(counts) == 80
    assert counts[0] > counts[1] > 5
    for index in range(10):
        seen = environment.reset(seed=2, dataset=COMPOSITE, index=index, config=MIX)
        if seen.dataset == "chain_sum":
            assert environment.step(answer(solve(seen.model_dump())["answer"])).reward == 1.0


def test_options_come_as_json_has_them(environment: ReasoningGymEnvironment) -> None:
    environment.reset(seed=1, dataset="calendar_arithmetic", config={"tasks": ["weekday_offset"]})  # a list of texts
    environment.reset(seed=1, dataset="time_intervals", config={"min_time": "10:00:00"})  # a time
    asked = environment.reset(seed=1, dataset="word_sorting", config={"transformation": "lowercase"})  # an enum
    words = asked.question.rsplit(": ", 1)[1].strip()
    assert words == words.lower()


WRONG: list[tuple[dict[str, Any], list[str], str]] = [
    ({"dataset": "basic_aritmetic"}, ["dataset"], "did you mean 'basic_arithmetic'?"),
    ({"dataset": ["gcd", "lcmm"]}, ["dataset"], "did you mean 'lcm'?"),
    ({"dataset": "???"}, ["dataset"], "no dataset '???'; there are"),
    ({"dataset": []}, ["dataset"], "a name or a list of names"),
    ({"dataset": 3}, ["dataset"], "a name or a list of names"),
    ({"split": "validation"}, ["split"], "'train' or 'test'"),
    ({"index": 500}, ["index"], "from 0 to 499"),
    ({"index": -1}, ["index"], "from 0 to 499"),
    ({"index": "1"}, ["index"], "whole number"),
    ({"index": 3, "size": 3}, ["index"], "from 0 to 2"),
    ({"size": 0}, ["size"], "from 1 to"),
    ({"size": 2**20 + 1}, ["size"], "from 1 to 1048576"),
    ({"max_turns": 0}, ["max_turns"], "from 1 to 1000"),
    ({"max_turns": True}, ["max_turns"], "whole number"),
    ({"config": [1]}, ["config"], "must map options"),
    ({"config": {"min_term": 3}}, ["config", "min_term"], "did you mean 'min_terms'?"),
    ({"config": {"min_terms": "3"}}, ["config", "min_terms"], "valid integer"),
    ({"config": {"operators": ["+", 1]}}, ["config", "operators"], "valid"),
    ({"config": {"seed": 3}}, ["config", "seed"], "reset itself"),
    ({"config": {"min_terms": 9, "max_terms": 3}}, ["config"], "max_terms must be >= min_terms"),
    ({"dataset": ["gcd", "lcm"], "config": {"min_value": 3}}, ["config"], "one dataset"),
    ({"dataset": "composite"}, ["config", "datasets"], "say which"),
    (
        {"dataset": "composite", "config": {"datasets": [{"name": "gcdd", "weight": 1, "config": {}}]}},
        ["dataset"],
        "gcd",
    ),
    (
        {"dataset": "composite", "config": {"datasets": [{"name": "gcd", "weight": 1, "config": {"size": 1}}]}},
        ["config", "size"],
        "reset itself",
    ),
    (
        {"dataset": "composite", "config": {"datasets": [{"name": "composite", "weight": 1, "config": {}}]}},
        ["config", "datasets"],
        "into itself",
    ),
]


@pytest.mark.parametrize(("options", "where", "message"), WRONG, ids=[str(one[0])[:60] for one in WRONG])
def test_a_wrong_option_is_refused_and_the_episode_goes_on(
    environment: ReasoningGymEnvironment, options: dict[str, Any], where: list[str], message: str
) -> None:
    environment.reset(seed=1, episode_id="before", index=4)
    with pytest.raises(ActionInvalid) as caught:
        environment.reset(seed=2, **options)
    assert message in caught.value.message
    assert "\n" not in caught.value.message
    (error,) = caught.value.details["errors"]
    assert error["loc"][: len(where)] == where
    assert (environment.state.episode_id, environment.state.index) == ("before", 4)
    assert environment.step(answer(right_answer("basic_arithmetic", 4, seed=1))).reward == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dataset": "nothing_like_it"}, "no dataset"),
        ({"split": "all"}, "split"),
        ({"max_turns": 0}, "max_turns"),
        ({"config": {"min_terms": 9, "max_terms": 3}}, "max_terms"),
    ],
)
def test_wrong_arguments_of_the_constructor(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ReasoningGymEnvironment(**arguments)


def test_defaults_of_the_constructor_and_options_of_one_episode() -> None:
    environment = ReasoningGymEnvironment(
        dataset="chain_sum", split="test", size=7, max_turns=2, config={"min_terms": 9, "max_terms": 9}
    )

    def seen() -> tuple[Any, ...]:
        state = environment.state
        return state.dataset, state.split, state.tasks, state.max_turns

    assert seen() == ("chain_sum", "test", 7, 2)
    assert environment.reset(seed=1).question.count(" + ") + environment.reset(seed=1).question.count(" - ") == 8
    environment.reset(seed=1, dataset="gcd", split="train", size=3, max_turns=1)  # chain_sum's config is not for it
    assert seen() == ("gcd", "train", 3, 1)
    environment.reset(seed=1)
    assert seen() == ("chain_sum", "test", 7, 2)
    environment.close()


def test_the_solution_is_nowhere_to_be_seen(environment: ReasoningGymEnvironment) -> None:
    shown = []
    for index in range(10):
        right = right_answer("word_sequence_reversal", index, seed=8)
        shown.append(environment.reset(seed=8, dataset="word_sequence_reversal", index=index, max_turns=2))
        shown.append(environment.step(answer("no")))
        told = json.dumps([one.model_dump() for one in shown] + [environment.state.model_dump()])
        assert right not in told
    assert all(not one.metadata for one in shown)
    assert set(environment.state.model_dump()) == {
        "episode_id",
        "step_count",
        "dataset",
        "split",
        "index",
        "tasks",
        "max_turns",
    }


def test_the_metadata_and_the_readme_list_the_datasets(environment: ReasoningGymEnvironment) -> None:
    listed = environment.get_metadata().description
    assert f"{len(CONFIGS)} datasets" in listed
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8").split("## Datasets")[1]
    for name in CONFIGS:
        assert name in listed
        assert f"`{name}`" in readme


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("basic_arithmetic", 1.0, 1.0), ("chain_sum", 1.0, 1.0), ("number_sorting", 1.0, 1.0), ("gsm_symbolic", 0.0, 0.1)],
)
def test_the_solver_solves_what_it_says_it_can(
    environment: ReasoningGymEnvironment, name: str, least: float, most: float
) -> None:
    right = 0
    for index in range(300):
        asked = environment.reset(seed=12, dataset=name, index=index)
        assert isinstance(asked, ReasoningGymObservation)
        action = solve({"question": asked.question})  # it sees nothing else
        scored = environment.step(ReasoningGymAction(**action))
        right += scored.reward == 1.0
        assert action["metadata"]["sure"] is (least == 1.0)
    assert least <= right / 300 <= most
