"""Each rule is named where it is broken, and only there."""

from __future__ import annotations

import asyncio
import copy
import pickle
import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from tests.unit.testing.bad_environments import (
    BAD,
    ClosesAwaited,
    Good,
    GoodAwaited,
    LeavesAThread,
    NeedsAnArgument,
    OtherReset,
    Roll,
    Rolled,
    UndrawableAction,
)
from tests.unit.testing.batched_environments import MISBATCHED, GoodTogether, MixesThemUp, RaisesTogether
from tests.unit.testing.replayed_environments import (
    UNREPEATABLE,
    ClockIsNotVolatile,
    ForgetsTheDice,
    GoodAgain,
    NoSnapshotComes,
    RestoresNothing,
    SaysItIsDeterministic,
)
from tests.unit.testing.tool_environments import (
    BAD_TOOLS,
    AwaitedTools,
    GoodTools,
    ReturnsAnObject,
    ReturnsAnother,
    SaysNothing,
)

from openenv import Action, ConfigurationError, Environment
from openenv.testing import ContractBroken, Rule, check_env
from openenv.testing.difference import first_difference

OF_PACKAGES = {Rule.R17, Rule.R18}  # test_packaging.py breaks these


@pytest.fixture(autouse=True)
def _threads_end() -> Iterator[None]:
    yield
    LeavesAThread.over.set()
    for thread in LeavesAThread.threads:
        thread.join()
    LeavesAThread.threads.clear()
    LeavesAThread.over.clear()


@pytest.mark.parametrize("cls", [Good, GoodAgain, GoodTogether, GoodAwaited, ClosesAwaited])
def test_good_ones_pass(cls: type[Any]) -> None:
    report = check_env(cls, steps=20, episodes=3)
    assert not report.broken
    assert report.steps > 3
    assert str(report).startswith(f"{cls.__name__} keeps all rules")
    assert report.reached_done is issubclass(cls, Good)
    alone = {} if issubclass(cls, Good) else {Rule.R15: "SUPPORTS_CONCURRENT_SESSIONS is not set"}
    once = {} if cls is GoodAgain else {Rule.R19: "deterministic is not set", Rule.R20: "it takes no snapshots"}
    together = {} if cls is GoodTogether else {Rule.R21: "it has no step_batch"}
    tools = {Rule.R22: "it has no tools"}
    assert report.not_told == alone | once | together | tools | dict.fromkeys(
        OF_PACKAGES, "the environment is in no package with an openenv.yaml"
    )


@pytest.mark.parametrize(
    ("cls", "rule"), (BAD | UNREPEATABLE | MISBATCHED).items(), ids=lambda one: getattr(one, "__name__", None)
)
def test_the_broken_rule_is_named(cls: type[Any], rule: Rule) -> None:
    with pytest.raises(ContractBroken) as broken:
        check_env(cls)
    assert set(broken.value.report.broken) == {rule}
    message = str(broken.value)
    assert "\n" not in message
    assert f"{cls.__name__} breaks {rule.name}" in message
    assert rule.mend in message


@pytest.mark.parametrize(
    ("cls", "says"),
    [
        (SaysItIsDeterministic, "more.dice[1] was "),
        (ClockIsNotVolatile, "metadata.clock was "),
        (ForgetsTheDice, "after the snapshot: "),
        (NoSnapshotComes, "snapshot raised OSError: the disk is full"),
        (RestoresNothing, "restore raised OSError: the disk is empty"),
        (MixesThemUp, "step 1 with seed 0, first alone and then through step_batch: reward was "),
        (RaisesTogether, "step 1 with seed 0 gave an observation alone, and EXECUTION_ERROR through step_batch"),
    ],
)
def test_the_first_difference_is_named(cls: type[Any], says: str) -> None:
    with pytest.raises(ContractBroken) as broken:
        check_env(cls)
    assert says in str(broken.value)


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        (b'{"a":[1,{"b":2}]}', b'{"a":[1,{"b":3}]}', "a[1].b was 2, then 3"),
        (b'{"a":1}', b'{"a":1.0}', "a was 1, then 1.0"),
        (b'{"a":1}', b'{"a":true}', "a was 1, then True"),
        (b'{"a":[1]}', b'{"a":[1,2]}', "a was [1], then [1, 2]"),
        (b'{"a":1}', b'{"b":1}', "a is only in one of them"),
        (b'{"t":1,"metadata":{"t":1}}', b'{"t":2,"metadata":{"t":2}}', None),
        (b'{"a":{"t":1}}', b'{"a":{"t":2}}', "a.t was 1, then 2"),
        (b'{"a":NaN}', b'{"a":NaN}', None),
        (None, None, None),
        (None, b"{}", "{}"),
    ],
)
def test_a_difference_is_a_path(first: bytes | None, second: bytes | None, says: str | None) -> None:
    found = first_difference(first, second, frozenset({"t"}))
    assert found is None if says is None else found is not None and says in found


@pytest.mark.parametrize("cls", [GoodTools, AwaitedTools])
def test_tools_are_called(cls: type[Any]) -> None:
    report = check_env(cls, steps=40)
    assert not report.broken
    assert report.steps > 20
    assert report.reached_done or cls is AwaitedTools
    assert Rule.R22 not in report.not_told
    assert (Rule.R19 in report.not_told) is (cls is AwaitedTools)


@pytest.mark.parametrize(("cls", "rule"), BAD_TOOLS.items(), ids=lambda one: getattr(one, "__name__", None))
def test_what_tools_return_is_looked_at(cls: type[Any], rule: Rule) -> None:
    with pytest.raises(ContractBroken) as broken:
        check_env(cls)
    assert set(broken.value.report.broken) == {rule}


@pytest.mark.parametrize(
    ("cls", "words"),
    [
        (
            ReturnsAnother,
            "history: its result does not fit its output schema: result.0 is 'none', and no int",
        ),
        (ReturnsAnObject, "it returned a value of type object that has no JSON form"),
        (SaysNothing, "does not fit its output schema: there is no structured content"),
    ],
)
def test_what_a_tool_returned_is_told(cls: type[Any], words: str) -> None:
    with pytest.raises(ContractBroken) as broken:
        check_env(cls)
    assert words in broken.value.report.broken[Rule.R22]


def test_every_rule_is_broken_by_somebody() -> None:
    broken = {*BAD.values(), *UNREPEATABLE.values(), *MISBATCHED.values(), *BAD_TOOLS.values()}
    assert broken == set(Rule) - OF_PACKAGES


def test_every_broken_rule_is_a_line() -> None:
    class Both(OtherReset):
        def get_metadata(self) -> Any:
            raise ValueError("two\nlines")

    with pytest.raises(AssertionError) as broken:
        check_env(Both)
    first, second = str(broken.value).splitlines()
    assert "breaks R02" in first
    assert "breaks R16" in second
    assert "ValueError: two lines" in second


def test_a_long_story_is_told_in_a_line() -> None:
    class Chatty(Good):
        def close(self) -> None:
            raise ValueError("two\nlines")

    with pytest.raises(ContractBroken, match=r"R13.*ValueError: two lines") as broken:
        check_env(Chatty)
    assert "\n" not in str(broken.value)


def test_the_pool_of_an_event_loop_is_not_the_authors() -> None:
    class Pooled(GoodAwaited):
        async def step_async(self, action: Roll, timeout_s: float | None = None, **kwargs: Any) -> Rolled:
            await asyncio.to_thread(int)
            return await super().step_async(action, timeout_s)

    check_env(Pooled, steps=2)


def test_an_error_survives_pickling() -> None:
    with pytest.raises(ContractBroken) as broken:
        check_env(NeedsAnArgument)
    again = pickle.loads(pickle.dumps(broken.value))
    assert str(again) == str(broken.value)
    assert again.report == broken.value.report
    assert str(copy.copy(broken.value)) == str(broken.value)


def test_a_factory_is_checked_too() -> None:
    assert check_env(lambda: NeedsAnArgument(8000)).name == "NeedsAnArgument"
    with pytest.raises(ContractBroken, match=r"R01.*port"):
        check_env(partial(NeedsAnArgument))


def test_an_asynchronous_factory_is_checked_too() -> None:
    def make() -> Any:
        return GoodAwaited()

    assert check_env(make).name == "GoodAwaited"


def test_an_instance_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="pass the class Good"):
        check_env(Good())  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [{"steps": 0}, {"episodes": 0}, {"seed": -1}])
def test_numbers_out_of_range_are_refused(number: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="1 or more"):
        check_env(Good, **number)  # type: ignore[arg-type]


def test_actions_can_be_given() -> None:
    seen = []

    class Listening(UndrawableAction):
        def step(self, action: Any) -> Rolled:
            seen.append(action.day)
            return UndrawableAction.step(self, action)

    def day(rng: random.Random) -> dict[str, Any]:
        return {"day": rng.choice(["monday", "friday"])}

    check_env(Listening, actions=day)
    assert set(seen) == {"monday", "friday"}


def test_a_given_action_that_does_not_fit_is_named() -> None:
    with pytest.raises(ContractBroken, match=r"R12.*sides"):
        check_env(Good, actions=lambda rng: {"sides": "many"})


def test_models_can_be_told_where_the_class_names_none() -> None:
    class Bare(Environment):  # type: ignore[type-arg]
        __init__, state = Good.__init__, Good.state  # type: ignore[assignment]

        def reset(self, seed=None, episode_id=None):  # type: ignore[no-untyped-def]
            return Good.reset(self, seed, episode_id)  # type: ignore[arg-type]

        def step(self, action):  # type: ignore[no-untyped-def]
            assert isinstance(action, Roll)
            return Good.step(self, action)  # type: ignore[arg-type]

    with pytest.raises(ContractBroken, match="R04"):
        check_env(Bare)
    check_env(Bare, action_cls=Roll, observation_cls=Rolled)


def test_the_environments_own_refusal_is_no_failure() -> None:
    from openenv import ActionInvalid

    class Picky(Good):
        def step(self, action: Roll) -> Rolled:
            if action.sides % 2:
                raise ActionInvalid("dice have an even number of sides")
            return super().step(action)

    def sides(rng: random.Random) -> Action:
        return Roll(sides=rng.randint(4, 7))

    check_env(Picky, actions=sides)


async def test_it_runs_beside_an_event_loop() -> None:
    assert not check_env(Good).broken
